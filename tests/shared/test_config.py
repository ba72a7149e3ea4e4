"""Where settings come from, and that nothing wrong is taken in silence."""

import os
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import SecretStr

from shared.config import (
    DaemonSettings,
    ListenSection,
    Port,
    Seconds,
    Section,
    default_state_dir,
    find_config_file,
    find_named_file,
    load_settings,
    read_yaml_mapping,
)
from shared.errors import ConfigurationError


class LittleListen(ListenSection):
    port: Port = 7000


class Inner(Section):
    pause_seconds: Seconds = 1.5
    label: str = "none"


class LittleSettings(DaemonSettings):
    env_prefix: ClassVar[str] = "LITTLE_"

    listen: LittleListen = LittleListen()
    inner: Inner = Inner()
    database: SecretStr | None = None


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CONFIG_FILENAME", raising=False)
    monkeypatch.chdir(tmp_path)


def load(tmp_path: Path, content: str) -> LittleSettings:
    path = tmp_path / "little.yaml"
    path.write_text(content, encoding="utf-8")
    return load_settings(LittleSettings, path, os.environ)


def fault(tmp_path: Path, content: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, content)
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_a_file_is_not_needed() -> None:
    settings = load_settings(LittleSettings, None, os.environ)
    assert (settings.listen.host, settings.listen.port) == ("127.0.0.1", 7000)


def test_the_environment_goes_before_the_file_key_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITTLE_LISTEN__PORT", "7002")
    settings = load(tmp_path, "listen: {host: 127.0.0.9, port: 7001}\ninner: {label: of the file}")
    assert (settings.listen.host, settings.listen.port) == ("127.0.0.9", 7002)
    assert settings.inner.label == "of the file"


def test_a_section_whose_lines_are_all_commented_out_is_unset(tmp_path: Path) -> None:
    assert load(tmp_path, "listen:\n  #port: 1\ninner:\n") == load(tmp_path, "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("lisen: {}", "little.yaml: lisen: there is no such setting"),
        ("listen: {prt: 1}", "little.yaml: listen.prt: there is no such setting"),
        ("listen: {port: http}", "little.yaml: listen.port: input should be a valid integer"),
        ("listen: {port: 65536}", "little.yaml: listen.port: input should be less than or equal to 65535"),
        ("listen: 7000", "little.yaml: listen: input should be a valid dictionary"),
        ("inner: {pause_seconds: 0}", "little.yaml: inner.pause_seconds: input should be greater than 0"),
        ("inner: {pause_seconds: .inf}", "little.yaml: inner.pause_seconds: input should be a finite number"),
        ("log: {level: loud}", "little.yaml: log.level: input should be 'debug', 'info', 'warning' or 'error'"),
        ("{a: b", "little.yaml:1:6: is not YAML"),
        ("a: b: c", "little.yaml:1:5: is not YAML"),
        ("\x01", "little.yaml: is not YAML"),
        ("- a list", "little.yaml: must be a mapping of names to values"),
        ("5: a number", "little.yaml: must be a mapping of names to values"),
        ("just text", "little.yaml: must be a mapping of names to values"),
    ],
)
def test_a_fault_in_the_file_is_named_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    assert message in fault(tmp_path, content)


def test_every_fault_has_a_line(tmp_path: Path) -> None:
    assert len(fault(tmp_path, "lisen: {}\ninner: {pause_seconds: -1}").splitlines()) == 2


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("LITTLE_LISTEN__PORT", "http", "LITTLE_LISTEN__PORT: input should be a valid integer"),
        ("LITTLE_LISTEN__PRT", "1", "LITTLE_LISTEN__PRT: there is no such setting"),
        ("LITTLE_LISEN", "1", "LITTLE_LISEN: there is no such setting"),
        ("LITTLE_LISTEN", '{"port": 1}', "LITTLE_LISTEN: there is no such setting"),
        ("LITTLE_STATE_DIR__X", "1", "LITTLE_STATE_DIR__X: there is no such setting"),
    ],
)
def test_a_fault_in_the_environment_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert message in fault(tmp_path, "")


def test_neither_a_fault_nor_a_repr_shows_a_secret(tmp_path: Path) -> None:
    assert "hunter2" not in fault(tmp_path, "database: [hunter2]\nsecret: {a: hunter2}")
    settings = load(tmp_path, "database: hunter2\nsecret: hunter2hunter2hunter2")
    assert "hunter2" not in f"{settings} {settings!r} {settings.model_dump_json()}"
    assert settings.database is not None
    assert settings.database.get_secret_value() == "hunter2"


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: J\xf6rg")
    with pytest.raises(ConfigurationError, match=r"latin.yaml: is not UTF-8 text \(byte 7\)"):
        read_yaml_mapping(tmp_path / "latin.yaml")
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        read_yaml_mapping(tmp_path)


def test_the_file_is_looked_for_in_home_before_the_current_folder(tmp_path: Path) -> None:
    environ = {"CONFIG_FILENAME": "little.yaml", "HOME": str(tmp_path / "home")}
    here = tmp_path / "little.yaml"
    here.write_text("")
    assert find_config_file(None, environ) == Path("little.yaml")
    at_home = tmp_path / "home" / ".config" / "selfhost" / "little.yaml"
    at_home.parent.mkdir(parents=True)
    at_home.write_text("")
    assert find_config_file(None, environ) == at_home


def test_the_folders_are_searched_in_their_order_whatever_the_ending(tmp_path: Path) -> None:
    for name in ("first/little.yml", "second/little"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    folders = [tmp_path / "none", tmp_path / "first", tmp_path / "second"]
    assert find_named_file("little", folders, what="it") == tmp_path / "first" / "little.yml"


def test_a_file_given_by_name_goes_before_the_variable(tmp_path: Path) -> None:
    given = tmp_path / "given.yaml"
    given.write_text("")
    assert find_config_file(given, {"CONFIG_FILENAME": "other.yaml"}) == given


def test_no_name_means_no_file(tmp_path: Path) -> None:
    assert find_config_file(None, {"CONFIG_FILENAME": ""}) is None


def test_a_named_file_that_is_nowhere_is_a_fault_that_names_the_places(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"CONFIG_FILENAME names gone\.yaml, which is in none of: /etc/"):
        find_config_file(None, {"CONFIG_FILENAME": "gone.yaml"})
    with pytest.raises(ConfigurationError, match="there is no such configuration file"):
        find_config_file(tmp_path / "gone.yaml", {})


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"STATE_DIRECTORY": "/var/lib/selfhost", "HOME": "/home/ada"}, "/var/lib/selfhost"),
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a"),
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/ada"}, "/state/selfhost"),
        ({"HOME": "/home/ada"}, "/home/ada/.local/state/selfhost"),
    ],
)
def test_the_state_folder_is_the_services_or_the_users(environ: dict[str, str], folder: str) -> None:
    assert default_state_dir(environ) == Path(folder)


def test_the_secret_is_kept_in_the_state_folder_unless_told_otherwise(tmp_path: Path) -> None:
    assert load(tmp_path, "state_dir: /srv/state").effective_secret_file == Path("/srv/state/secret")
    assert load(tmp_path, "secret_file: /run/secret").effective_secret_file == Path("/run/secret")


def test_a_short_secret_is_refused_however_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fault(tmp_path, "secret: tooshort").startswith("little.yaml: secret: ")
    monkeypatch.setenv("LITTLE_SECRET", "tooshort")
    said = fault(tmp_path, "")
    assert said.startswith("LITTLE_SECRET: ")
    assert "16" in said
    assert "tooshort" not in said
