"""What can go wrong in a worker, each with its facts."""

from shared.errors import SelfhostError
from shared.wire import ErrorKind, Outcome, ProgramError


class WorkerError(SelfhostError):
    """The base of this package's errors."""


class TaskFailed(WorkerError):
    """A task that cannot go on: how it ends, and why."""

    def __init__(self, outcome: Outcome, error: ProgramError) -> None:
        super().__init__(str(error))
        self.outcome = outcome
        self.error = error

    @classmethod
    def not_compiled(cls, message: str, stack: list[str] | None = None) -> "TaskFailed":
        """The program cannot be compiled."""
        return cls(Outcome.FAILED, ProgramError(kind=ErrorKind.COMPILE, message=message, stack=stack or []))


class ExecutorGone(WorkerError):
    """The executor died before it was given the program. Nothing ran, so another executor may take it."""


class Busy(WorkerError):
    """The task cannot be taken now. Nothing of it ran; ask again after ``retry_after_seconds``."""

    def __init__(self, message: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Draining(WorkerError):
    """The worker is about to end and takes nothing new."""


class Withdrawn(WorkerError):
    """The manager took a task back that it had sent ahead of its time. Nothing of it ran."""


class WordMissing(WorkerError):
    """The manager sent tasks ahead of their time, and then not that they are to begin. Nothing of them ran."""


class SourceNeeded(WorkerError):
    """The task came without its source code, and that is not kept here. Nothing of it ran."""


class WrongDigest(WorkerError):
    """The source code that came is not that of the digest beside it. Nothing of it ran."""


class ModuleMissing(WorkerError):
    """The Library does not have the module, or no signed revision of it."""


class LibraryAway(WorkerError):
    """The Library cannot be asked, or refuses to answer."""


class ManagerAway(WorkerError):
    """The program manager cannot be reached, or answers what it should not."""


class ManagerRefuses(WorkerError):
    """The program manager does not accept this worker's credentials."""


class UnusableInput(WorkerError):
    """What the command line was given cannot be used; nothing was run."""
