"""The worker's settings."""

from pathlib import Path

import pytest

from malgomaj.config import WorkerSettings
from malgomaj.executor_options import executor_limits
from malgomaj.peer import Peer, SharedSecret
from malgomaj.worker import kept_seconds, secret_advice
from shared.config import load_settings, shared_secret
from shared.errors import ConfigurationError

EXISTING = """
listen:
  host: 0.0.0.0
  port: 80
cache:
  library_timeout: 0
  program_timeout: 0
program_manager:
  scheme: https
  authority: manager.example.org
module_library:
  scheme: http
  authority: user:p%40ss@library.example.org:8097
"""


def load(text: str, tmp_path: Path) -> WorkerSettings:
    file = tmp_path / "malgomaj.yaml"
    file.write_text(text, encoding="utf-8")
    return load_settings(WorkerSettings, file, {})


def test_a_file_of_the_original_worker_loads_unchanged(tmp_path: Path) -> None:
    settings = load(EXISTING, tmp_path)
    assert (settings.listen.host, settings.listen.port) == ("0.0.0.0", 80)
    assert (settings.cache.library_timeout, settings.cache.program_timeout) == (0, 0)
    assert (settings.program_manager.scheme, settings.program_manager.authority) == ("https", "manager.example.org")
    assert settings.library_scheme == "http"
    assert Peer.at(settings.library_scheme, settings.library_authority).base_url == "http://library.example.org:8097"


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    settings = load("", tmp_path)
    assert (settings.listen.host, settings.listen.port) == ("127.0.0.1", 8096)
    assert settings.program_manager.authority == "127.0.0.1:8097"
    assert (settings.cache.library_timeout, settings.cache.program_timeout) == (10, 3600)


def test_modules_come_from_the_manager_unless_told_otherwise(tmp_path: Path) -> None:
    settings = load("program_manager: {scheme: https, authority: 'manager:1'}", tmp_path)
    assert (settings.library_scheme, settings.library_authority) == ("https", "manager:1")
    settings = load("program_manager: {authority: 'manager:1'}\nmodule_library: {authority: 'other:2'}", tmp_path)
    assert (settings.library_scheme, settings.library_authority) == ("http", "other:2")


def test_each_level_can_be_set_by_a_variable(tmp_path: Path) -> None:
    environ = {"MALGOMAJ_MODULE_LIBRARY__AUTHORITY": "other:2", "MALGOMAJ_LIMITS__TASKS": "7"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        settings = load_settings(WorkerSettings, None, environ)
    assert settings.library_authority == "other:2"
    assert settings.limits.tasks == 7


@pytest.mark.parametrize(
    "authority", ["", "host:port", "host:99999", "http://host", "host/path", "user:secretword@", "host:0", "a b@:1"]
)
def test_an_authority_that_is_none_is_refused_without_repeating_it(authority: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"program_manager\.authority: must be host:port") as caught:
        load(f"program_manager: {{authority: '{authority}'}}", tmp_path)
    assert "secretword" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("limits: {tasks: 0}", "limits.tasks: input should be greater than or equal to 1"),
        ("limits: {answer_bytes: 16777216}", "limits.answer_bytes: input should be less than or equal to 15728640"),
        ("cache: {program_timeout: -1}", "cache.program_timeout: input should be greater than or equal to 0"),
        ("executors: {memory_bytes: 1000000}", "input should be greater than or equal to 201326592"),
        ("executors: {memory: 5}", "executors.memory: there is no such setting"),
        ("listen: {port: http}", "listen.port: input should be a valid integer"),
    ],
)
def test_a_fault_is_named(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(text, tmp_path)
    assert fault in str(caught.value)


def test_no_password_shows(tmp_path: Path) -> None:
    settings = load("program_manager: {authority: 'me:verysecret@manager:1'}\nsecret: anothersecretword", tmp_path)
    assert "verysecret" not in repr(settings)
    assert "anothersecretword" not in repr(settings)
    assert "verysecret" not in repr(Peer.at("http", settings.program_manager.authority))


def test_a_peer_is_shown_its_own_credentials_or_else_the_secret() -> None:
    secret = SharedSecret(lambda: "the shared secret")
    assert Peer.at("http", "host:1").headers(secret) == {"Authorization": "Bearer the shared secret"}
    assert Peer.at("http", "me:p%40ss@host:1").headers(secret) == {"Authorization": "Basic bWU6cEBzcw=="}
    assert Peer.at("https", "me:x@[::1]:8097").base_url == "https://[::1]:8097"


def test_a_secret_that_cannot_be_read_again_stays_as_it_was() -> None:
    values = iter(["first"])

    def read() -> str:
        try:
            return next(values)
        except StopIteration:
            raise ConfigurationError("gone") from None

    secret = SharedSecret(read)
    with pytest.raises(ConfigurationError):
        secret.refresh()
    assert secret.value == "first"


def test_the_secret_is_configured_or_kept_in_a_file(tmp_path: Path) -> None:
    configured = load("secret: sixteen characters or more", tmp_path)
    assert shared_secret(configured) == "sixteen characters or more"
    assert "JUVULN_SECRET" in secret_advice(configured)
    kept = load(f"state_dir: {tmp_path / 'state'}", tmp_path)
    assert shared_secret(kept) == (tmp_path / "state" / "secret").read_text(encoding="utf-8").strip()
    assert str(tmp_path / "state" / "secret") in secret_advice(kept)


def test_a_program_is_not_said_to_be_kept_longer_than_its_executor(tmp_path: Path) -> None:
    assert kept_seconds(load("", tmp_path)) == 300
    assert kept_seconds(load("cache: {program_timeout: 60}", tmp_path)) == 60
    assert kept_seconds(load("cache: {program_timeout: 0}", tmp_path)) == 1


def test_go_hears_of_a_memory_limit_below_that_of_the_kernel(tmp_path: Path) -> None:
    settings = load("executors: {memory_bytes: 268435456}\nlimits: {log_lines: 5}", tmp_path)
    limits = executor_limits(settings)
    assert 0 < limits["memory_bytes"] < 268435456
    assert limits["max_log_lines"] == 5
