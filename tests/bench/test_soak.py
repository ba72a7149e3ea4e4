from pathlib import Path

import pytest

from bench.soak import Soaked, drift, soak


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([100.0] * 30, 0.0),
        ([10.0 * number for number in range(10)] + [100.0] * 20, 0.0),  # it may rise in the first third
        ([100.0] * 10 + [100.0 + number for number in range(20)], 19 / 109.5),
        ([0.0] * 30, 0.0),
        ([5.0], 0.0),
    ],
)
def test_drift_is_the_rise_of_the_last_two_thirds_as_a_part_of_their_mean(values: list[float], expected: float) -> None:
    assert drift(list(enumerate(values))) == pytest.approx(expected)


SAMPLED = {
    *(f"manager-{what}" for what in ("memory", "descriptors", "threads")),
    *(f"worker-{what}" for what in ("memory", "descriptors", "threads", "executors", "goroutines")),
    "record",
    "domains",
    "write-ahead",
}


@pytest.mark.timeout(300)  # the load alone takes 24 s, and daemons that share a busy machine start slowly
async def test_a_short_soak_leaves_nothing_behind_and_samples_everything(tmp_path: Path) -> None:
    found = await soak(tmp_path, minutes=0.4)
    assert found.problems() == []
    assert found.samples.keys() == SAMPLED
    assert all(len(series) > 5 and max(value for _, value in series) > 0 for series in found.samples.values())
    assert all(
        found.answered[what] for what in ("webhook of a calm domain 200", "upload 201", "sign 204", "delete 204")
    )
    assert any(what.startswith("hostile 5") for what in found.answered)


STEADY = [(float(at), 100.0) for at in range(30)]
RISING = [(float(at), 100.0 + at) for at in range(30)]


def test_a_verdict_names_what_drifts_but_for_the_record() -> None:
    found = Soaked(30, {"manager-memory": RISING, "worker-memory": STEADY, "record": RISING}, {}, {}, {})
    assert found.problems() == ["manager-memory drifts by +15.9%"]


def test_a_verdict_names_a_write_ahead_log_that_grows_on_but_not_one_that_fills() -> None:
    assert Soaked(30, {"write-ahead": [(float(at), float(at)) for at in range(20)]}, {}, {}, {}).problems() == []
    found = Soaked(30, {"write-ahead": [(float(at), 2.0 * at) for at in range(30)]}, {}, {}, {})
    assert found.problems() == ["a write-ahead log is never emptied"]


def test_a_short_soak_is_not_judged_by_drift() -> None:
    assert Soaked(1, {"manager-memory": RISING}, {}, {}, {}).problems() == []


def test_a_verdict_names_what_is_left_behind_and_who_got_no_answer() -> None:
    found = Soaked(1, {}, {}, {"upload: TimeoutError": 2}, {"tasks": 3.0})
    assert found.problems() == ["3 tasks left behind", "2 calls unanswered, upload: TimeoutError"]


def test_a_verdict_names_calm_webhooks_that_were_not_answered_well_and_no_others() -> None:
    spoiled = {"webhook of a calm domain 502": 3, "webhook of the hostile domain 502": 4}
    answered = {"webhook of a calm domain 200": 9, "hostile 500": 5, **spoiled}
    found = Soaked(1, {}, answered, {}, {})
    assert found.problems() == ["3 calls answered otherwise than well, webhook of a calm domain 502"]
