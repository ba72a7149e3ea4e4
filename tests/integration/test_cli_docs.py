"""What README.md and docs/cli.md tell their reader to type works, from the first line to the last."""

import asyncio
import json
import os
import re
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

from juvuln.commands.program import app
from tests.support.commands import JUVULN, LIMIT_SECONDS
from tests.support.installation import Installation
from tests.support.waiting import until

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "cli.md").read_text(encoding="utf-8")
WALK = PAGE[PAGE.index("## A walk through") : PAGE.index("## Programs")]
BLOCKS = re.findall(r"```sh\n(.*?)```", WALK, re.DOTALL)
README = (PROJECT / "README.md").read_text(encoding="utf-8")
FIRST_PROGRAM = README[README.index("## Your first program") : README.index("## The parts")]


async def test_the_walk_through_works(managed: Installation) -> None:
    await with_a_demo(managed)
    assert BLOCKS
    for block in BLOCKS:
        said, error = await shell(managed, block)
        assert said
        assert error == ""


async def test_the_first_program_of_the_readme_works_by_the_commands_and_by_curl(
    managed: Installation,
) -> None:
    await with_a_demo(managed)
    known = "export SELFHOST_DOMAIN=demo SELFHOST_TOKEN=root"
    assert known.removeprefix("export ") in README
    write, push, curl = re.findall(r"```sh\n(.*?)```", FIRST_PROGRAM, re.DOTALL)
    await shell(managed, write)
    said, _ = await shell(managed, f"{known}\n{push}")
    for expected in ("create  square", "done: create square", "square succeeded", "\n144\n", "info  squaring 12"):
        assert expected in said
    create, _, rest = curl.partition("PROGRAM=")
    made, _ = await shell(managed, create)
    said, _ = await shell(managed, f"PROGRAM={rest.replace('UUID-FROM-THE-ANSWER', json.loads(made)['uuid'])}")
    assert "144\n[" in said


async def with_a_demo(installation: Installation) -> None:
    """A domain called demo, and a worker."""
    await installation.add_domain("demo")
    await installation.worker().start()
    await installation.until_ready()

    async def taken_up() -> bool:
        return (await installation.call("GET", "/v2/programs", domain="demo")).status == 200

    await until(taken_up, "the manager has taken up the domain")


async def shell(installation: Installation, commands: str) -> tuple[str, str]:
    """What they say on standard output and error; each must end well."""
    server = f"127.0.0.1:{installation.manager_port}"
    environment = {
        "PATH": f"{JUVULN.parent}:{os.environ['PATH']}",
        "HOME": str(installation.folder),
        "SELFHOST_SERVER": f"http://{server}",
    }
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-ec",
        commands.replace("127.0.0.1:8097", server),
        cwd=installation.folder,
        env=environment,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    async with asyncio.timeout(2 * LIMIT_SECONDS):
        out, err = await process.communicate()
    assert process.returncode == 0, (out, err)
    return out.decode(), err.decode()


def test_every_command_is_in_the_page() -> None:
    names = [command.name for command in app.registered_commands]
    assert names
    missing = [name for name in names if not re.search(rf"\b{name}\b", PAGE)]
    assert missing == []
