"""What changed between two readings of a domain."""

from juvuln.programs import Changes, diff
from tests.juvuln.support import UUID_1, UUID_2, program


def test_equal_readings_have_no_difference() -> None:
    assert not diff({UUID_1: program()}, {UUID_1: program()})


def test_what_came_went_and_changed_is_told_apart() -> None:
    one, two = program(UUID_1), program(UUID_2)
    assert diff({}, {UUID_1: one}) == Changes(added=(one,))
    assert diff({UUID_1: one}, {}) == Changes(removed=(one,))
    newer = program(UUID_1, revision=1, checksum=b"other")
    assert diff({UUID_1: one, UUID_2: two}, {UUID_1: newer, UUID_2: two}) == Changes(changed=(newer,))


def test_a_program_made_again_under_the_same_revision_number_is_changed() -> None:
    assert diff({UUID_1: program()}, {UUID_1: program(checksum=b"other")}).changed


def test_a_deadline_of_nought_asks_for_the_longest() -> None:
    assert program(deadline_ms=0).effective_deadline_ms == 60_000
    assert program(deadline_ms=250).effective_deadline_ms == 250
