"""Every command of docs/api.md does what the page says: it is answered, and not with an error."""

import asyncio
import os
import re
from pathlib import Path
from uuid import UUID

from tests.support.databases import SqliteFolder
from tests.support.installation import Installation

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
HELLO = 'cgi := import("cgi")\ncgi.response.write("hello")\n'
FAIL_ON_ERRORS = 'curl() { command curl --silent --show-error --fail-with-body --max-time 20 "$@" || exit 1; }\n'


def test_the_page_has_a_command_for_every_call() -> None:
    text = "".join(COMMANDS)
    calls = {
        "/v2/programs -d",
        "/v2/programs?",
        "PUT",
        "DELETE",
        "/code",
        "/revisions",
        "/sign",
        "/diff",
        "/webhook",
        "/run",
    }
    assert {call for call in calls if call not in text} == set()


async def test_each_command_is_answered(tmp_path: Path) -> None:
    installation = Installation(tmp_path, SqliteFolder(tmp_path))
    await installation.open()
    try:
        domain = await installation.add_domain("test")
        await installation.start()
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
