"""What docs/cli.md tells its reader to type works, from its first line to its last."""

import asyncio
import os
import re
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

from juvuln.commands.program import app
from tests.support.installation import Installation
from tests.support.juvuln_command import COMMAND, LIMIT_SECONDS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
WALK = PAGE[PAGE.index("## A walk through") : PAGE.index("## Programs")]
BLOCKS = re.findall(r"```sh\n(.*?)```", WALK, re.DOTALL)


async def test_the_walk_through_works(sqlite_installation: Installation) -> None:
    installation = sqlite_installation
    await installation.add_domain("demo")
    await installation.worker().start()
    await installation.until_ready()
    environment = {
        "PATH": f"{COMMAND.parent}:{os.environ['PATH']}",
        "HOME": str(installation.folder),
        "SELFHOST_SERVER": f"http://127.0.0.1:{installation.manager_port}",
    }
    assert BLOCKS
    for block in BLOCKS:
        shell = await asyncio.create_subprocess_exec(
            "sh", "-ec", block, cwd=installation.folder, env=environment, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )
        async with asyncio.timeout(2 * LIMIT_SECONDS):
            out, err = await shell.communicate()
        assert (shell.returncode, err) == (0, b""), (out, err)
        assert out


def test_every_command_is_in_the_page() -> None:
    names = [command.name for command in app.registered_commands]
    assert names
    missing = [name for name in names if not re.search(rf"\b{name}\b", PAGE)]
    assert missing == []
