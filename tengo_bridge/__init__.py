"""The Tengo engine: a Go library, its ctypes wrapper, and the frames that everybody speaks to it.

- ``tengo_bridge.frames``: the frames between a worker and an executor, as values and as bytes;
- ``tengo_bridge.engine``: the engine in this very process, for command lines and tests;
- ``tengo_bridge.executor``: the entry point of an executor process, which a worker starts;
- ``tengo_bridge.library``: finding, loading and checking ``libtengo.so``;
- ``tengo_bridge.build``: building it from ``tengo_bridge/go``.

This package imports none of the others. It imports nothing itself but its errors, since an executor starts often.
"""

from tengo_bridge.errors import BridgeError

__all__ = ["BridgeError"]
