"""The chaos' own reckoning of due times, held against times worked out by hand."""

import pytest

from tests.chaos.due_times import cron_due_times, every_due_times, period_ms
from tests.chaos.routines import routines

MIDNIGHT = 1_700_006_400_000  # 2023-11-15T00:00:00Z


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("* * * * * *", [*range(1, 61)]),
        ("*/20 * * * * *", [20, 40, 60]),
        ("5,50 * * * * *", [5, 50]),
        ("0 */2 * * * *", []),
        ("0 1 * * * *", [60]),
        ("TZ=Asia/Kolkata */30 * * * * *", [30, 60]),
    ],
)
def test_due_times_of_a_minute(schedule: str, expected: list[int]) -> None:
    due = cron_due_times(schedule, MIDNIGHT, MIDNIGHT + 60_000)
    assert [(each - MIDNIGHT) // 1000 for each in due] == expected


def test_a_period_goes_on_from_the_first_due_time() -> None:
    assert period_ms("@every 3s") == 3000
    assert period_ms("* * * * * *") is None
    assert list(every_due_times(MIDNIGHT, 3000, MIDNIGHT + 6000)) == [MIDNIGHT, MIDNIGHT + 3000, MIDNIGHT + 6000]


def test_another_form_is_refused_rather_than_misread() -> None:
    with pytest.raises(ValueError, match="not a form of the chaos"):
        list(cron_due_times("0 0 3 * * *", MIDNIGHT, MIDNIGHT + 60_000))


def test_there_are_a_hundred_routines_and_all_have_forms_that_can_be_checked() -> None:
    made = list(routines("http://127.0.0.1:1"))
    assert len({routine.name for routine in made}) == 100
    for routine in made:
        period = period_ms(routine.schedule)
        due = cron_due_times(routine.schedule, MIDNIGHT, MIDNIGHT + 600_000) if period is None else [period]
        assert list(due)
