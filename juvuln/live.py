"""The runs that this manager has under way: with which worker each is, and how it ended, for who follows it."""

from dataclasses import dataclass, field

from juvuln.runs.run import Ending
from juvuln.workers import Worker
from shared.news import News


@dataclass(slots=True, eq=False)
class LiveRun:
    worker: Worker | None = None
    """Who was handed it last; None while it waits for one."""
    early: bool = False
    """Whether its time has not come."""
    at_worker: bool = False
    """Whether that one has it now, as far as can be known."""
    begun: bool = False
    """Whether a worker had it, and may have begun it."""
    ending: Ending | None = None
    news: News = field(default_factory=News)
    """Told at every change."""

    async def ended(self) -> Ending:
        """Wait for its end."""
        while self.ending is None:
            await self.news.wait()
        return self.ending


class LiveRuns:
    def __init__(self) -> None:
        self._runs: dict[str, LiveRun] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def find(self, run_id: str) -> LiveRun | None:
        return self._runs.get(run_id)

    @property
    def waiting(self) -> int:
        """Runs whose time has come, and that no worker was handed yet."""
        return sum(run.worker is None and not run.early for run in self._runs.values())

    @property
    def early(self) -> int:
        """Runs whose time has not come; mostly a worker holds them until then."""
        return sum(run.early for run in self._runs.values())

    @property
    def under_way(self) -> int:
        """Runs that a worker has, or had."""
        return sum(run.worker is not None for run in self._runs.values())

    def begin(self, run_id: str) -> None:
        self._runs[run_id] = LiveRun()

    def claim_ahead(self, run_id: str) -> None:
        """It is there before its time."""
        self._runs[run_id].early = True

    def come_due(self, run_id: str) -> None:
        self._runs[run_id].early = False

    def hand_over(self, run_id: str, worker: Worker) -> None:
        run = self._runs[run_id]
        run.worker, run.at_worker, run.early = worker, True, False
        run.news.tell()

    def take_back(self, run_id: str, *, begun: bool) -> None:
        """The worker is not waited for any more; ``begun``: unless it certainly did not begin the run."""
        run = self._runs[run_id]
        run.at_worker, run.begun = False, run.begun or begun

    def end(self, run_id: str, ending: Ending) -> None:
        run = self._runs.pop(run_id)
        run.ending = ending
        run.news.tell()
