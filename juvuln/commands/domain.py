"""`juvuln domain …`: the domains that the manager serves, and their databases."""

import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from juvuln.commands.endings import PROGRAM, ends_well_or_says_why
from juvuln.commands.errors import UsageError
from juvuln.commands.output import counted, print_json
from shared.cli import ConfigOption
from shared.errors import SelfhostError
from shared.start import EXIT_FAILURE

if TYPE_CHECKING:
    from juvuln.domains.check import Finding
    from juvuln.runs.paused_domains import PausedDomains

app = typer.Typer(
    name="domain",
    help="The domains that the manager serves, and their databases.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The domain.", show_default=False)]
UrlArgument = Annotated[
    str,
    typer.Argument(
        metavar="URL",
        envvar="SELFHOST_DATABASE_URL",
        help="Its database: postgresql://… or sqlite:///…; - reads it from standard input. Others on this machine "
        "can see what is written on a command line, so a URL with a password is better given by either.",
        show_default=False,
    ),
]
DomainFileOption = Annotated[
    Path | None,
    typer.Option("--domainfile", metavar="FILE", help="The domain file; else the one that the configuration names."),
]


class NotListedError(SelfhostError):
    """The domain file has no such domain."""


@app.command("init")
@ends_well_or_says_why
def init(
    name: NameArgument,
    url: UrlArgument,
    notify: Annotated[
        bool, typer.Option("--notify", help="Have it tell at once when its programs change (PostgreSQL).")
    ] = False,
    add: Annotated[bool, typer.Option("--add", help="Add it to the domain file, too.")] = False,
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="TOKEN", help="The token of the user root; `root` if none is given."),
    ] = None,
    random_token: Annotated[
        bool, typer.Option("--random-token", help="Make up the token of the user root, and print it, once.")
    ] = False,
    domainfile: DomainFileOption = None,
    config: ConfigOption = None,
) -> None:
    """Make a domain in an empty database.

    Makes the tables that are missing, and the user root. A domain that is complete is left as it is. A
    database with other things in it is refused.
    """
    import secrets

    from juvuln.domains.create import PUBLIC_TOKEN
    from juvuln.domains.edit import add_domain, check_addition

    if token is not None and random_token:
        raise UsageError("--token and --random-token: one of them")
    if token == "":
        raise UsageError("--token: must not be empty")
    url = _database_url(name, url)
    if notify and not url.startswith("postgres"):
        raise UsageError("--notify: only a domain in PostgreSQL can tell when its programs change")
    path = _domain_file(domainfile, config, may_be_new=True) if add else None
    if path is not None:
        check_addition(path, name, url)
    given = secrets.token_urlsafe(32) if random_token else token or PUBLIC_TOKEN
    if _make(name, url, given, notify=notify):
        print(f"domain {name}: made, its user is root")
        if random_token:
            print(f"its token, which is shown only now: {given}")
        elif token is None:
            _warn("the token of its user root is `root`, which everybody knows; --random-token makes up another")
    else:
        print(
            f"domain {name}: is complete; nothing was changed in it"
            + (", its tokens stay" if token or random_token else "")
        )
    if notify:
        print(f"domain {name}: tells when its programs change")
    if path is not None:
        _say_added(name, path, added=add_domain(path, name, url))


def _make(name: str, url: str, token: str, *, notify: bool) -> bool:
    import asyncio
    from datetime import UTC, datetime

    from juvuln.database import open_engine
    from juvuln.domains.create import create_domain, require_ours
    from juvuln.domains.notify import install

    async def make() -> bool:
        engine = open_engine(url, create=True)
        try:
            made = await create_domain(engine, name, datetime.now(UTC), token)
            if notify:
                await require_ours(engine, name)
                await install(engine)
        finally:
            await engine.dispose()
        return made

    return asyncio.run(make())


@app.command("list")
@ends_well_or_says_why
def list_domains(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    domainfile: DomainFileOption = None,
    config: ConfigOption = None,
) -> None:
    """The domains of the domain file, and how they are.

    Where they are, how many programs they have, whether they can be reached.
    """
    from juvuln.commands.table import Cell, format_table
    from juvuln.commands.terminal import Colour, standard_output

    findings = _look_at(_listed(domainfile, config))
    if as_json:
        print_json([_as_json(finding) for finding in findings])
        return
    if not findings:
        print("there is no domain")
        return
    rows = [
        (
            finding.name,
            finding.kind,
            finding.place,
            "-" if finding.programs is None else str(finding.programs),
            Cell(finding.faults[0], Colour.RED) if finding.faults else Cell("good", Colour.GREEN),
        )
        for finding in findings
    ]
    headings = ("NAME", "KIND", "DATABASE", "PROGRAMS", "STATE")
    print("\n".join(format_table(headings, rows, standard_output(), whole=("NAME",))))


@app.command("check")
@ends_well_or_says_why
def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Only these.", show_default=False)] = None,
    domainfile: DomainFileOption = None,
    config: ConfigOption = None,
) -> None:
    """Connect to the domains' databases, and say what is wrong.

    The status is 1 if anything is.
    """
    from shared.terminal import harmless

    listed = _listed(domainfile, config)
    for name in names or []:
        _require_listed(name, listed)
    findings = _look_at({name: url for name, url in listed.items() if not names or name in names})
    for finding in findings:
        for fault in finding.faults:
            print(harmless(f"{finding.name}: {fault}"))
        if not finding.faults:
            print(harmless(f"{finding.name}: good, {counted(finding.programs, 'program')}"))
        for remark in finding.remarks:
            print(harmless(f"{finding.name}: note: {remark}"))
    if any(finding.faults for finding in findings):
        raise typer.Exit(EXIT_FAILURE)


@app.command("add")
@ends_well_or_says_why
def add_command(
    name: NameArgument, url: UrlArgument, domainfile: DomainFileOption = None, config: ConfigOption = None
) -> None:
    """Add a domain to the domain file.

    A running manager takes it up within two seconds. The database is not looked at: see `juvuln domain check`.
    """
    from juvuln.domains.edit import add_domain

    url = _database_url(name, url)
    path = _domain_file(domainfile, config, may_be_new=True)
    _say_added(name, path, added=add_domain(path, name, url))


@app.command("remove")
@ends_well_or_says_why
def remove(name: NameArgument, domainfile: DomainFileOption = None, config: ConfigOption = None) -> None:
    """Take a domain out of the domain file.

    A running manager lets go of it within two seconds. The database stays as it is.
    """
    from juvuln.domains.edit import remove_domain

    path = _domain_file(domainfile, config)
    if not remove_domain(path, name):
        _require_listed(name, {})
    print(f"domain {name}: taken out of {path}; its database stays")


@app.command("pause")
@ends_well_or_says_why
def pause(name: NameArgument, domainfile: DomainFileOption = None, config: ConfigOption = None) -> None:
    """Run nothing of a domain until it is resumed.

    What is under way goes on. Due times are recorded as skipped, in one record for each routine, when it is resumed.
    """
    from juvuln.clock import Clock

    _require_listed(name, _listed(domainfile, config))
    done = _in_record(config, lambda paused: paused.pause(name, Clock().now_ms()))
    print(f"domain {name}: {'paused' if done else 'is paused already'}")


@app.command("resume")
@ends_well_or_says_why
def resume(name: NameArgument, config: ConfigOption = None) -> None:
    """Go on with a domain that was paused."""
    done = _in_record(config, lambda paused: paused.resume(name))
    print(f"domain {name}: {'resumed' if done else 'is not paused'}")


def _in_record(config: Path | None, change: "Callable[[PausedDomains], Awaitable[bool]]") -> bool:
    """Change which domains are paused, where the manager keeps it: a running one looks every other second."""
    import asyncio

    from juvuln.config import JuvulnSettings
    from juvuln.runs.record import open_record
    from shared.config import find_config_file, load_settings

    settings = load_settings(JuvulnSettings, find_config_file(config, os.environ), os.environ)

    async def make() -> bool:
        async with open_record(settings.effective_database, settings.effective_name, lambda _: None) as record:
            return await change(record.paused_domains)

    return asyncio.run(make())


def _database_url(name: str, url: str) -> str:
    """The URL as it belongs into the domain file. Raises UsageError, for the name too."""
    from juvuln.domains.file import domain_fault

    if url == "-":
        url = sys.stdin.readline().strip()
    if fault := domain_fault(name, url):
        raise UsageError(fault)
    relative = url.removeprefix("sqlite:///")
    # The daemon does not run in the folder in which this is typed.
    return f"sqlite:///{Path(relative).absolute()}" if relative != url else url


def _domain_file(domainfile: Path | None, config: Path | None, *, may_be_new: bool = False) -> Path:
    """The domain file that the daemon would read. Raises UsageError, ConfigurationError."""
    from juvuln.config import JuvulnSettings, domain_file_path
    from shared.config import find_config_file, load_settings
    from shared.errors import ConfigurationError

    if domainfile is not None:
        return domainfile
    config_file = find_config_file(config, os.environ)
    if config_file is None and "JUVULN_DOMAINFILE" not in os.environ:
        raise UsageError("which domain file? say --domainfile FILE, --config FILE, or set CONFIG_FILENAME")
    settings = load_settings(JuvulnSettings, config_file, os.environ)
    try:
        return domain_file_path(settings, config_file)
    except ConfigurationError:
        if not may_be_new or config_file is None:
            raise
        return config_file.parent / settings.domainfile


def _listed(domainfile: Path | None, config: Path | None) -> Mapping[str, str]:
    from juvuln.domains.file import read_domain_file

    return read_domain_file(_domain_file(domainfile, config))


def _look_at(urls: Mapping[str, str]) -> "list[Finding]":
    import asyncio

    from juvuln.domains.check import check_domains

    return list(asyncio.run(check_domains(urls)))


def _require_listed(name: str, listed: Mapping[str, str]) -> None:
    if name not in listed:
        raise NotListedError(f"there is no domain {name!r} in the domain file")


def _as_json(finding: "Finding") -> dict[str, object]:
    return {
        "name": finding.name,
        "kind": finding.kind,
        "database": finding.place,
        "programs": finding.programs,
        "reachable": finding.reachable,
        "faults": list(finding.faults),
        "remarks": list(finding.remarks),
    }


def _say_added(name: str, path: Path, *, added: bool) -> None:
    print(f"domain {name}: {'added to' if added else 'is already in'} {path}")


def _warn(text: str) -> None:
    print(f"{PROGRAM}: warning: {text}", file=sys.stderr)
