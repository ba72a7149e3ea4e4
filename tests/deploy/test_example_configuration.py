"""The example files say what the settings classes say: each option, its default, its environment variable."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, SecretStr

from juvuln.config import JuvulnSettings
from juvuln.domains.file import read_domain_file
from malgomaj.config import WorkerSettings
from shared.config import DaemonSettings, load_settings

EXAMPLES = Path(__file__).parents[2] / "deploy" / "config"
DAEMONS: list[type[DaemonSettings]] = [JuvulnSettings, WorkerSettings]

WITHOUT_A_FIXED_DEFAULT = {
    "advertise.host",
    "advertise.port",
    "database",
    "domainfile",
    "egress.certificates",
    "module_library.authority",
    "module_library.scheme",
    "name",
    "secret",
    "secret_file",
    "state_dir",
}


def example_of(settings: type[DaemonSettings]) -> Path:
    name = settings.env_prefix.rstrip("_").lower()
    return EXAMPLES / f"{name}.example.yaml"


def with_every_option(text: str) -> str:
    """The example with all its options taken in: "#" right before a word marks an option, "# " an explanation."""
    return re.sub(r"^( *)#(?=\S)", r"\1", text, flags=re.MULTILINE)


def leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def options(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from options(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def setting(settings: DaemonSettings, option: str) -> Any:
    value: Any = settings
    for name in option.split("."):
        value = getattr(value, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else value


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("JUVULN_", "MALGOMAJ_")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("cls", DAEMONS)
def test_the_example_loads_as_it_stands(cls: type[DaemonSettings]) -> None:
    load_settings(cls, example_of(cls), os.environ)


@pytest.mark.parametrize("cls", DAEMONS)
def test_the_example_names_every_option_and_no_other(cls: type[DaemonSettings]) -> None:
    content = yaml.safe_load(with_every_option(example_of(cls).read_text(encoding="utf-8")))
    assert sorted(name for name, _ in leaves(content)) == sorted(options(cls))


@pytest.mark.parametrize("cls", DAEMONS)
def test_the_example_shows_the_real_defaults(cls: type[DaemonSettings], tmp_path: Path) -> None:
    full = tmp_path / "full.yaml"
    full.write_text(with_every_option(example_of(cls).read_text(encoding="utf-8")), encoding="utf-8")
    taken_in = load_settings(cls, full, os.environ)
    default = load_settings(cls, example_of(cls), os.environ)
    for option in set(options(cls)) - WITHOUT_A_FIXED_DEFAULT:
        assert setting(taken_in, option) == setting(default, option), option


@pytest.mark.parametrize("cls", DAEMONS)
def test_the_line_above_each_option_explains_it_with_its_default_and_its_variable(cls: type[DaemonSettings]) -> None:
    lines = example_of(cls).read_text(encoding="utf-8").splitlines()
    prefix = cls.env_prefix
    for option in options(cls):
        variable = prefix + option.replace(".", "__").upper()
        (number,) = (index for index, line in enumerate(lines) if line.endswith(f" {variable}"))
        name = option.rpartition(".")[2]
        assert re.match(rf" *#?{name}: ", lines[number + 1]), option
        assert "Default: " in lines[number] or "required" in lines[number], option


def test_the_example_of_a_domain_file_can_be_read(tmp_path: Path) -> None:
    full = tmp_path / "domains.yaml"
    example = (EXAMPLES / "domains.example.yaml").read_text(encoding="utf-8")
    full.write_text(with_every_option(example), encoding="utf-8")
    assert set(read_domain_file(full)) == {"test", "office", "home"}
