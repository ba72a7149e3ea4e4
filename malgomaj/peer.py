"""The daemons that the worker calls: where they are, and what it shows them."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from shared.auth import BasicCredentials


class SharedSecret:
    """The secret that manager and workers share; it can be read again while the worker runs."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read
        self.value = read()

    def refresh(self) -> None:
        """Read it again. Raises ConfigurationError, and keeps the old one, if it cannot be read."""
        self.value = self._read()


@dataclass(frozen=True, slots=True)
class Peer:
    """A daemon reached over HTTP. ``base_url`` holds no credentials, so it may be logged."""

    base_url: str
    credentials: BasicCredentials | None

    @classmethod
    def at(cls, scheme: str, authority: str) -> "Peer":
        """The peer at ``scheme://authority``, where the authority may begin with ``user:password@``."""
        parts = urlsplit(f"{scheme}://{authority}")
        host = parts.netloc.rpartition("@")[2]
        credentials = None
        if parts.username is not None:
            credentials = BasicCredentials(unquote(parts.username), unquote(parts.password or ""))
        return cls(f"{scheme}://{host}", credentials)

    def headers(self, secret: SharedSecret) -> dict[str, str]:
        """What to show: the credentials of the authority where it has some, else the shared secret."""
        if self.credentials is not None:
            return {"Authorization": self.credentials.header()}
        return {"Authorization": f"Bearer {secret.value}"}
