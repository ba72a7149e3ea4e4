"""Adding to the domain file and taking from it, with everything else in it left as its owner wrote it.

The text is changed where YAML's own parser says that a line begins and ends, and is then read again: if it does not say
exactly what it should, the file stays as it was.
"""

import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from juvuln.domains.file import domain_fault, parse_domains, read_domain_file
from shared.errors import ConfigurationError

NEW_FILE_MODE = 0o640
DEFAULT_INDENT = "  "
NULL_TAG = "tag:yaml.org,2002:null"


def check_addition(path: Path, name: str, url: str) -> Mapping[str, str]:
    """What is listed so far, in case a domain can be added. Raises ConfigurationError if it cannot: the name or the URL
    cannot be used, the name is taken by another URL, or the file cannot be read.
    """
    if fault := domain_fault(name, url):
        raise ConfigurationError(fault)
    known = read_domain_file(path) if path.exists() else {}
    if known.get(name, url) != url:
        raise ConfigurationError(f"{path}: there is a domain {name} already, with another URL; remove that first")
    return known


def add_domain(path: Path, name: str, url: str) -> bool:
    """List a domain; makes the file if there is none. False if it was listed like this already.

    Raises ConfigurationError, with nothing changed, as :func:`check_addition` does and if the file cannot be understood
    or written.
    """
    target = path.resolve()
    with _alone(target):
        known = check_addition(target, name, url)
        if name in known:
            return False
        _rewrite(target, {**known, name: url}, lambda text: with_domain(text, name, url))
    return True


def remove_domain(path: Path, name: str) -> bool:
    """List a domain no longer. False if it was not listed. Raises ConfigurationError, with nothing changed."""
    target = path.resolve()
    with _alone(target):
        known = read_domain_file(target)
        if name not in known:
            return False
        rest = {other: url for other, url in known.items() if other != name}
        _rewrite(target, rest, lambda text: without_domain(text, name))
    return True


def with_domain(text: str, name: str, url: str) -> str:
    """The text of a domain file with one more domain, behind the others."""
    entry = f"{_scalar(name)}: {_scalar(url)}"
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode) or not root.value:
        return _with_end_of_line(text) + f"domains:\n{DEFAULT_INDENT}{entry}\n"
    key, domains = root.value[0]
    if isinstance(domains, yaml.MappingNode) and not domains.flow_style:
        last_key, last_value = domains.value[-1]
        end = _end_of_line(text, last_value.end_mark)
        indent = " " * last_key.start_mark.column
    elif domains.value == [] or domains.tag == NULL_TAG:
        # Nothing is listed: `domains: {}` or `domains:`.
        text = text[: domains.start_mark.index] + text[domains.end_mark.index :]
        end, indent = _end_of_line(text, key.end_mark), DEFAULT_INDENT
    else:
        raise ConfigurationError("`domains` is written in braces; write each domain on a line of its own first")
    before, newline = _with_end_of_line(text[:end]), _newline(text)
    return f"{before}{indent}{entry}{newline}{text[end:]}"


def without_domain(text: str, name: str) -> str:
    """The text of a domain file without the line, or lines, of one domain."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    domains = root.value[0][1]
    if domains.flow_style:
        raise ConfigurationError("`domains` is written in braces; write each domain on a line of its own first")
    key, value = next((key, value) for key, value in domains.value if key.value == name)
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    return text[:start] + text[_end_of_line(text, value.end_mark) :]


def _rewrite(path: Path, wanted: Mapping[str, str], edit: Callable[[str], str]) -> None:
    try:
        text = path.read_bytes().decode("utf-8") if path.exists() else ""
        edited = edit(text)
        if parse_domains(path, edited) != wanted:
            raise ConfigurationError("it is written in a way that cannot be edited safely; edit it by hand")
        _replace(path, edited)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: nothing was changed: {error}") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}; nothing was changed") from error


def _replace(path: Path, text: str) -> None:
    """Put the whole new text in place at once, with the mode and the owner that the file has."""
    old = path.stat() if path.exists() else None
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8"))
            if old is not None and (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
            os.fchmod(file.fileno(), NEW_FILE_MODE if old is None else old.st_mode & 0o7777)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two edits take turns. The folder is locked, for the file is another one after each edit."""
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ConfigurationError(f"{path}: its folder cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _scalar(text: str) -> str:
    """``text`` as it is, or quoted where YAML would read something else, such as a number."""
    quoted: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=sys.maxsize).strip()
    try:
        plain = yaml.safe_load(f"{text}: {text}") == {text: text}
    except (yaml.YAMLError, ValueError):
        return quoted
    return text if plain else quoted


def _end_of_line(text: str, mark: yaml.Mark) -> int:
    """Where the line of ``mark`` ends, its comment included; ``mark`` itself if it is at the beginning of a line."""
    if mark.column == 0:
        return mark.index
    end = text.find("\n", mark.index)
    return len(text) if end < 0 else end + 1


def _with_end_of_line(text: str) -> str:
    return text if not text or text.endswith("\n") else text + _newline(text)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
