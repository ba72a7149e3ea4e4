"""How an overview is shown to people."""

from typing import Any

from juvuln.commands.status_text import MOST_ROWS, format_overview, span
from juvuln.commands.terminal import Terminal

DOMAIN = {
    "name": "test",
    "programs": 3,
    "faulty": 0,
    "age_seconds": 0.4,
    "away": False,
    "stale": False,
    "problem": None,
    "paused": None,
}
RUN = {
    "domain": "test",
    "program_name": "beat",
    "due": "2026-03-01T12:00:00Z",
    "claimed": "2026-03-01T12:00:00.010Z",
    "outcome": "failed",
    "reason": None,
    "error": {"kind": "runtime", "message": "division by zero\n\x1b[2Jmore", "stack": []},
}
OVERVIEW: dict[str, Any] = {
    "at": "2026-03-01T12:00:05Z",
    "manager": {
        "name": "here:8097",
        "version": "1.2.3",
        "since": "2026-03-01T10:00:00Z",
        "ready": True,
        "problems": {},
    },
    "runs": {"waiting": 0, "under_way": 2, "succeeded": 10, "failed": 1, "not_run": 0},
    "domains": [DOMAIN],
    "workers": [
        {
            "uuid": "u",
            "address": "127.0.0.1:8096",
            "languages": ["tengo"],
            "state": "ready",
            "runs": 2,
            "load_ms": 5000,
            "silent_seconds": 3.2,
        }
    ],
    "next": [{"due": "2026-03-01T12:01:00Z", "domain": "test", "program_uuid": "u", "program_name": "beat"}],
    "failures": [RUN],
}


def shown(**changes: Any) -> str:
    return format_overview(OVERVIEW | changes, Terminal())


def test_everything_is_there() -> None:
    lines = [" ".join(line.split()) for line in shown().splitlines()]
    assert lines[0].startswith("juvuln 1.2.3 (here:8097): ready, up since 2026-03-01 ")
    assert lines[0].endswith(" (2 h)")
    assert "runs: 2 under way, 0 waiting; since the manager started 10 succeeded, 1 failed, 0 did not run" in lines
    assert "test 3 0 0 s ago good" in lines
    assert "127.0.0.1:8096 ready 2 5.0 s 3 s ago tengo" in lines
    assert any(line.endswith("55 s test beat") for line in lines)
    assert lines[-1].endswith("test beat failed division by zero")


def test_what_is_wrong_is_said_and_comes_first() -> None:
    away = DOMAIN | {"name": "zoo", "age_seconds": 300.0, "away": True, "problem": "refuses (going on with …)"}
    text = shown(
        manager=OVERVIEW["manager"] | {"ready": False, "problems": {"domain zoo": "refuses"}},
        domains=[DOMAIN, away],
        workers=[],
        next=[],
        failures=None,
    )
    assert ": not ready, up since " in text
    assert " (2 h)\n    domain zoo: refuses\n" in text
    assert text.index("zoo ") < text.index("test ")
    assert "5 min ago  away: refuses (going on with …)" in text
    assert "no worker is subscribed" in text
    assert "no routine is due" in text
    assert "the record of runs cannot be read" in text


def test_a_domain_that_is_paused_is_said_to_be() -> None:
    text = shown(domains=[DOMAIN, DOMAIN | {"name": "zoo", "paused": "domain zoo is paused by an operator"}])
    assert text.index("is paused by an operator") < text.index("good")


def test_a_new_installation_has_nothing_to_tell() -> None:
    unread = DOMAIN | {"programs": None, "faulty": None, "age_seconds": None}
    assert "never      not read yet" in shown(domains=[unread])
    assert "there is no domain" in shown(domains=[])
    assert shown(failures=[]).endswith("nothing went wrong lately\n")


def test_of_many_domains_only_the_first_are_shown() -> None:
    text = shown(domains=[DOMAIN | {"name": f"domain-{number:03}"} for number in range(MOST_ROWS + 5)])
    assert "domain-019" in text
    assert "domain-020" not in text
    assert "and 5 more domains" in text


def test_nothing_in_it_steers_the_terminal() -> None:
    hostile = shown(
        next=[OVERVIEW["next"][0] | {"program_name": "\x1b[2Jgone"}],
        manager=OVERVIEW["manager"] | {"problems": {"domain x": "\x1b]0;title\x07"}},
    )
    assert not any(sign in hostile for sign in "\x1b\x07")


def test_spans_have_the_unit_that_fits() -> None:
    assert [span(seconds) for seconds in (0.2, 119, 120, 7199, 7200, 200_000)] == [
        "0 s",
        "119 s",
        "2 min",
        "120 min",
        "2 h",
        "2 d",
    ]
