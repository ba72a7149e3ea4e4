"""Which server a command talks to, for which domain and with which token: options, environment, profile, in this order.

Every command that talks to the API has the four options of this module, and makes its client with :func:`connect`.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from juvuln.commands.endings import PROGRAM
from juvuln.commands.errors import UsageError
from juvuln.commands.profile import DEFAULT_PROFILE, Profile, profile_file, read_profiles

if TYPE_CHECKING:
    from juvuln.commands.client import ApiClient
    from juvuln.commands.transport import Server

DEFAULT_SERVER = "http://127.0.0.1:8097"
DEFAULT = "the default"

ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help=f"Where juvuln listens; else SELFHOST_SERVER, the profile, {DEFAULT_SERVER}.",
        show_default=False,
    ),
]
DomainOption = Annotated[
    str | None,
    typer.Option("--domain", metavar="NAME", help="The domain; else SELFHOST_DOMAIN, the profile.", show_default=False),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        help="A token of the domain; else SELFHOST_TOKEN, the profile, which others cannot see.",
        show_default=False,
    ),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help=f"A profile that `juvuln login` made; else SELFHOST_PROFILE, {DEFAULT_PROFILE}.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Setting:
    """A value, and who said so."""

    value: str = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True)
class Connection:
    """What is known of where to go and as whom."""

    server: Setting
    domain: Setting | None
    token: Setting | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    server: str | None = None
    domain: str | None = None
    token: str | None = field(default=None, repr=False)
    profile: str | None = None


def profile_name(options: Options, environ: Mapping[str, str]) -> str:
    return options.profile or environ.get("SELFHOST_PROFILE") or DEFAULT_PROFILE


def chosen_profile(
    options: Options, environ: Mapping[str, str], profiles: Mapping[str, Profile]
) -> tuple[str, Profile | None]:
    """The profile's name, and what is in it. Raises UsageError if one is asked for that there is not."""
    name = profile_name(options, environ)
    if name not in profiles and (options.profile or environ.get("SELFHOST_PROFILE")):
        known = f"there are: {', '.join(sorted(profiles))}" if profiles else "there is none yet"
        raise UsageError(f"there is no profile {name!r}; {known}; `juvuln login --profile {name}` makes it")
    return name, profiles.get(name)


def resolve(options: Options, environ: Mapping[str, str], name: str, profile: Profile | None) -> Connection:
    """Each setting from the first place that has it; ``name`` is the profile's."""
    source = f"profile {name}"

    def first(option: str | None, key: str, kept: str | None) -> Setting | None:
        variable = f"SELFHOST_{key.upper()}"
        if option:
            return Setting(option, f"--{key}")
        if environ.get(variable):
            return Setting(environ[variable], variable)
        return Setting(kept, source) if kept else None

    server = first(options.server, "server", profile.server if profile else None) or Setting(
        DEFAULT_SERVER, "the default"
    )
    domain = first(options.domain, "domain", profile.domain if profile else None)
    token = first(options.token, "token", profile.token if profile else None)
    return Connection(server, domain, token, _warnings(profile, server, token, source))


def _warnings(profile: Profile | None, server: Setting, token: Setting | None, source: str) -> tuple[str, ...]:
    """A token that was kept for one server and is about to be shown to another."""
    if profile is None or token is None or token.source != source:
        return ()
    if server.value.rstrip("/") == profile.server.rstrip("/"):
        return ()
    return (f"the token of {source}, made for {profile.server}, goes to {server.value} ({server.source})",)


def find_connection(options: Options) -> Connection:
    """As the command line, the environment and the profile file say. Raises UsageError."""
    name, profile = chosen_profile(options, os.environ, read_profiles(profile_file(os.environ)))
    return resolve(options, os.environ, name, profile)


def connect(server: str | None, domain: str | None, token: str | None, profile: str | None) -> "ApiClient":
    """The API as these options, the environment and the profile say. Warns of what is unsafe. Raises UsageError."""
    connection = find_connection(Options(server, domain, token, profile))
    client = client_for(connection)
    for warning in connection.warnings:
        warn(warning)
    warn_if_readable(client.server)
    return client


def client_for(connection: Connection, timeout_seconds: float | None = None) -> "ApiClient":
    """Raises UsageError if no domain or token is known."""
    from juvuln.commands.client import ApiClient
    from juvuln.commands.transport import TIMEOUT_SECONDS, Server

    if connection.domain is None or connection.token is None:
        missing = " and ".join(
            name for name, known in (("domain", connection.domain), ("token", connection.token)) if known is None
        )
        raise UsageError(
            f"no {missing} is known: `juvuln login` asks for them once;\n"
            "or say --domain and --token, or set SELFHOST_DOMAIN and SELFHOST_TOKEN"
        )
    if ":" in connection.domain.value:
        raise UsageError("a domain's name has no colon")
    server = Server.parse(connection.server.value)
    return ApiClient(server, connection.domain.value, connection.token.value, timeout_seconds or TIMEOUT_SECONDS)


def warn(text: str) -> None:
    print(f"{PROGRAM}: warning: {text}", file=sys.stderr)


def warn_if_readable(server: "Server") -> None:
    """A token that crosses a network in plain HTTP can be read there."""
    from shared.auth import is_loopback

    if server.scheme == "http" and not is_loopback(server.host):
        warn(f"{server.url} is not encrypted: the token and all code can be read on the way; use https")
