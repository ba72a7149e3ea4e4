"""The description of the API is true: schemathesis, with all its checks, finds nothing that contradicts it."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.installation import Domain, Installation
from tests.support.metrics import samples, total
from tests.support.standing import NO_RATES, Guest

HELLO = 'cgi := import("cgi")\ncgi.response.write("hello")\n'


async def add_programs(domain: Domain) -> str:
    """Gives the uuid of a webhook that has run code."""
    await domain.add("tick", "x := 1", kind="routine", schedule="@every 1h")
    await domain.add("mod", "export 1", kind="module")
    return str(await domain.add("hello", HELLO))


async def violations(url: str, folder: Path, *options: str, config: str = "") -> str:
    """What schemathesis has to say; nothing if all is well."""
    file = folder / "schemathesis.toml"
    file.write_text(config + COMPILED_FIRST, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(file), "run", f"{url}/openapi3.json"),
        *("--generation-deterministic", "--no-color", "--continue-on-failure"),
        *options,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(100):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return output.decode() if process.returncode else ""


COMPILED_FIRST = """
# Code that nobody wrote does not compile, so signing it is refused with 422. That depends on what was uploaded before,
# not on the call, so that no description can keep such calls from being made.
[[operations]]
include-path-regex = "/sign$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "422", "429"]

# It can be signed by force, and then calling it is answered 500, as the Self-host contract has it.
[[operations]]
include-path-regex = "/webhook$"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "500"]
"""


def existing(uuid: str, domain: str) -> str:
    """Configuration that has all calls meet a program, a revision and a domain that are there."""
    parameters = {"path.uuid": uuid, "path.revision": 0, "path.domain": domain}
    return "[parameters]\n" + "".join(f"{json.dumps(name)} = {json.dumps(each)}\n" for name, each in parameters.items())


PHASES = "examples,coverage,fuzzing"
DOMAIN_CALLS = ("--exclude-path-regex", "^/v1/")


async def answered(installation: Installation, call: str) -> float:
    """How many calls of that kind got what they asked for."""
    return total(await samples(installation), "juvuln_http_answers_total", call=call, status="2xx")


@pytest.mark.parametrize(
    ("options", "meets_program"),
    [
        ((*DOMAIN_CALLS, "--max-examples", "5"), False),
        ((*DOMAIN_CALLS, "--max-examples", "5", "--exclude-method", "DELETE", "--phases", PHASES), True),
    ],
    ids=["whatever is made", "a program that is there"],
)
async def test_no_call_of_a_domain_s_user_contradicts_the_description(
    guest: Guest, domain: Domain, tmp_path: Path, options: Sequence[str], meets_program: bool
) -> None:
    uuid = await add_programs(domain)
    await guest.start()
    before = await answered(guest, "programs")
    as_root = f'[auth.openapi.domain]\nusername = "{domain.name}"\npassword = "root"\n'
    config = (existing(uuid, domain.name) if meets_program else "") + as_root
    found = await violations(f"http://127.0.0.1:{guest.manager_port}", tmp_path, *options, config=config)
    assert not found, found
    assert await answered(guest, "programs") > before


async def test_no_call_of_a_worker_contradicts_the_description(
    installation: Installation, domain: Domain, tmp_path: Path
) -> None:
    uuid = await add_programs(domain)
    for daemon in (installation.manager(**NO_RATES), installation.worker()):
        await daemon.start()
    await installation.until_ready()
    secret = (installation.folder / "secret").read_text(encoding="utf-8").strip()
    url = f"http://127.0.0.1:{installation.manager_port}"
    as_worker = f'[auth.openapi.worker]\nbearer = "{secret}"\n'
    options = ("--max-examples", "5", "--include-path-regex", "^/v1/", "--phases", PHASES)
    found = await violations(url, tmp_path, *options, config=existing(uuid, domain.name) + as_worker)
    assert not found, found
    assert await answered(installation, "library") > 0
