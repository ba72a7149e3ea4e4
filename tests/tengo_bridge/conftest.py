"""The real library, and executors as the worker starts them: processes on the far end of a socket pair."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tengo_bridge.build import build
from tengo_bridge.library import DEFAULT_PATH

from .process import ExecutorProcess, executor_process


@pytest.fixture(scope="session")
def library() -> Path:
    """libtengo.so, built from the sources as they are."""
    build()
    return Path(DEFAULT_PATH)


@pytest.fixture
def start_executor(library: Path) -> Iterator[Callable[..., ExecutorProcess]]:
    """Starts executors with the given options; they end with the test."""
    with ExitStack() as stack:

        def start(*options: str, **others: Any) -> ExecutorProcess:
            return stack.enter_context(executor_process(*options, **others))

        yield start
