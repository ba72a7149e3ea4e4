"""docs/api.md has a command for every call that a domain's users have, and each is answered, not with an error."""

import asyncio
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from uuid import UUID

from tests.support.databases import SqliteFolder
from tests.support.installation import Installation

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
HELLO = 'cgi := import("cgi")\ncgi.response.write("hello")\n'
METHODS = ("get", "post", "put", "delete")
FAIL_ON_ERRORS = 'curl() { command curl --silent --show-error --fail-with-body --max-time 20 "$@" || exit 1; }\n'


async def test_every_call_of_the_description_has_a_command_and_each_is_answered(tmp_path: Path) -> None:
    installation = Installation(tmp_path, SqliteFolder(tmp_path))
    await installation.open()
    try:
        domain = await installation.add_domain("test")
        await installation.start()
        described = (await installation.call("GET", "/openapi3.json")).json()["paths"]
        assert set(calls_for_users(described)) - set(calls_on_the_page()) == set()
        for command in COMMANDS:
            # Each for itself: what one deletes is there for the next.
            program = await domain.add("greet", HELLO)
            await domain.revise(program, HELLO.replace("hello", "bye"))
            await domain.revise(program, HELLO, signed=False)
            run = (
                await installation.call("POST", f"/v2/programs/{await until_known(installation, program)}/run")
            ).json()
            status, output = await run_command(command, tmp_path, installation.manager_port, program, run["id"])
            assert status == 0, f"{command}\n{output}"
    finally:
        await installation.close()


def calls_for_users(paths: Mapping[str, Collection[str]]) -> Iterator[tuple[str, str]]:
    """Methods and paths of the calls that a domain's users have; what stands in braces is no matter."""
    for path, methods in paths.items():
        if path.startswith(("/v2/", "/v1/webhooks/")):
            yield from ((method, re.sub(r"{\w+}", "*", path)) for method in methods if method in METHODS)


def calls_on_the_page() -> Iterator[tuple[str, str]]:
    for line in re.sub(r"\n +", " ", "".join(COMMANDS)).splitlines():
        if call := re.match(r"curl .*http://127\.0\.0\.1:8097(/[^\s\"?]*)", line):
            said = re.search(r" -X (\w+)", line)
            method = said[1].lower() if said else "post" if re.search(r" (-d|--data-binary) ", line) else "get"
            yield method, re.sub(r"(?<=/)(\$\w+|\d+|test)(?=/|$)", "*", call[1])


async def until_known(installation: Installation, program: UUID) -> UUID:
    """The program, once the manager has read it."""
    await installation.call("PUT", f"/v2/programs/{program}", json={})
    return program


async def run_command(command: str, folder: Path, port: int, program: UUID, run: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        FAIL_ON_ERRORS + command.replace("127.0.0.1:8097", f"127.0.0.1:{port}"),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PROGRAM": str(program), "RUN": run},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()
