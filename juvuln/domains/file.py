"""The domain file: which domains there are, and where their databases are (Self-host contract)."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from juvuln.database import check_database_url
from shared.config import parse_yaml_mapping, read_yaml_mapping
from shared.errors import ConfigurationError
from shared.wire import DomainName

_names: TypeAdapter[str] = TypeAdapter(DomainName)


def read_domain_file(path: Path) -> Mapping[str, str]:
    """The database URL of each domain by its name. Raises ConfigurationError; no message repeats a URL."""
    return _domains_in(path, read_yaml_mapping(path))


def parse_domains(path: Path, text: str) -> Mapping[str, str]:
    """The same for a text that is to become the file ``path``. Raises ConfigurationError."""
    return _domains_in(path, parse_yaml_mapping(path, text))


def _domains_in(path: Path, content: Mapping[str, object]) -> Mapping[str, str]:
    unknown = sorted(set(content) - {"domains"})
    if unknown:
        raise ConfigurationError(
            f"{path}: {_shown(unknown[0])}: there is no such setting; a domain file has `domains` only"
        )
    domains = content.get("domains") or {}
    if not isinstance(domains, dict):
        raise ConfigurationError(f"{path}: domains: must be a mapping of names to database URLs")
    faults = [fault for name, url in domains.items() if (fault := domain_fault(name, url))]
    if faults:
        raise ConfigurationError("\n".join(f"{path}: domains.{fault}" for fault in faults))
    return dict(domains)


def domain_fault(name: object, url: object) -> str | None:
    """Why this cannot be a domain's name and URL, or None; the text does not repeat the URL."""
    try:
        _names.validate_python(name, strict=True)
    except ValidationError:
        return f"{_shown(name)}: a name is text without control characters and without : / ? # @"
    if not isinstance(url, str):
        return f"{name}: must be a database URL"
    try:
        check_database_url(url)
    except ConfigurationError as error:
        return f"{name}: {error}"
    return None


def _shown(name: object) -> str:
    """A name that cannot be one may be a URL in the wrong place."""
    return "what stands for a name" if "://" in str(name) or "@" in str(name) else repr(name)
