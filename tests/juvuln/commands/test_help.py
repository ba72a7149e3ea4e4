"""What `--help` shows can be read: of each command a whole sentence, in 80 columns."""

import pytest
import typer
from typer.testing import CliRunner

from juvuln.cli import app as juvuln
from juvuln.commands.domain import app as domain
from juvuln.commands.program import app as program
from juvuln.commands.worker import app as worker
from malgomaj.cli import app as malgomaj


@pytest.mark.parametrize("app", [juvuln, program, domain, worker, malgomaj])
def test_no_command_is_told_by_half_a_sentence(app: typer.Typer) -> None:
    shown = CliRunner().invoke(app, ["--help"], terminal_width=80).output
    _, _, commands = shown.partition("Commands:\n")
    assert commands
    assert "..." not in commands
