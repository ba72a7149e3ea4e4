"""The profile file: servers, domains and tokens under names of the user's choice, kept from all others."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from juvuln.commands.errors import UsageError

DEFAULT_PROFILE = "default"
KEYS = ("server", "domain", "token")


@dataclass(frozen=True, slots=True)
class Profile:
    server: str
    domain: str
    token: str = field(repr=False)


def profile_file(environ: Mapping[str, str]) -> Path:
    """Where the profiles are kept: ``selfhost/profile.yaml`` in the user's folder for configuration."""
    folder = environ.get("XDG_CONFIG_HOME", "")
    base = Path(folder) if Path(folder).is_absolute() else Path(environ.get("HOME") or "/") / ".config"
    return base / "selfhost" / "profile.yaml"


def read_profiles(path: Path) -> dict[str, Profile]:
    """The profiles by name; none if there is no file. Raises UsageError, also if others can read the file."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"{path}: the profiles cannot be read: {reason}") from error
    if mode & 0o077:
        raise UsageError(f"{path}: others can read the tokens in it; do: chmod 600 {path}")
    return _parse(text, path)


def write_profile(path: Path, name: str, profile: Profile) -> None:
    """Add or replace a profile. The file is readable by its owner only, and whole at any moment. Raises UsageError."""
    import yaml

    profiles = {**read_profiles(path), name: profile}
    content = {
        "profiles": {
            name: {"server": one.server, "domain": one.domain, "token": one.token} for name, one in profiles.items()
        }
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _replace(path.resolve(), yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    except OSError as error:
        raise UsageError(f"{path}: the profile cannot be written: {error.strerror}") from error


def _parse(text: str, path: Path) -> dict[str, Profile]:
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # Not the error's own words, which show the line, and the token with it.
        raise UsageError(f"{path}{f':{mark.line + 1}' if mark else ''}: this is not YAML") from None
    profiles = content.get("profiles") if isinstance(content, dict) else None
    if not isinstance(profiles, dict):
        raise UsageError(f"{path}: it must hold `profiles:`, each with {', '.join(KEYS)}; `juvuln login` writes it")
    return {str(name): _profile(values, f"{path}: profile {name}") for name, values in profiles.items()}


def _profile(values: Any, where: str) -> Profile:
    if not isinstance(values, dict) or set(values) != set(KEYS):
        raise UsageError(f"{where}: it must have exactly {', '.join(KEYS)}")
    for key in KEYS:
        if not isinstance(values[key], str) or not values[key]:
            raise UsageError(f"{where}: {key} must be text; put it in quotes")
    return Profile(**values)


def _replace(path: Path, text: str) -> None:
    """Write under another name, which mkstemp makes with mode 0600, then take the place of what was there."""
    import tempfile

    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
