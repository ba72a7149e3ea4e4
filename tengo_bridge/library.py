"""Finding, loading and checking ``libtengo.so``. Everything that ctypes knows of the library is here."""

import ctypes
import os

from tengo_bridge.errors import BridgeError

ABI_VERSION = 2
"""The version of the library's functions, and of the frames, that this package speaks."""

DEFAULT_PATH = os.path.join(os.path.dirname(os.path.realpath(__file__)), "libtengo.so")

SERVE_STREAM_ENDED = 0
SERVE_STREAM_REFUSED = 1
SERVE_NO_SOCKET = 2


class LibraryError(BridgeError):
    """The library is missing, cannot be loaded, or is of another version."""


class Library:
    """The functions of a loaded ``libtengo.so``."""

    def __init__(self, handle: ctypes.CDLL) -> None:
        self.tengo_abi_version = handle.tengo_abi_version
        self.tengo_abi_version.argtypes = []
        self.tengo_abi_version.restype = ctypes.c_int
        self.tengo_serve = handle.tengo_serve
        self.tengo_serve.argtypes = [ctypes.c_int]
        self.tengo_serve.restype = ctypes.c_int

    def serve(self, fd: int) -> int:
        """Answer frames on the stream socket ``fd`` until its other end is closed; one of the SERVE_ values.

        Blocks, without holding the interpreter's lock. The library owns the descriptor from the call on. What is wrong
        with a refused stream it writes to standard error.
        """
        status: int = self.tengo_serve(fd)
        return status


def load_library(path: "str | os.PathLike[str]" = DEFAULT_PATH) -> Library:
    """Load the library at ``path``; LibraryError if it cannot be used. It stays loaded until the process ends."""
    if not os.path.exists(path):
        raise LibraryError(f"{path} is not there; run `make build` in the project's checkout")
    try:
        library = Library(ctypes.CDLL(str(path)))
    except (OSError, AttributeError) as error:
        raise LibraryError(f"{path} cannot be used ({error}); run `make build` to build it anew") from error
    version = library.tengo_abi_version()
    if version != ABI_VERSION:
        raise LibraryError(f"{path} has ABI version {version}, and {ABI_VERSION} is needed; run `make build`")
    return library
