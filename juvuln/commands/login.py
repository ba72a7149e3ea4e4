"""`juvuln login`: make a profile, so that the other commands need no options. Or say what they would use."""

import getpass
import os
import sys
from typing import Annotated

import typer

from juvuln.commands.connection import (
    DEFAULT,
    DEFAULT_SERVER,
    Connection,
    DomainOption,
    Options,
    ProfileOption,
    ServerOption,
    Setting,
    TokenOption,
    client_for,
    find_connection,
    profile_name,
    resolve,
    warn,
    warn_if_readable,
)
from juvuln.commands.endings import ends_well_or_says_why
from juvuln.commands.errors import UsageError
from juvuln.commands.profile import Profile, profile_file, read_profiles, write_profile
from shared.terminal import harmless

ASKED = "standard input"


@ends_well_or_says_why
def login(
    token_stdin: Annotated[bool, typer.Option("--token-stdin", help="Read the token from standard input.")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Say where server, domain and token come from, and change nothing.")
    ] = False,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Keep server, domain and token in a profile.

    Then the other commands need not be told them. Asks for what neither the options nor the environment say, and keeps
    only what the server accepts.
    """
    options = Options(server, domain, token, profile)
    path = profile_file(os.environ)
    if show:
        _show(find_connection(options))
        return
    read_profiles(path)  # whether it can be written is better known before a token is typed
    name = profile_name(options, os.environ)
    connection = _asked(resolve(options, os.environ, name, None), token_stdin)
    client = client_for(connection)
    warn_if_readable(client.server)
    client.check()
    write_profile(path, name, Profile(connection.server.value, client.domain, _value(connection.token)))
    print(f"profile {name}: domain {client.domain} on {client.server.url}; kept in {path}")


def _show(connection: Connection) -> None:
    from juvuln.commands.transport import Server

    for name, setting, shown in (
        ("server", connection.server, Server.parse(connection.server.value).url),
        ("domain", connection.domain, _value(connection.domain)),
        ("token", connection.token, "***"),
    ):
        print(f"{name:<8}{harmless(shown)}  ({setting.source})" if setting else f"{name:<8}not known")
    for warning in connection.warnings:
        warn(warning)


def _asked(connection: Connection, token_stdin: bool) -> Connection:
    """With what was missing, from who sits at the terminal; the token without showing it. Raises UsageError."""
    server, domain, token = connection.server, connection.domain, connection.token
    if token_stdin:
        token = Setting(sys.stdin.readline().rstrip("\r\n"), ASKED)
    if (domain is None or token is None) and (token_stdin or not sys.stdin.isatty()):
        raise UsageError("nobody can be asked here: give --domain, and the token by --token-stdin or SELFHOST_TOKEN")
    if domain is None:
        if server.source == DEFAULT:
            server = Setting(_ask(f"Server [{DEFAULT_SERVER}]: ") or DEFAULT_SERVER, ASKED)
        domain = Setting(_ask("Domain: "), ASKED)
    if token is None:
        token = Setting(_ask_secretly("Token: "), ASKED)
    for name, setting in (("domain", domain), ("token", token)):
        if not setting.value:
            raise UsageError(f"a {name} is needed")
    return Connection(server, domain, token)


def _ask(question: str) -> str:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _ask_secretly(question: str) -> str:
    try:
        return getpass.getpass(question, stream=sys.stderr)
    except EOFError:
        return ""


def _value(setting: Setting | None) -> str:
    return setting.value if setting else ""
