"""What cannot be read as HTTP is answered like every other error, and nothing of it is written down."""

from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, InvalidURLError

from shared.reply import error_reply

log = structlog.get_logger()


class RequestHandler(web.RequestHandler):
    """aiohttp's protocol of one connection. By itself that writes into the log what it could not read, such as a header
    with credentials, with a traceback, for whoever sends rubbish."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        # aiohttp's words are the URL itself, or what was received follows their first colon.
        reason = "Invalid URL" if isinstance(exc, InvalidURLError) else exc.message.partition(":")[0]
        log.debug("request_malformed", address=request.remote, reason=type(exc).__name__)
        response = error_reply(status, f"this is no valid HTTP request: {reason}").response()
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        if isinstance(kw.get("exc_info"), (HttpProcessingError, web.RequestPayloadError)):
            # The rest of a body that cannot be decoded; its request has been answered.
            log.debug("request_malformed", reason=type(kw["exc_info"]).__name__)
        else:
            super().log_exception(*args, **kw)
