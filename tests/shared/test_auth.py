"""Credentials in headers, and the secret that two daemons share through a file."""

import base64
import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.auth import (
    BasicCredentials,
    is_loopback,
    load_or_create_secret,
    parse_basic,
    parse_bearer,
    same_secret,
    sha256,
)
from shared.errors import ConfigurationError

UNICODE = st.text(st.characters(exclude_categories=["Cs"]))


def basic(content: bytes) -> str:
    return f"Basic {base64.b64encode(content).decode()}"


@given(user=UNICODE.filter(lambda user: ":" not in user), password=UNICODE)
def test_basic_credentials_survive_the_way_there_and_back(user: str, password: str) -> None:
    assert parse_basic(BasicCredentials(user, password).header()) == BasicCredentials(user, password)


@pytest.mark.parametrize(
    ("header", "credentials"),
    [
        (basic(b"demo:root"), BasicCredentials("demo", "root")),
        (basic(b"demo:a:b"), BasicCredentials("demo", "a:b")),
        (basic(b":"), BasicCredentials("", "")),
        (basic(b"demo:root").replace("Basic ", "bAsIc  "), BasicCredentials("demo", "root")),
        (basic(b"no colon"), None),
        (basic(b"\xff:\xff"), None),
        ("Basic !!!", None),
        ("Basic \udcff", None),
        ("Basic", None),
        ("Bearer ZGVtbzpyb290", None),
        ("", None),
        (None, None),
    ],
)
def test_basic_credentials_are_read_or_there_are_none(header: str | None, credentials: BasicCredentials | None) -> None:
    assert parse_basic(header) == credentials


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer ", None),
        ("Bearer", None),
        ("Basic abc", None),
        (None, None),
    ],
)
def test_a_bearer_token_is_read_or_there_is_none(header: str | None, token: str | None) -> None:
    assert parse_bearer(header) == token


def test_a_password_stays_out_of_the_repr() -> None:
    assert "root" not in repr(BasicCredentials("demo", "root"))


def test_secrets_are_compared_whatever_bytes_they_hold() -> None:
    assert same_secret("Gebäude", "Gebäude")
    assert not same_secret("Gebäud", "Gebäude")
    assert not same_secret("\udcff", "Gebäude")


def test_a_token_is_hashed_as_a_domain_stores_it() -> None:
    assert sha256("root").hex() == "4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2"


def test_the_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "secret"
    made = load_or_create_secret(path)
    assert len(made) >= 32
    assert load_or_create_secret(path) == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_daemons_that_start_at_the_same_moment_end_up_with_one_secret(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        secrets = pool.map(load_or_create_secret, [path] * 32)
    assert set(secrets) == {path.read_text().strip()}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    load_or_create_secret(path)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=r"others can read the shared secret; do: chmod 600 "):
        load_or_create_secret(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"short", "has 5 characters; it needs at least 16"),
        (b"", "has 0 characters"),
        (b"\xff" * 40, "is not text"),
    ],
)
def test_a_file_without_a_proper_secret_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match=message):
        load_or_create_secret(path)


def test_a_place_where_no_secret_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="file/secret: the shared secret cannot be read or made: "):
        load_or_create_secret(tmp_path / "file" / "secret")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("no-such-host.invalid", False),
    ],
)
def test_only_loopback_counts_as_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
