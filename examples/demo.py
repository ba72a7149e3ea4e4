"""`make run`: both daemons on one embedded domain called demo, and a line for each run that ended.

Everything that it makes is in the folder var: the configuration of both daemons, the domain, the record of runs, the
shared secret and the daemons' own logs.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import aiohttp

from examples.demo_domain import example_programs, make_demo_domain
from juvuln.config import JuvulnSettings
from malgomaj.config import WorkerSettings
from shared.config import load_settings
from shared.errors import SelfhostError, StartError
from shared.http import reserve_address
from shared.start import report_error

DOMAIN = "demo"
READY_TIMEOUT_SECONDS = 30.0
SECOND_SIGNAL_SECONDS = 0.3
"""Between two signals to a daemon; two that are sent at the same moment reach it as one."""
DEMO_EGRESS = "egress: {allow: {networks: [public, private, loopback]}}\n"
"""The demo's programs may call what runs beside it."""
LONGEST_LINE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where the demo lives, and how its daemons are reached."""

    var: Path
    environ: Mapping[str, str]
    juvuln: str
    malgomaj: str


@dataclass(slots=True)
class Started:
    name: str
    process: asyncio.subprocess.Process
    log: TextIO


def main() -> int:
    try:
        place = prepare(Path("var"), os.environ)
        return asyncio.run(run(place))
    except SelfhostError as error:
        return report_error("demo", error)


def prepare(var: Path, environ: Mapping[str, str]) -> Place:
    """Make what is missing in ``var``. Raises ConfigurationError; StartError if a port is taken."""
    var.mkdir(mode=0o700, exist_ok=True)
    absolute = var.absolute()
    database = f"sqlite:///{absolute}/{DOMAIN}.db"
    write_if_missing(var / "domains.yaml", f"domains:\n  {DOMAIN}: {database}\n")
    write_if_missing(var / "juvuln.yaml", f"domainfile: {absolute}/domains.yaml\nstate_dir: {absolute}\n")
    write_if_missing(var / "malgomaj.yaml", f"state_dir: {absolute}\n{DEMO_EGRESS}")
    manager = load_settings(JuvulnSettings, var / "juvuln.yaml", environ).listen
    address = f"{manager.host}:{manager.port}"
    told = {"MALGOMAJ_PROGRAM_MANAGER__AUTHORITY": address, **environ}
    worker = load_settings(WorkerSettings, var / "malgomaj.yaml", environ).listen
    for name, listen in (("juvuln", manager), ("malgomaj", worker)):
        # Whoever listens there already would answer for the daemons of this demo.
        setting = f"{name.upper()}_LISTEN__PORT"
        for reserved in reserve_address(listen.host, listen.port, port_setting=setting):
            reserved.close()
    asyncio.run(make_demo_domain(database, DOMAIN, environ.get("FORECAST_URL")))
    return Place(var, told, f"http://{address}", f"http://{worker.host}:{worker.port}")


def write_if_missing(path: Path, content: str) -> None:
    if not path.exists():
        path.write_text(content, encoding="utf-8")


async def run(place: Place) -> int:
    """Start both daemons, show what they do, and stop them when asked to; at once when asked a second time."""
    stop, force = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: (force if stop.is_set() else stop).set())
    async with AsyncExitStack() as stack:
        daemons = [await start(name, place, stack) for name in ("juvuln", "malgomaj")]
        shown = [asyncio.create_task(show(daemon)) for daemon in daemons]
        ended = [asyncio.create_task(daemon.process.wait()) for daemon in daemons]
        asked = asyncio.create_task(stop.wait())
        try:
            if await until_ready(place, [asked, *ended]):
                print_welcome(place)
            await asyncio.wait([asked, *ended], return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
            failed = [ending for daemon in daemons if (ending := bad_ending(daemon)) is not None]
            print("stopping; runs under way are waited for, Ctrl-C again ends them", flush=True)
            failed += await stop_all(daemons, force)
            await asyncio.gather(*shown)
    print(f"{'; '.join(failed)}; see {place.var}/*.log" if failed else "stopped")
    return 1 if failed else 0


def bad_ending(daemon: Started) -> str | None:
    """How a daemon ended that did not end well, in words; None for one that runs or did."""
    status = daemon.process.returncode
    if status is None or status == 0:
        return None
    if status < 0:
        return f"{daemon.name} was killed by {signal.Signals(-status).name}"
    return f"{daemon.name} ended with status {status}"


async def start(name: str, place: Place, stack: AsyncExitStack) -> Started:
    """Start a daemon in a session of its own, so that Ctrl-C reaches it through us, and once."""
    print(f"starting {name} …", flush=True)
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name(name),
        "--config",
        place.var / f"{name}.yaml",
        env={**place.environ, f"{name.upper()}_LOG__FORMAT": "json"},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=LONGEST_LINE_BYTES,
    )
    log = stack.enter_context((place.var / f"{name}.log").open("a", encoding="utf-8"))
    return Started(name, process, log)


async def until_ready(place: Place, over: list[asyncio.Task[Any]]) -> bool:
    """Wait until both daemons are ready, or, giving False, something in ``over`` is over. Raises StartError."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY_TIMEOUT_SECONDS
    async with aiohttp.ClientSession() as session:
        for url in (place.juvuln, place.malgomaj):
            while (problem := await ask(session, url)) is not None:
                if any(task.done() for task in over):
                    return False
                if loop.time() > deadline:
                    raise StartError(f"{url} is not ready after {READY_TIMEOUT_SECONDS:g} s: {problem}")
                await asyncio.sleep(0.05)
    return True


async def ask(session: aiohttp.ClientSession, url: str) -> str | None:
    """What keeps a daemon from being ready, or None."""
    try:
        async with session.get(f"{url}/readyz") as response:
            return None if response.status == 200 else await response.text()
    except aiohttp.ClientError as error:
        return str(error)


def print_welcome(place: Place) -> None:
    uuids = {example.name: example.uuid for example in example_programs()}
    greet, calculate = uuids["greet"], uuids["calculate"]
    print(f"""
juvuln listens on {place.juvuln}, malgomaj on {place.malgomaj}. Ctrl-C stops both. Try in another terminal:

  curl -u demo:root -d '{{"name":"Ada"}}' {place.juvuln}/v2/programs/{greet}/webhook
  curl -u demo:root -d '{{"name":"Ada"}}' {place.juvuln}/v1/webhooks/demo/{greet}
  curl -u demo:root -X POST {place.juvuln}/v2/programs/{calculate}/webhook
  curl -u demo:root {place.juvuln}/v2/programs
  curl {place.juvuln}/readyz

  export PATH="$PWD/.venv/bin:$PATH" SELFHOST_SERVER={place.juvuln} SELFHOST_DOMAIN=demo SELFHOST_TOKEN=root
  juvuln program list
  juvuln runs
  juvuln program logs heartbeat --follow
""")
    print("Runs as they end:", flush=True)


async def show(daemon: Started) -> None:
    """Keep a daemon's log, and print what a person wants to see of it."""
    stream = daemon.process.stderr
    assert stream is not None
    async for line in stream:
        text = line.decode("utf-8", "replace")
        daemon.log.write(text)
        daemon.log.flush()
        if shown := readable(daemon.name, text):
            print(shown, flush=True)


def readable(name: str, line: str) -> str | None:
    """The line to print for a line of a daemon's log, or None."""
    try:
        event = json.loads(line)
    except ValueError:
        return line.rstrip()
    if name == "juvuln" and event.get("event") == "run_ended":
        return run_line(event)
    if event.get("level") in ("error", "critical"):
        return f"{name}: {event.get('event')}: {event.get('reason') or event.get('exception') or ''}"
    return None


def run_line(event: Mapping[str, Any]) -> str:
    time = datetime.fromisoformat(event["timestamp"]).astimezone().strftime("%H:%M:%S")
    took = f"{event['duration_ms']:.1f} ms" if event.get("duration_ms") is not None else "-"
    reason = f"  {event['reason']}" if event.get("reason") else ""
    return f"{time}  {event['name']:<12}  {event['outcome']:<10}  {took:>9}  {event.get('worker') or '-'}{reason}"


async def stop_all(daemons: list[Started], force: asyncio.Event) -> list[str]:
    """Ask the daemons to end, the manager first, and a second time once ``force`` is set; gives what went wrong."""
    failed = []
    for daemon in daemons:
        if daemon.process.returncode is not None:
            continue
        daemon.process.terminate()
        forcing = asyncio.create_task(terminate_again(daemon, force))
        status = await daemon.process.wait()
        forcing.cancel()
        # A daemon that was asked to end before it had taken charge of its signals ends by that signal.
        if status not in (0, -signal.SIGTERM) and not force.is_set():
            failed.append(bad_ending(daemon) or "")
    return failed


async def terminate_again(daemon: Started, force: asyncio.Event) -> None:
    await force.wait()
    await asyncio.sleep(SECOND_SIGNAL_SECONDS)
    daemon.process.terminate()


if __name__ == "__main__":
    sys.exit(main())
