"""Column types that take what they find: SQLite lets anybody write anything into any column, and one odd value must not
keep the other rows from being read."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Dialect, String, Text, TypeDecorator, Uuid, case, type_coerce
from sqlalchemy.types import CHAR, TypeEngine

EARLIEST, LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
"""Of the times that are told apart."""


class StoredUuid(TypeDecorator[UUID]):
    """A UUID; None where the column holds something else. SQLite has it as 32 hexadecimal digits."""

    impl = Uuid
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(CHAR(32) if dialect.name == "sqlite" else Uuid())

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> Any:
        return value.hex if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:
        if not isinstance(value, str):
            return value if isinstance(value, UUID) else None
        try:
            return UUID(value)
        except ValueError:
            return None


class StoredTags(TypeDecorator[list[str]]):
    """A list of texts; what is no text in it, or no list, is left out. SQLite has it as JSON."""

    impl = ARRAY(Text)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(Text))

    def process_bind_param(self, value: list[str] | None, dialect: Dialect) -> Any:
        return json.dumps(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> list[str]:
        if isinstance(value, str | bytes):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return []
        return [tag for tag in value if isinstance(tag, str)] if isinstance(value, list) else []


def text_of(value: Any) -> str:
    """What a column of texts says, as text that every client can be sent."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value).encode("utf-8", "replace").decode("utf-8")


def bytes_of(value: Any) -> bytes | None:
    """What a column of bytes says; None where nothing was ever written."""
    if value is None or isinstance(value, bytes):
        return value
    return text_of(value).encode("utf-8")


def time_of(value: Any) -> datetime | None:
    """What a column of times says, in UTC; the first time that there is where it says something else."""
    if value is None or isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(text_of(value)).replace(tzinfo=UTC)
    except ValueError:
        return EARLIEST


def readable_time(dialect: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column of times as :func:`time_of` can read it. PostgreSQL has times that Python does not know, such as
    `infinity`: the nearest stands for them."""
    if dialect == "sqlite":
        return type_coerce(column, String).label(column.name)
    bounded = case((column < EARLIEST, EARLIEST), (column > LATEST, LATEST), else_=column)
    return type_coerce(bounded, column.type).label(column.name)


def whole_of(value: Any) -> int:
    """What a column of whole numbers says; 0 where it says something else."""
    return value if isinstance(value, int) else 0
