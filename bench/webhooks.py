"""Webhooks through manager and worker, beside Node-RED and a bare endpoint of aiohttp."""

from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from bench.installation import both_daemons
from bench.load import Answers, Load, http_request, run_load
from bench.peers import NODE_RED_PATH, bare_aiohttp, bare_go, has_node_red, node_red
from bench.rounds import Effort, Figures, alternate
from bench.rows import headroom, ratios
from examples.demo_domain import make_demo_domain

GREET = "/v1/webhooks/demo/11111111-0000-4000-8000-000000000003"
BODY = b'{"name":"Ada"}'
RATE = 500.0


def greet_request(port: int, path: str = GREET) -> bytes:
    return http_request("POST", path, port, BODY, "demo:root", "application/json")


async def demo_domain(folder: Path) -> dict[str, str]:
    url = f"sqlite:///{folder}/demo.db"
    await make_demo_domain(url, "demo", None)
    return {"demo": url}


async def webhook(folder: Path, effort: Effort) -> Figures:
    """How many in a second; Node-RED's too where it is installed."""
    async with AsyncExitStack() as stack:
        manager, _ = await stack.enter_async_context(both_daemons(folder, await demo_domain(folder)))
        bare_port = await stack.enter_async_context(bare_go())
        requests = {
            "webhook": (manager.port, greet_request(manager.port)),
            "bare-go": (bare_port, greet_request(bare_port)),
        }
        if has_node_red():
            port = await stack.enter_async_context(node_red(folder))
            requests["webhook-node-red"] = (port, greet_request(port, NODE_RED_PATH))

        async def per_second(name: str) -> float:
            port, request = requests[name]
            return (await run_load(Load(port, [request], seconds=effort.seconds))).per_second

        measures = {name: partial(per_second, name) for name in requests}
        await alternate(1, measures)
        found = await alternate(effort.rounds, measures)
    figures = {"generator-headroom-webhook": headroom(found.pop("bare-go"), found.values()), **found}
    if "webhook-node-red" in found:
        figures["webhook-ratio"] = ratios(found["webhook"], found["webhook-node-red"])
    return figures


async def webhook_latency(folder: Path, effort: Effort) -> Figures:
    """At a fixed rate: what manager and worker add to what a bare endpoint takes."""
    async with both_daemons(folder, await demo_domain(folder)) as (manager, _), bare_aiohttp() as bare_port:
        rounds: dict[str, list[Answers]] = {"ours": [], "bare": []}

        async def at_rate(name: str) -> float:
            port = manager.port if name == "ours" else bare_port
            request = greet_request(port, GREET if name == "ours" else "/v1/tasks")
            found = await run_load(Load(port, [request], rate=RATE, seconds=max(1.0, effort.seconds)))
            rounds[name].append(found)
            return found.p50_ms

        measures = {name: partial(at_rate, name) for name in rounds}
        await alternate(effort.rounds + 1, measures)
    pairs = list(zip(rounds["ours"], rounds["bare"], strict=True))[1:]  # the first warms up
    return {
        "webhook-p50": [ours.p50_ms for ours, _ in pairs],
        "webhook-p99": [ours.p99_ms for ours, _ in pairs],
        "webhook-added-p50": [ours.p50_ms - bare.p50_ms for ours, bare in pairs],
        "webhook-added-p99": [ours.p99_ms - bare.p99_ms for ours, bare in pairs],
        "generator-late": [ours.sent_late_p99_ms for ours, _ in pairs],
    }
