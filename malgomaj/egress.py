"""Where programs may call over HTTP: the settings, and what an executor and its environment are told of them."""

import ipaddress
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from shared.config import FromJson, Section
from shared.errors import ConfigurationError

MAX_CERTIFICATES_BYTES = 4 * 1024 * 1024
"""What an executor is configured with has to fit into one frame."""

NO_PROXY, PROXY_OF_ENVIRONMENT = "none", "environment"
PROXY_SCHEMES = ("http", "https", "socks5")
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
NETWORK_CLASSES = frozenset({"public", "private", "loopback"})

_HOST = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


def _checked_host(text: str) -> str:
    host = text.lower().removesuffix(".")
    if host != "*" and not _HOST.fullmatch(host) and not _is_address(host):
        raise ValueError(
            f"'{text}' is no host: give a name such as api.example.org (without scheme and port), "
            "*.example.org for all names below it, or *"
        )
    return host


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _checked_network(text: str) -> str:
    if text in NETWORK_CLASSES:
        return text
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(
            f"'{text}' is no network: give public, private, loopback, an address, or a network such as 10.0.0.0/8 "
            f"({error})"
        ) from None


def _port_range(value: object) -> object:
    """The first and the last port."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("a port is a number such as 443, or a range such as 8000-8099")
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", str(value))
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last <= 65535:
        raise ValueError(f"'{value}' is no port: give a number from 1 to 65535, or a range such as 8000-8099")
    return first, last


def _not_empty(allowed: tuple[str, ...]) -> tuple[str, ...]:
    if not allowed:
        raise ValueError('must name something; to allow no calls at all set deny.hosts to ["*"]')
    return allowed


def _checked_proxy(text: str) -> str:
    """The message must not repeat it: it may hold a password."""
    if text in (NO_PROXY, PROXY_OF_ENVIRONMENT):
        return text
    try:
        parts = urlsplit(text)
        well_formed = parts.scheme in PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        well_formed = False
    if not well_formed:
        raise ValueError(f"must be none, environment, or a URL that begins with {', '.join(PROXY_SCHEMES)}")
    return text


PortRange = Annotated[tuple[int, int], BeforeValidator(_port_range)]
Hosts = Annotated[tuple[Annotated[str, AfterValidator(_checked_host)], ...], FromJson]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_checked_network)], ...], FromJson]
SomeHosts = Annotated[Hosts, AfterValidator(_not_empty)]
SomeNetworks = Annotated[Networks, AfterValidator(_not_empty)]
Ports = Annotated[tuple[PortRange, ...], FromJson]
Proxy = Annotated[str, AfterValidator(_checked_proxy)]


class AllowSection(Section):
    """A call needs one of each kind on its side. To allow nothing, deny the host ``*``."""

    hosts: SomeHosts = ("*",)
    networks: SomeNetworks = ("public",)
    ports: Ports = ()
    """None at all stands for every port."""


class DenySection(Section):
    """One of any kind is enough against a call."""

    hosts: Hosts = ()
    networks: Networks = ()
    ports: Ports = ()


class DomainAllowSection(Section):
    """What is given here stands instead of the worker's list of that kind."""

    hosts: SomeHosts | None = None
    networks: SomeNetworks | None = None
    ports: Ports | None = None


class DomainEgressSection(Section):
    allow: DomainAllowSection = DomainAllowSection()
    deny: DenySection = DenySection()
    """Added to what the worker denies."""


class EgressSection(Section):
    allow: AllowSection = AllowSection()
    deny: DenySection = DenySection()
    proxy: Proxy = Field(default=NO_PROXY, repr=False)
    certificates: Path | None = None
    """A PEM file of authorities to trust besides those of the machine."""
    domains: Annotated[dict[str, DomainEgressSection], FromJson] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """The settings together with what they refer to outside: a file, the environment."""

    section: EgressSection
    certificates_pem: str = ""
    proxy_variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The environment of executors, as far as proxies go."""

    def rules_for(self, domain: str) -> dict[str, Any]:
        """What the executor of ``domain`` is told: the key ``egress`` of its CONFIGURE frame."""
        own = self.section.domains.get(domain, DomainEgressSection())
        allow, deny = self.section.allow, self.section.deny
        return {
            "allow": {
                "hosts": own.allow.hosts or allow.hosts,
                "networks": own.allow.networks or allow.networks,
                "ports": allow.ports if own.allow.ports is None else own.allow.ports,
            },
            "deny": {
                "hosts": deny.hosts + own.deny.hosts,
                "networks": deny.networks + own.deny.networks,
                "ports": deny.ports + own.deny.ports,
            },
            "proxy": self.section.proxy != NO_PROXY,
            "certificates_pem": self.certificates_pem,
        }


def load_egress(section: EgressSection, environ: Mapping[str, str]) -> EgressPolicy:
    """Read what the settings refer to. Raises ConfigurationError if the certificates cannot be used."""
    pem = read_certificates(section.certificates) if section.certificates is not None else ""
    return EgressPolicy(section, pem, proxy_variables(section.proxy, environ))


def proxy_variables(proxy: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables by which an executor learns of its proxies; ``environ`` is that of the worker."""
    if proxy == NO_PROXY:
        return {}
    if proxy == PROXY_OF_ENVIRONMENT:
        names = [*PROXY_VARIABLES, *map(str.lower, PROXY_VARIABLES)]
        return {name: environ[name] for name in names if name in environ}
    return {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy}


def read_certificates(path: Path) -> str:
    """The PEM file of ``egress.certificates``. Raises ConfigurationError if it cannot be read or holds none."""
    try:
        if path.stat().st_size > MAX_CERTIFICATES_BYTES:
            raise ConfigurationError(f"egress.certificates: {path} is longer than {MAX_CERTIFICATES_BYTES} bytes")
        pem = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ConfigurationError(f"egress.certificates: {path} cannot be read: {error.strerror}") from error
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(f"egress.certificates: {path} holds no certificates in PEM form") from error
    return pem
