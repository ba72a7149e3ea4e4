"""The commands start in a blink: none of them imports what the daemon is made of."""

import subprocess
import sys

HEAVY = ("aiohttp", "pydantic", "sqlalchemy", "structlog", "asyncpg", "uvloop", "prometheus_client", "ruamel")
NEEDED_BY_FEW = ("asyncio", "ssl", "importlib.metadata", "yaml")

IMPORTS = f"""
import sys
import juvuln.cli
from juvuln.commands import client, follow, log_lines, next_due, programs_table, runs_table, source_output, watch
from juvuln.commands.connection import connect
connect("http://127.0.0.1:1", "domain", "token", None)
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_a_command_imports_what_it_needs_when_it_is_called() -> None:
    code = f"import sys, juvuln.cli; print([name for name in {HEAVY + NEEDED_BY_FEW} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "[]\n"


def test_the_commands_that_talk_to_the_api_import_nothing_heavy() -> None:
    ended = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "[]\n"
