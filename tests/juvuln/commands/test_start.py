"""The commands start in a blink: none of them imports what the daemon is made of."""

import subprocess
import sys

HEAVY = (
    "aiohttp",
    "pydantic",
    "sqlalchemy",
    "structlog",
    "alembic",
    "asyncpg",
    "uvloop",
    "prometheus_client",
    "ruamel",
)

IMPORTS = f"""
import sys
import juvuln.cli
from juvuln.commands import client, follow, log_lines, next_due, programs_table, runs_table, source_output, watch
from juvuln.commands.connection import connect
connect("http://127.0.0.1:1", "domain", "token", None)
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_the_commands_that_talk_to_the_api_import_nothing_heavy() -> None:
    ended = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "[]\n"
