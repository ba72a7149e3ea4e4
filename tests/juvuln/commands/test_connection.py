"""Where server, domain and token come from, and which of them wins."""

import pytest

from juvuln.commands.connection import Connection, Options, chosen_profile, client_for, resolve, warn_if_readable
from juvuln.commands.errors import UsageError
from juvuln.commands.profile import Profile
from juvuln.commands.transport import Server

WORK = Profile("https://work.example", "work-domain", "work-token")
ENVIRON = {"SELFHOST_SERVER": "http://env", "SELFHOST_DOMAIN": "env-domain", "SELFHOST_TOKEN": "env-token"}


def values(connection: Connection) -> list[tuple[str, str]]:
    settings = (connection.server, connection.domain, connection.token)
    return [(setting.value, setting.source) for setting in settings if setting]


def test_an_option_goes_before_the_environment_and_that_before_the_profile() -> None:
    options = Options(server="http://option")
    environ = {"SELFHOST_SERVER": "http://env", "SELFHOST_DOMAIN": "env-domain"}
    assert values(resolve(options, environ, "work", WORK)) == [
        ("http://option", "--server"),
        ("env-domain", "SELFHOST_DOMAIN"),
        ("work-token", "profile work"),
    ]


def test_without_anything_there_is_the_server_of_this_machine_and_nobody_to_be() -> None:
    connection = resolve(Options(), {}, "default", None)
    assert values(connection) == [("http://127.0.0.1:8097", "the default")]
    with pytest.raises(UsageError, match="no domain and token is known"):
        client_for(connection)


def test_an_empty_variable_is_none() -> None:
    assert values(resolve(Options(), {"SELFHOST_DOMAIN": ""}, "work", WORK))[1] == ("work-domain", "profile work")


def test_a_token_that_goes_to_another_server_than_it_was_kept_for_is_warned_of() -> None:
    assert resolve(Options(), ENVIRON, "work", WORK).warnings == ()
    assert resolve(Options(), {}, "work", WORK).warnings == ()
    assert resolve(Options(server="https://work.example/"), {}, "work", WORK).warnings == ()
    (warning,) = resolve(Options(server="http://other"), {}, "work", WORK).warnings
    assert "made for https://work.example, goes to http://other (--server)" in warning
    assert "work-token" not in warning


def test_the_profile_is_named_by_option_or_variable_and_must_be_there() -> None:
    assert chosen_profile(Options(profile="work"), {"SELFHOST_PROFILE": "x"}, {"work": WORK}) == ("work", WORK)
    assert chosen_profile(Options(), {"SELFHOST_PROFILE": "work"}, {"work": WORK}) == ("work", WORK)
    assert chosen_profile(Options(), {}, {"work": WORK}) == ("default", None)
    with pytest.raises(UsageError, match="no profile 'home'; there are: work"):
        chosen_profile(Options(profile="home"), {}, {"work": WORK})


def test_no_repr_shows_a_token() -> None:
    connection = resolve(Options(token="t0ken"), {}, "work", WORK)
    assert "t0ken" not in repr((connection, Options(token="t0ken")))
    assert "work-token" not in repr(WORK)


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://127.0.0.1:8097", False),
        ("http://[::1]:8097", False),
        ("https://192.0.2.1", False),
        ("http://192.0.2.1:8097", True),
    ],
)
def test_a_token_that_can_be_read_on_the_way_is_warned_of(
    url: str, warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    warn_if_readable(Server.parse(url))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert ("is not encrypted" in printed.err) is warned
