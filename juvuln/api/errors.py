"""The one place where the manager's errors become HTTP answers."""

from sqlalchemy.exc import IntegrityError

from juvuln.calls import NoSuchWebhookError, NotRunnableError, PausedError, StoppingError, TooManyCallsError
from juvuln.database import DatabaseError
from juvuln.domains.store import NotFoundError
from shared.http import Refusal


def refusal_of(error: Exception) -> Refusal | None:
    """None for an error that nobody expects."""
    match error:
        case NotFoundError() | NoSuchWebhookError():
            return Refusal(404, str(error))
        case IntegrityError():
            # Of our own rules none is left to be broken by then: it is one that somebody gave to the domain's tables.
            return Refusal(409, "the domain's database refuses this: it contradicts what is stored there")
        case NotRunnableError():
            return Refusal(409, str(error))
        case TooManyCallsError():
            return Refusal(429, str(error), {"Retry-After": "1"})
        case DatabaseError() | PausedError() | StoppingError():
            return Refusal(503, str(error), {"Retry-After": "5"})
    return None
