"""What can be wrong with a history."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    UNRECORDED = "a due time is not on record"
    RECORDED_TWICE = "a due time is on record twice"
    NOT_DUE = "a record has no due time of its schedule"
    EARLY = "a record or an effect is too early for its due time"
    OPEN = "a record is open at the end"
    STRANGE_OUTCOME = "a record has an outcome that there is not"
    UNADMITTED = "an effect has no record that admits it"
    WITHOUT_EFFECT = "a run that succeeded had no effect"
    EFFECT_TWICE = "one due time had its effect twice"
    STILL_RUNNING = "something ran on, or had ended by itself"
    TWO_AT_ONCE = "two runs of a routine were under way at once"
    LATE = "a run was started after its start deadline"
    TOO_OFTEN = "a run was repeated too often, or though it was lost"
    NOT_MADE_UP = "due times were given up that were to be made up for"
    RAN_PAUSED = "a run was begun during a pause"
    PAUSE_NOT_SKIPPED = "a due time of a pause was not skipped"
    RAN_ON = "a program ran on after too many failures in a row"
    GIVEN_UP_EARLY = "a program was set to failed without so many failures in a row"


@dataclass(frozen=True, slots=True)
class Violation:
    kind: Kind
    what: str
