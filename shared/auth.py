"""Who may talk to whom: the secret that manager and workers share, and HTTP's Authorization header."""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import os
import secrets
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from shared.errors import ConfigurationError

MIN_SECRET_LENGTH = 16


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """User and password of HTTP Basic authentication. The password stays out of the repr."""

    user: str
    password: str = field(repr=False)

    def header(self) -> str:
        encoded = base64.b64encode(f"{self.user}:{self.password}".encode())
        return f"Basic {encoded.decode('ascii')}"


def parse_basic(header: str | None) -> BasicCredentials | None:
    """The credentials in an Authorization header, or None where there are none that can be read."""
    scheme, _, value = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, separator, password = base64.b64decode(value.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return BasicCredentials(user, password) if separator else None


def parse_bearer(header: str | None) -> str | None:
    """The token of an ``Authorization: Bearer`` header, or None."""
    scheme, _, value = (header or "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" and value.strip() else None


def same_secret(given: str, expected: str) -> bool:
    """Whether two secrets are equal, in a time that does not depend on where they differ."""
    # A header may bring bytes that are no UTF-8; aiohttp hands them on as surrogates.
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())


def sha256(text: str) -> bytes:
    """How a domain stores a token (Self-host contract: ``user_tokens.token_hash``)."""
    return hashlib.sha256(text.encode()).digest()


def load_or_create_secret(path: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
    """The shared secret kept in ``path``; made there, readable by its owner only, if there is none yet.

    Two daemons that start at the same moment end up with the same secret. Raises ConfigurationError if the file
    cannot be read or made, is open to others, or holds no proper secret.
    """
    try:
        if not path.exists():
            _create_secret(path, make())
        mode = path.stat().st_mode
        content = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise ConfigurationError(f"{path}: the shared secret cannot be read or made: {reason}") from error
    if mode & 0o077:
        raise ConfigurationError(f"{path}: others can read the shared secret; do: chmod 600 {path}")
    if len(content) < MIN_SECRET_LENGTH:
        raise ConfigurationError(
            f"{path}: the shared secret has {len(content)} characters; it needs at least {MIN_SECRET_LENGTH}"
        )
    return content


def _create_secret(path: Path, secret: str) -> None:
    """Write the whole secret under another name, then link it: nobody ever reads half of it or replaces another's."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secret + "\n")
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def is_loopback(host: str) -> bool:
    """Whether everything that ``host`` stands for is this machine's loopback."""
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(addresses) and all(ipaddress.ip_address(str(address)).is_loopback for address in addresses)
