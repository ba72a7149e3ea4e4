"""A manager in this process, and real workers beside it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.malgomaj.manager import LocalManager, local_manager
from tests.malgomaj.worker import RunningWorker, running_worker
from tests.support.commands import MalgomajCommand


@pytest.fixture
async def manager() -> AsyncIterator[LocalManager]:
    async with local_manager() as manager:
        yield manager


@pytest.fixture
async def worker(tmp_path: Path, manager: LocalManager) -> AsyncIterator[RunningWorker]:
    """A worker with the default limits."""
    async with running_worker(tmp_path, manager) as worker:
        yield worker


@pytest.fixture
def malgomaj(tmp_path: Path) -> MalgomajCommand:
    """The command, called in a folder that is empty but for what the test writes."""
    return MalgomajCommand(tmp_path)
