"""The manager as who runs it calls it: with the secret of manager and workers, where the configuration says.

The configuration, and the secret that it names, are those of the daemon, found as the daemon finds them.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from juvuln.commands.connection import warn_if_readable

if TYPE_CHECKING:
    from juvuln.commands.transport import Transport
    from juvuln.config import JuvulnSettings

ManagerOption = Annotated[
    str | None,
    typer.Option(
        "--server", metavar="URL", help="Where juvuln listens; else where its configuration says.", show_default=False
    ),
]


def call_manager(server: str | None, config: Path | None) -> "Transport":
    """The API with the daemon's own secret. Raises ConfigurationError, UsageError."""
    from juvuln.commands.transport import Server, Transport
    from juvuln.config import JuvulnSettings
    from shared.config import find_config_file, known_secret, load_settings

    settings = load_settings(JuvulnSettings, find_config_file(config, os.environ), os.environ)
    secret = "" if settings.auth == "open" else known_secret(settings)
    reached = Server.parse(server or _address(settings))
    warn_if_readable(reached)
    return Transport(reached, f"Bearer {secret}")


def _address(settings: "JuvulnSettings") -> str:
    host = settings.listen.host
    here = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - it listens there
    return f"http://{f'[{here}]' if ':' in here else here}:{settings.listen.port}"
