"""PostgreSQL URLs in the form of libpq.

asyncpg takes such URLs too, but sends every parameter that it does not know to the server, which then refuses the
connection. So a URL is taken apart here: what asyncpg knows is handed on, what it does not know is translated, ignored
because nothing depends on it, or refused because something does.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from shared.errors import ConfigurationError

CONNECT_TIMEOUT_SECONDS = 5.0
APPLICATION_NAME = "juvuln"

# fmt: off
HANDED_ON = frozenset((
    "user", "password", "dbname", "passfile", "service", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl",
    "sslpassword", "sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib",
))
"""What asyncpg reads in a URL itself."""

IGNORED = frozenset((
    "binary_parameters", "client_encoding", "default_query_exec_mode", "description_cache_capacity",
    "disable_prepared_binary_result", "gssdelegation", "keepalives", "keepalives_count", "keepalives_idle",
    "keepalives_interval", "load_balance_hosts", "max_protocol_version", "min_protocol_version",
    "min_read_buffer_size", "pool_health_check_period", "pool_max_conn_idle_time", "pool_max_conn_lifetime",
    "pool_max_conn_lifetime_jitter", "pool_max_conns", "pool_min_conns", "pool_min_idle_conns",
    "prefer_simple_protocol", "sslcompression", "sslsni", "statement_cache_capacity", "statement_cache_mode",
    "tcp_user_timeout",
))
"""How libpq and the drivers of Go go about their work: of no consequence for what is read and written."""
# fmt: on

HARMLESS = {"channel_binding": ("disable", "prefer"), "gssencmode": ("disable", "prefer"), "sslcertmode": ("allow",)}
"""These ask for nothing with one of these values, and with another for something that asyncpg cannot do."""

UNSUPPORTED = frozenset(["hostaddr", "krbspn", "replication", "require_auth", "requirepeer", "sslinline"])

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SESSION_ATTRIBUTES = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(?::(\d{1,5}))?")
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class UnreadableUrlError(ConfigurationError):
    """A URL that cannot be taken apart. Mostly its password has a character in it that has to be encoded."""

    def __init__(self) -> None:
        super().__init__(
            "this database URL cannot be read; write : / ? # @ and % in the user name and the password as %3A %2F %3F "
            "%23 %40 and %25"
        )


@dataclass(frozen=True, slots=True)
class Host:
    """A name, an address, or the folder of a Unix socket; None for what the environment or asyncpg says."""

    name: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        name = f"[{self.name}]" if self.name and ":" in self.name else self.name or "local"
        return name if self.port is None else f"{name}:{self.port}"


@dataclass(frozen=True, slots=True)
class PostgresqlUrl:
    """What a URL says."""

    hosts: tuple[Host, ...]
    """They are tried in this order."""
    options: Mapping[str, str] = field(repr=False)
    """What asyncpg is handed as it stands."""
    server_settings: Mapping[str, str] = field(repr=False)
    session: str
    """What a server has to be (libpq's ``target_session_attrs``)."""
    timeout_seconds: float
    """How long each host may take."""

    @property
    def place(self) -> str:
        """Where the database is, without credentials."""
        return f"{','.join(map(str, self.hosts))}/{self.options.get('dbname', '')}"


def parse_postgresql_url(url: str) -> PostgresqlUrl:
    """Take a URL apart. Raises ConfigurationError; the message repeats nothing of it but names of parameters."""
    parts = _split(url)
    credentials, _, netloc = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    options = {"user": _decoded(user), "password": _decoded(password), "dbname": _decoded(parts.path[1:])}
    options |= _parameters(parts.query)
    hosts = _hosts(netloc, options.pop("host", ""), options.pop("port", ""))
    options["dbname"] = options.pop("database", "") or options["dbname"]
    session = options.pop("target_session_attrs", "any")
    timeout = options.pop("connect_timeout", "0")
    _check_choice("sslmode", options.get("sslmode", "prefer"), SSL_MODES)
    _check_choice("target_session_attrs", session, SESSION_ATTRIBUTES)
    if not re.fullmatch(r"-?[0-9]{1,6}", timeout):
        raise ConfigurationError("connect_timeout: must be a number of seconds")
    return PostgresqlUrl(
        hosts=hosts,
        options={name: value for name, value in options.items() if name in HANDED_ON and value},
        server_settings=_server_settings(options),
        session=session,
        timeout_seconds=float(timeout) if int(timeout) > 0 else CONNECT_TIMEOUT_SECONDS,
    )


def _split(url: str) -> Any:
    """A special character in the password that is not percent-encoded ends up in another part of the URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UnreadableUrlError from None
    misplaced = "@" in f"{parts.path}{parts.query}" or parts.fragment
    if misplaced or BAD_ESCAPE.search(url) or not url.isprintable():
        raise UnreadableUrlError
    return parts


def _decoded(text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise UnreadableUrlError from None
    if "\0" in decoded:
        raise UnreadableUrlError
    return decoded


def _parameters(query: str) -> dict[str, str]:
    try:
        found = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict"))
    except ValueError:
        raise UnreadableUrlError from None
    for name, value in found.items():
        if "\0" in value or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name):
            raise UnreadableUrlError
        if name in UNSUPPORTED or value not in HARMLESS.get(name, (value,)):
            raise ConfigurationError(f"{name}: is not supported in a database URL; leave it out")
    return {name: value for name, value in found.items() if name not in IGNORED and name not in HARMLESS}


def _hosts(netloc: str, names: str, ports: str) -> tuple[Host, ...]:
    """The hosts before the path; those of the parameters ``host`` and ``port`` go before them."""
    hosts = [_host(each) for each in netloc.split(",")]
    if names:
        hosts = [_host(each) if each[:1] != "/" else Host(each) for each in names.split(",")]
    if ports:
        numbers = [_port(each) for each in ports.split(",")]
        if len(numbers) not in (1, len(hosts)):
            raise ConfigurationError("port: must be one number, or as many as there are hosts")
        hosts = [Host(host.name, numbers[index % len(numbers)]) for index, host in enumerate(hosts)]
    return tuple(hosts)


def _host(text: str) -> Host:
    match = HOST_AND_PORT.fullmatch(text)
    if match is None:
        raise UnreadableUrlError
    return Host(_decoded(match[1]).strip("[]") or None, _port(match[2]) if match[2] else None)


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ConfigurationError("port: must be a number from 1 to 65535")
    return int(text)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name}: must be one of {', '.join(choices)}")


def _server_settings(options: Mapping[str, str]) -> dict[str, str]:
    """What is no parameter of a connection is a setting of the session, such as ``search_path``."""
    settings = {name: value for name, value in options.items() if name not in HANDED_ON}
    fallback = settings.pop("fallback_application_name", APPLICATION_NAME)
    return {"application_name": fallback} | settings
