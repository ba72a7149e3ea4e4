"""TLS of our HTTP clients, whose roots are read with the first connection that is secured.

aiohttp reads the machine's roots as it is imported, and twice: two megabytes that a daemon in plain HTTP never needs.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any


class SystemRoots(ssl.SSLContext):
    """What :func:`ssl.create_default_context` gives, made when it is first needed.

    Whatever went past :meth:`wrap_bio`, which is how asyncio and uvloop secure connections, would trust nobody.
    """

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        return self._context.wrap_bio(*arguments, **options)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])  # as aiohttp does
        return context


def system_roots() -> SystemRoots:
    """To verify servers by the machine's roots, or those that SSL_CERT_FILE and SSL_CERT_DIR name."""
    return SystemRoots(ssl.PROTOCOL_TLS_CLIENT)


@contextmanager
def roots_left_unread() -> Iterator[None]:
    """While aiohttp is imported: OpenSSL then finds no roots in the file where it looks for them.

    Only where every client is given :func:`system_roots`, as aiohttp's own way to verify knows few roots then, or none.
    """
    named = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = os.devnull
    try:
        yield
    finally:
        del os.environ["SSL_CERT_FILE"]
        if named is not None:
            os.environ["SSL_CERT_FILE"] = named
