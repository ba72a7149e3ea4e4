"""What the processes at rest have not loaded: a library that nobody needs there takes megabytes for years."""

import subprocess
import sys
from pathlib import Path

import pytest

from tengo_bridge.library import DEFAULT_PATH

CHECK_CONFIGURATION = """
import sys
from shared.start import start
from {daemon}.start import run
sys.argv = ["{daemon}"]
assert start("{daemon}", lambda config: run(config, check_only=True), lambda: None) == 0
"""
MAKE_RECORD = """
import asyncio
from juvuln.runs.record import open_record

async def make_record():
    async with open_record("sqlite:///record.db", "manager", lambda problem: None):
        pass

asyncio.run(make_record())
"""
MANAGER = CHECK_CONFIGURATION.format(daemon="juvuln") + MAKE_RECORD
WORKER = CHECK_CONFIGURATION.format(daemon="malgomaj") + "import malgomaj.worker"
EXECUTOR = f"""
import sys
sys.path.insert(0, {str(Path(DEFAULT_PATH).parent.parent)!r})
from tengo_bridge.executor import main
sys.argv = ["executor.py", "--fd", "0", "--parent", "0"]
assert main() == 1
"""


@pytest.mark.parametrize(
    ("code", "options", "needless"),
    [
        pytest.param(
            MANAGER,
            [],
            [
                "alembic",
                "asyncpg",
                "juvuln.commands",
                "prometheus_client",
                "pydantic.networks",
                "rich",
                "sqlalchemy.dialects.postgresql",
                "sqlalchemy.ext.asyncio",
                "sqlalchemy.orm",
                "typer",
            ],
            id="the manager, on SQLite",
        ),
        pytest.param(
            WORKER,
            [],
            ["prometheus_client", "pydantic.networks", "rich", "sqlalchemy", "typer", "yaml"],
            id="the worker",
        ),
        pytest.param(
            EXECUTOR,
            ["-I", "-S"],
            ["argparse", "asyncio", "pathlib", "pydantic", "re", "shutil", "signal", "typing"],
            id="an executor",
        ),
    ],
)
def test_nothing_is_loaded_that_nobody_needs(
    tmp_path: Path, code: str, options: list[str], needless: list[str]
) -> None:
    (tmp_path / "domains.yaml").write_text("domains: {}\n")
    ask = f"print([name for name in {needless} if sys.modules.get(name)])"
    ended = subprocess.run(
        [sys.executable, *options, "-c", f"{code}\n{ask}"],
        cwd=tmp_path,
        env={"JUVULN_DOMAINFILE": str(tmp_path / "domains.yaml")} if not options else {},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout.splitlines()[-1] == "[]"
