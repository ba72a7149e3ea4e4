"""Connecting to PostgreSQL as a URL says.

Nothing but this imports asyncpg, and this is imported where a database is in PostgreSQL: with what SQLAlchemy has for
it, that is five megabytes that a manager on SQLite does without.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg

from juvuln.postgresql import Host, PostgresqlUrl

COMMAND_TIMEOUT_SECONDS = 30.0


async def connect(url: PostgresqlUrl) -> Any:
    """A connection to the first host that is there and is what is asked for.

    Raises what asyncpg raises, for the last of the hosts.
    """
    sessions = ("standby", "any") if url.session == "prefer-standby" else (url.session,)
    attempts = [(host, session) for session in sessions for host in url.hosts]
    for host, session in attempts[:-1]:
        try:
            return await _connect_to(url, host, session)
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched):
            continue
    return await _connect_to(url, *attempts[-1])


async def _connect_to(url: PostgresqlUrl, host: Host, session: str) -> Any:
    try:
        return await asyncpg.connect(
            f"postgresql://?{urlencode(url.options)}",
            host=host.name,
            port=host.port,
            ssl=_ssl_by_system_roots(url.options),
            server_settings=dict(url.server_settings),
            target_session_attrs=session,
            timeout=url.timeout_seconds,
            command_timeout=COMMAND_TIMEOUT_SECONDS,
        )
    except ssl.SSLError:
        raise  # some of them are ValueErrors, too
    except ValueError:
        # asyncpg's words repeat what it could not read, which may be a part of the password.
        raise asyncpg.InterfaceError("its URL, or a setting in it, cannot be used") from None


def _ssl_by_system_roots(options: Mapping[str, str]) -> ssl.SSLContext | None:
    """To verify by the machine's own roots: with ``sslrootcert=system``, and, as the drivers of Go do, with none given
    and none in the home folder. None leaves it all to asyncpg.
    """
    roots, mode = options.get("sslrootcert"), options.get("sslmode", "prefer")
    if roots != "system" and (roots or not mode.startswith("verify") or _has_roots_of_its_own()):
        return None
    context = ssl.create_default_context()
    context.check_hostname = roots == "system" or mode == "verify-full"
    if certificate := options.get("sslcert"):
        context.load_cert_chain(certificate, options.get("sslkey"), lambda: options.get("sslpassword", ""))
    return context


def _has_roots_of_its_own() -> bool:
    try:
        return (Path.home() / ".postgresql" / "root.crt").exists()
    except RuntimeError:
        return False
