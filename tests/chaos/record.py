"""The record of runs, read by plain SQL."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

import asyncpg

from tests.chaos.evidence import Record

QUERY = (
    "SELECT id, program_name, due_ms, first_due_ms, claimed_ms, ended_ms, outcome, log, "
    "started_ms, attempts, reason FROM runs "
    "WHERE trigger = 'schedule' ORDER BY id"
)
MARK = "mark "


async def read_record(url: str) -> list[Record]:
    return [_record(row) for row in await _rows(url)]


async def _rows(url: str) -> Sequence[Any]:
    if url.startswith("sqlite:///"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
            return database.execute(QUERY).fetchall()
    connection = await asyncpg.connect(url)
    try:
        rows: Sequence[Any] = await connection.fetch(QUERY)
        return rows
    finally:
        await connection.close()


def _record(row: Any) -> Record:
    run_id, program, due_ms, first_due_ms, claimed_ms, ended_ms, outcome, log, started_ms, attempts, reason = row
    messages = [line["message"] for line in json.loads(log or "[]")]
    marks = frozenset(message.removeprefix(MARK) for message in messages if message.startswith(MARK))
    return Record(
        run_id,
        program,
        due_ms,
        first_due_ms,
        claimed_ms,
        ended_ms,
        outcome,
        marks,
        started_ms,
        attempts,
        reason or "",
    )
