"""The one place where the manager's errors become HTTP answers."""

from aiohttp import web
from aiohttp.typedefs import Handler
from sqlalchemy.exc import IntegrityError

from juvuln.calls import NoSuchWebhookError, NotRunnableError, PausedError, StoppingError, TooManyCallsError
from juvuln.database import DatabaseError
from juvuln.domains.store import NotFoundError
from shared.http import Refusal


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (NotFoundError, NoSuchWebhookError) as error:
        raise Refusal(404, str(error)) from error
    except IntegrityError as error:
        # Of our own rules none is left to be broken by then: it is one that somebody gave to the domain's tables.
        raise Refusal(409, "the domain's database refuses this: it contradicts what is stored there") from error
    except NotRunnableError as error:
        raise Refusal(409, str(error)) from error
    except TooManyCallsError as error:
        raise Refusal(429, str(error), {"Retry-After": "1"}) from error
    except (DatabaseError, PausedError, StoppingError) as error:
        raise Refusal(503, str(error), {"Retry-After": "5"}) from error
