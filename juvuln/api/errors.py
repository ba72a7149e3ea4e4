"""The one place where the manager's errors become HTTP answers."""

from aiohttp import web
from aiohttp.typedefs import Handler

from juvuln.database import DatabaseError
from juvuln.domains.store import NotFoundError
from juvuln.webhooks import NoSuchWebhookError, StoppingError, TooManyCallsError
from shared.http import Refusal


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (NotFoundError, NoSuchWebhookError) as error:
        raise Refusal(404, str(error)) from error
    except TooManyCallsError as error:
        raise Refusal(429, str(error), {"Retry-After": "1"}) from error
    except (DatabaseError, StoppingError) as error:
        raise Refusal(503, str(error), {"Retry-After": "5"}) from error
