"""Which starts of a daemon are plain ones, and that the others are left to the reader of command lines."""

import sys
from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from shared.start import EXIT_CONFIGURATION, EXIT_FAILURE, PlainStart, plain_start, start


@pytest.mark.parametrize(("arguments", "config"), [([], None), (["--config", "/etc/a b.yaml"], Path("/etc/a b.yaml"))])
def test_a_daemon_is_started_without_reading_more(arguments: list[str], config: Path | None) -> None:
    assert plain_start(arguments, {"PATH": "/bin"}) == PlainStart(config)


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["--help"],
        ["--version"],
        ["--check-config"],
        ["--config"],
        ["--config", ""],
        ["--config", "--help"],
        ["--config", "a.yaml", "status"],
        ["--config=a.yaml"],
        ["--", "status"],
        [""],
    ],
)
def test_everything_else_is_left_to_the_reader_of_command_lines(arguments: list[str]) -> None:
    assert plain_start(arguments, {}) is None


def test_a_shell_that_asks_how_to_go_on_is_no_start() -> None:
    assert plain_start([], {"_JUVULN_COMPLETE": "complete_bash"}) is None


def test_the_status_is_that_of_the_daemon(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["daemon"])
    monkeypatch.setitem(sys.modules, "rich", None)

    def refuse(_config: Path | None) -> int:
        raise ConfigurationError("listen.port: is no number\nlog.level: is no level")

    def interrupt(_config: Path | None) -> int:
        raise KeyboardInterrupt

    def never() -> None:
        raise AssertionError("there is nothing on the command line")

    assert start("daemon", lambda _: 1, never) == 1
    assert start("daemon", refuse, never) == EXIT_CONFIGURATION
    assert capsys.readouterr().err == "daemon: listen.port: is no number\ndaemon: log.level: is no level\n"
    assert start("daemon", interrupt, never) == EXIT_FAILURE
    assert capsys.readouterr().err == "\nAborted!\n"
