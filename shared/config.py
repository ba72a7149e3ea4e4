"""Configuration: the YAML file of a Self-host installation, then environment variables over it.

A variable is the daemon's prefix and the key in capitals, levels joined by two underscores: ``JUVULN_LISTEN__PORT`` is
``listen.port``. Nothing is ignored in silence: an unknown key or variable is an error that names it.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from shared.auth import MIN_SECRET_LENGTH, load_or_create_secret
from shared.errors import ConfigurationError
from shared.logging import Format, Level

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=366 * 24 * 3600, allow_inf_nan=False)]


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < MIN_SECRET_LENGTH:
        raise ValueError(f"must have {MIN_SECRET_LENGTH} characters or more")
    return secret


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("must be JSON, such as [1, 2] for a list") from None


FromJson = BeforeValidator(_parsed)
"""For lists and mappings, which a variable can only give as JSON."""

SharedSecretText = Annotated[SecretStr, AfterValidator(_long_enough)]


class Section(BaseModel):
    """A level of the configuration file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LogSection(Section):
    format: Format = "auto"
    level: Level = "info"


class DaemonSettings(Section):
    """What both daemons can be told."""

    model_config = ConfigDict(validate_default=True)
    env_prefix: ClassVar[str]
    """With which the variables of the environment begin that are this daemon's."""

    log: LogSection = LogSection()
    state_dir: Path = Field(default_factory=lambda: default_state_dir(os.environ))
    secret: SharedSecretText | None = None
    secret_file: Path | None = None
    shutdown_timeout_seconds: Seconds = 30.0

    @property
    def effective_secret_file(self) -> Path:
        return self.secret_file or self.state_dir / "secret"


SettingsT = TypeVar("SettingsT", bound=DaemonSettings)


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """Where a daemon keeps what must outlive it: systemd's StateDirectory, else the XDG state folder."""
    if "STATE_DIRECTORY" in environ:
        return Path(environ["STATE_DIRECTORY"].split(":")[0])
    home = Path(environ.get("HOME", "/"))
    return Path(environ.get("XDG_STATE_HOME") or home / ".local" / "state") / "selfhost"


def shared_secret(settings: DaemonSettings) -> str:
    """The secret of manager and workers; made if there is none yet. Raises ConfigurationError."""
    if settings.secret is not None:
        return settings.secret.get_secret_value()
    return load_or_create_secret(settings.effective_secret_file)


def known_secret(settings: DaemonSettings) -> str:
    """The secret of manager and workers that is there already. Raises ConfigurationError."""
    path = settings.effective_secret_file
    if settings.secret is None and not os.path.lexists(path):
        raise ConfigurationError(
            f"{path}: the secret of manager and workers is not there, or not for this user to see; "
            "set secret_file, or state_dir, to where the daemon has it"
        )
    return shared_secret(settings)


def make_state_dir(path: Path) -> None:
    """Make the state folder if it is not there. Raises ConfigurationError."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{path}: the state folder cannot be made: {error.strerror}; set state_dir") from error


def search_folders(environ: Mapping[str, str]) -> list[Path]:
    """Where an installation's files are looked for, in this order (Self-host contract)."""
    return [Path("/etc/selfhost"), Path(environ.get("HOME", "/")) / ".config" / "selfhost", Path()]


def find_config_file(explicit: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file to read: ``explicit``, else the one that CONFIG_FILENAME names, else none.

    Raises ConfigurationError if a file was named and is not there.
    """
    if explicit is not None:
        if not explicit.is_file():
            raise ConfigurationError(f"{explicit}: there is no such configuration file")
        return explicit
    name = environ.get("CONFIG_FILENAME")
    if not name:
        return None
    return find_named_file(name, search_folders(environ), what="CONFIG_FILENAME")


def find_named_file(name: str, folders: list[Path], *, what: str) -> Path:
    """The first of ``folders`` that holds ``name``, with or without .yaml or .yml behind it."""
    candidates = [folder / f"{name}{ending}" for folder in folders for ending in ("", ".yaml", ".yml")]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    places = ", ".join(str(folder.absolute()) for folder in folders)
    raise ConfigurationError(f"{what} names {name}, which is in none of: {places}")


def read_yaml_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty mapping. Raises ConfigurationError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    return parse_yaml_mapping(path, text)


def parse_yaml_mapping(path: Path, text: str) -> dict[str, Any]:
    """The mapping in ``text``, which is in ``path``; an empty text is an empty mapping. Raises ConfigurationError."""
    # Imported here, for a daemon may have all of its settings from the environment.
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise ConfigurationError(f"{place}: is not YAML: {_without_text_of_file(error.problem or '')}") from None
    except yaml.YAMLError:
        raise ConfigurationError(f"{path}: is not YAML") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigurationError(f"{path}: must be a mapping of names to values")
    return content


def _without_text_of_file(problem: str) -> str:
    """Without the names of tags and aliases that the parser quotes: a password may look like one."""
    return re.sub(r"""\s*(['"])(?!<)..+\1""", "", problem)


def load_settings(cls: type[SettingsT], path: Path | None, environ: Mapping[str, str]) -> SettingsT:
    """The settings of a daemon from its file (if any) and the environment.

    Raises ConfigurationError with one line per fault.
    """
    written = read_yaml_mapping(path) if path else {}
    prefix = cls.env_prefix
    unknown = list(unknown_variables(cls, prefix, environ))
    if unknown:
        raise ConfigurationError("\n".join(f"{name}: there is no such setting" for name in unknown))
    try:
        return cls.model_validate(_over(_without_empty(written), _from_environment(prefix, environ)))
    except ValidationError as error:
        lines = [_fault(fault, path, prefix, environ) for fault in error.errors(include_input=False)]
        raise ConfigurationError("\n".join(lines)) from None


def _without_empty(content: Mapping[str, Any]) -> dict[str, Any]:
    """A name with nothing behind it says nothing: a section whose lines are all commented out."""
    return {
        name: _without_empty(value) if isinstance(value, dict) else value
        for name, value in content.items()
        if value is not None
    }


def _from_environment(prefix: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """What the variables say that begin with ``prefix``, as in a file; they all name settings."""
    content: dict[str, Any] = {}
    for name, value in environ.items():
        if name.upper().startswith(prefix):
            *levels, key = name[len(prefix) :].lower().split("__")
            section = content
            for level in levels:
                section = section.setdefault(level, {})
            section[key] = value
    return content


def _over(content: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``content`` with what ``over`` says in place of it, key by key."""
    merged = dict(content)
    for name, value in over.items():
        below = merged.get(name)
        merged[name] = _over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def unknown_variables(cls: type[BaseModel], prefix: str, environ: Mapping[str, str]) -> Iterator[str]:
    """The variables with the daemon's prefix that name no setting: mostly misspelt ones."""
    for name in sorted(environ):
        if name.upper().startswith(prefix) and not _names_a_setting(cls, name[len(prefix) :].lower()):
            yield name


def _names_a_setting(cls: type[BaseModel], path: str) -> bool:
    head, _, rest = path.partition("__")
    field = cls.model_fields.get(head)
    if field is None:
        return False
    inner = field.annotation
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        return _names_a_setting(inner, rest)
    return not rest


def _fault(fault: ErrorDetails, path: Path | None, prefix: str, environ: Mapping[str, str]) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    variable = prefix + "__".join(str(part) for part in fault["loc"]).upper()
    source = _given_by(variable, environ) or f"{path or 'configuration'}: {key}"
    match fault["type"]:
        case "missing":
            return f"{path or 'no configuration file'}: {key} must be set, there or by the variable {variable}"
        case "extra_forbidden":
            return f"{source}: there is no such setting"
    return f"{source}: {_lower_first(fault['msg'])}"


def _given_by(variable: str, environ: Mapping[str, str]) -> str | None:
    """The variable that gave the value, or the list or mapping around it."""
    parts = variable.split("__")
    names = ("__".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in environ), None)


def _lower_first(text: str) -> str:
    text = text.removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


class ConnectionLimits(Section):
    """What connections may take of a daemon."""

    connections: Annotated[int, Field(ge=16, le=1_000_000)] = 10_000
    """At once, as far as there are descriptors for them; then the longest silent one makes room."""
    head_timeout_seconds: Seconds = 10.0
    """How long the head of a request may take to arrive."""
    body_timeout_seconds: Seconds = 30.0
    """How long its body may take; then 408."""


class ListenSection(Section):
    host: str = "127.0.0.1"
    port: Port


AuthMode = Literal["secret", "open"]
