"""The base of this package's errors, alone so that an executor can import it at next to no cost."""


class BridgeError(Exception):
    """An error whose text is one sentence: what is wrong, where, and what to do about it."""
