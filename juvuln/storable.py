"""Which texts a database can store."""

UNSTORABLE = "holds a character that cannot be stored"


def is_storable(text: str) -> bool:
    """Whether every database can store it: PostgreSQL has room for neither NUL nor halves of surrogate pairs."""
    return "\0" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text)
