"""Column types that take what they find: SQLite lets anybody write anything into any column, and one odd value must not
keep the other rows from being read."""

import json
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Dialect, Text, TypeDecorator, Uuid
from sqlalchemy.types import CHAR, TypeEngine


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


def is_storable(text: str) -> bool:
    """Whether every database can store it: PostgreSQL has room for neither NUL nor halves of surrogate pairs."""
    return "\0" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text)


def text_of(value: Any) -> str:
    """What a column of texts says, as text that every client can be sent."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value).encode("utf-8", "replace").decode("utf-8")


def whole_of(value: Any) -> int:
    """What a column of whole numbers says; 0 where it says something else."""
    return value if isinstance(value, int) else 0
