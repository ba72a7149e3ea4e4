"""The domain file: which domains there are, and where their databases are (Self-host contract)."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from juvuln.database import check_database_url
from shared.config import read_yaml_mapping
from shared.errors import ConfigurationError
from shared.wire import DomainName

_names: TypeAdapter[str] = TypeAdapter(DomainName)


def read_domain_file(path: Path) -> Mapping[str, str]:
    """The database URL of each domain by its name. Raises ConfigurationError; no message repeats a URL."""
    content = read_yaml_mapping(path)
    unknown = sorted(set(content) - {"domains"})
    if unknown:
        raise ConfigurationError(f"{path}: {unknown[0]}: there is no such setting; a domain file has `domains` only")
    domains = content.get("domains") or {}
    if not isinstance(domains, dict):
        raise ConfigurationError(f"{path}: domains: must be a mapping of names to database URLs")
    faults = [fault for name, url in domains.items() if (fault := _fault(name, url))]
    if faults:
        raise ConfigurationError("\n".join(f"{path}: domains.{fault}" for fault in faults))
    return dict(domains)


def _fault(name: object, url: object) -> str | None:
    try:
        _names.validate_python(name, strict=True)
    except ValidationError:
        return f"{name!r}: a name is text without control characters and without : / ? # @"
    if not isinstance(url, str):
        return f"{name}: must be a database URL"
    try:
        check_database_url(url)
    except ConfigurationError as error:
        return f"{name}: {error}"
    return None
