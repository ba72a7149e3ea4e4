"""The command line of malgomaj: the daemon itself, and two commands for who writes programs."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from malgomaj.errors import UnusableInput
from malgomaj.exit_status import EXIT_INTERRUPTED, EXIT_LIMIT
from malgomaj.start import PROGRAM, run, settings_from
from shared.cli import CheckConfigOption, ConfigOption, daemon_app, exit_with, version_option
from shared.errors import ConfigurationError, SelfhostError
from shared.start import EXIT_USAGE, report_error
from shared.wire import MAX_DEADLINE_MS

if TYPE_CHECKING:
    from malgomaj.config import WorkerSettings

ModuleOption = Annotated[
    list[str] | None,
    typer.Option(
        "--module",
        metavar="NAME[@N]=PATH",
        help="The file that stands for a module that is imported, or for revision N of it; can be repeated.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

app = daemon_app(
    PROGRAM,
    "The Program Worker of Self-host: compiles and runs the programs that a program manager (juvuln) sends to it. "
    "Without a command it runs as a daemon, in the foreground, until SIGTERM.",
    epilog="Every setting can be given in the configuration file, or by an environment variable: the port is "
    "listen.port in the file and MALGOMAJ_LISTEN__PORT in the environment. Without either it listens on "
    "127.0.0.1:8096 and works for the manager on 127.0.0.1:8097.",
)


@app.callback(invoke_without_command=True)
def daemon(
    context: typer.Context,
    config: ConfigOption = None,
    check_config: CheckConfigOption = False,
    version: Annotated[bool, version_option(PROGRAM)] = False,
) -> None:
    if context.invoked_subcommand is None:
        exit_with(PROGRAM, lambda: run(config, check_only=check_config))


@app.command("check")
def check_command(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Programs and modules.", show_default=False)],
    module: ModuleOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Compile programs and modules, without running them.

    Says what is wrong, and where. Ends with 0 if all are good, 1 if one has an error, 2 if it was called wrongly, 3
    or 4 if one reached a limit.
    """

    def work() -> int:
        from malgomaj.local_commands import check_files, options_for

        options = options_for(_local_settings(context, config), domain="")
        return check_files(options, files, module or [], as_json=as_json)

    _exit_with(work)


@app.command("run")
def run_command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The program.", show_default=False)],
    deadline: Annotated[
        int, typer.Option(metavar="MS", min=0, max=MAX_DEADLINE_MS, help="The deadline in ms; 0 is the longest.")
    ] = MAX_DEADLINE_MS,
    module: ModuleOption = None,
    request: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Call it as a webhook; POST where other parts are given.")
    ] = None,
    header: Annotated[list[str] | None, typer.Option(metavar="NAME:VALUE", help="A header; can be repeated.")] = None,
    body: Annotated[Path | None, typer.Option(metavar="FILE|-", help="The body: a file, or standard input.")] = None,
    path: Annotated[str | None, typer.Option(help="The path of the call; / unless given.")] = None,
    query: Annotated[str | None, typer.Option(help="The query of the call, such as a=1&b=2.")] = None,
    domain: Annotated[str, typer.Option(help="The domain whose rules for HTTP calls apply (egress.domains).")] = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Run a program in a file, as the daemon would.

    Under the limits of the configuration, in a process as the daemon's programs have. Its log lines go to standard
    error, a webhook's answer to standard output. Ends with 0 if the program ended well, 1 after an error in the
    program, 2 if it was called wrongly, 3 at the deadline, 4 at another limit or after a crash.
    """

    def work() -> int:
        from malgomaj.local_commands import Call, options_for, read_order, run_order

        settings = _local_settings(context, config)
        is_call = any(part is not None for part in (request, header, body, path, query))
        call = Call(request or "POST", path or "/", query or "", header or [], body) if is_call else None
        order = read_order(file, module or [], call, deadline, settings.limits.body_bytes)
        return run_order(options_for(settings, domain), order, as_json=as_json)

    _exit_with(work)


def _local_settings(context: typer.Context, config: Path | None) -> "WorkerSettings":
    """Those of the daemon; ``--config`` may stand before the command or after it."""
    from malgomaj.local_commands import without_configuration
    from shared.logging import configure_logging

    settings, config_file = settings_from(config or context.find_root().params["config"])
    configure_logging(PROGRAM, log_format=settings.log.format, level="error")
    return settings if config_file else without_configuration(settings)


def _exit_with(work: Callable[[], int]) -> NoReturn:
    """End with the status that ``work`` gives, or with the one that stands for what it raises."""
    try:
        status = work()
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    except (ConfigurationError, UnusableInput) as error:
        report_error(PROGRAM, error)
        status = EXIT_USAGE
    except OSError as error:
        report_error(PROGRAM, SelfhostError(f"standard output cannot be written: {error.strerror}"))
        # Python would try again at its end, and complain in its own words.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = EXIT_USAGE
    except SelfhostError as error:
        report_error(PROGRAM, error)
        status = EXIT_LIMIT
    raise typer.Exit(status)
