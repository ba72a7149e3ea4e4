"""What log lines look like, in a process of their own since logging is set up once for each."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

SETUP = """
import logging, structlog
from shared.logging import bind_facts, configure_logging
configure_logging("juvuln", log_format={format!r}, level="info")
log = structlog.get_logger()
"""


def lines_of(code: str, log_format: str = "auto") -> list[str]:
    """What ``code`` writes to standard error, which is no terminal."""
    script = SETUP.format(format=log_format) + code
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert ended.stdout == ""
    return ended.stderr.splitlines()


def events_of(code: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_of(code)]


def test_away_from_a_terminal_each_event_is_a_json_object() -> None:
    (event,) = events_of("log.info('run_ended', outcome='succeeded', name='Jörg\\n')")
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "run_ended",
        "level": "info",
        "daemon": "juvuln",
        "outcome": "succeeded",
        "name": "Jörg\n",
    }


def test_the_time_of_an_event_is_in_utc_to_the_microsecond() -> None:
    before = datetime.now(UTC)
    # The second line is of a later second.
    code = "log.info('a'); import time; now = time.time_ns; time.time_ns = lambda: now() + 60 * 10**9; log.info('b')"
    events = events_of(code)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["timestamp"]) for event in events)
    first, second = (datetime.fromisoformat(event["timestamp"]) for event in events)
    assert before <= first <= datetime.now(UTC)
    assert 60 <= (second - first).total_seconds() < 90


def test_to_read_it_is_a_line_of_words() -> None:
    (line,) = lines_of("log.info('run_ended', outcome='succeeded')", "console")
    assert "run_ended" in line
    assert "outcome=succeeded" in line
    assert "\x1b" not in line


def test_what_json_or_unicode_has_no_word_for_does_not_cost_the_line() -> None:
    events = events_of("log.info('a', name='\\udce5', seen={1}, kind=print); log.info('b', kind=object)")
    assert [event["event"] for event in events] == ["a", "b"]
    assert events[0]["name"] == "\udce5"
    assert events[1]["kind"] == "<class 'object'>"


def test_less_important_lines_than_asked_for_are_left_out() -> None:
    assert [event["event"] for event in events_of("log.debug('a'); log.info('b'); log.error('c')")] == ["b", "c"]


def test_what_is_bound_to_a_run_is_in_all_its_lines_and_no_others() -> None:
    code = """
import asyncio
async def run(name):
    bind_facts({"run": name})
    await asyncio.sleep(0)
    log.info("a")
    await asyncio.create_task(asyncio.to_thread(log.info, "b", run="its own"))
async def main():
    await asyncio.gather(run("r1"), run("r2"))
    log.info("c")
asyncio.run(main())
"""
    assert [event.get("run") for event in events_of(code)] == ["r1", "r2", "its own", "its own", None]


def test_an_exception_is_one_object_with_its_traceback() -> None:
    (event,) = events_of("try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('task_failed')")
    assert "ZeroDivisionError: division by zero" in event["exception"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_libraries_take_the_same_way_from_warning_on(log_format: str) -> None:
    lines = lines_of("logging.getLogger('lib').info('a'); logging.getLogger('lib').warning('b %s', 1)", log_format)
    assert len(lines) == 1
    assert "b 1" in lines[0]
    assert "juvuln" in lines[0]


def test_an_exception_that_a_library_logs_keeps_its_traceback() -> None:
    code = "try:\n    1 / 0\nexcept ZeroDivisionError:\n    logging.getLogger('lib').exception('failed')"
    (event,) = events_of(code)
    assert "ZeroDivisionError: division by zero" in event["exception"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_does_not_print_the_values_of_variables(log_format: str) -> None:
    code = """
def connect(url):
    raise ValueError("no")
try:
    connect("postgresql://me:" + "s3cret@host/db")
except ValueError:
    log.exception("task_failed")
"""
    lines = lines_of(code, log_format)
    assert any("ValueError: no" in line for line in lines)
    assert not any("postgresql://me:s3cret" in line for line in lines)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_process_that_is_killed_has_written_its_lines(log_format: str) -> None:
    code = "log.info('a'); logging.getLogger('lib').warning('b'); log.info('c'); os.kill(os.getpid(), signal.SIGKILL)"
    script = f"import os, signal\n{SETUP.format(format=log_format)}{code}"
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert killed.returncode < 0
    a, b, c = killed.stderr.splitlines()
    assert ("a" in a, "b" in b, "c" in c) == (True, True, True)


def test_a_stream_in_memory_takes_lines_in_their_order() -> None:
    code = """
import io, sys
memory = io.TextIOWrapper(io.BytesIO(), write_through=True)
structlog.reset_defaults()
configure_logging("juvuln", stream=memory)
log.info("a", name="Jörg")
logging.getLogger("lib").error("b")
sys.stderr.buffer.write(memory.buffer.getvalue())
"""
    assert [(event["event"], event.get("name")) for event in events_of(code)] == [("a", "Jörg"), ("b", None)]


def test_a_stream_that_cannot_be_written_to_costs_the_lines_and_not_the_work() -> None:
    code = """
import sys
structlog.reset_defaults()
configure_logging("juvuln", stream=open("/dev/full", "w", buffering=1))
structlog.get_logger().error("a")
logging.getLogger("lib").error("b")
print("went on", file=sys.stderr)
import os
os._exit(0)
"""
    assert lines_of(code) == ["went on"]


def test_within_a_turn_of_the_loop_lines_gather_but_a_warning_waits_for_nothing() -> None:
    code = """
import asyncio, os, sys
from shared.logging import LineWriter
written = []
os.write = lambda _, data: written.append(data) or len(data)
lines = LineWriter(sys.stderr)

async def main():
    with lines.gathered(asyncio.get_running_loop()):
        lines.info(b"1")
        await asyncio.to_thread(lines.info, b"2")
        assert written == [b"1\\n2\\n"] or written == [b"1\\n", b"2\\n"], written
        written.clear()
        lines.info(b"3")
        lines.debug(b"4")
        assert written == [], written
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        lines.info(b"5")
        lines.warning(b"6")
        lines.info(b"7")
    lines.info(b"8")
asyncio.run(main())
assert written == [b"3\\n4\\n", b"5\\n6\\n", b"7\\n", b"8\\n"], written
"""
    assert lines_of(code) == []
