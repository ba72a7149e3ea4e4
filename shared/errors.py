"""The base of every error that a person is meant to read."""


class SelfhostError(Exception):
    """An error whose text is one sentence: what is wrong, where, and what to do about it."""


class ConfigurationError(SelfhostError):
    """The configuration cannot be used. One line per fault, each naming the file and the key."""


class StartError(SelfhostError):
    """A daemon cannot start for a reason outside its configuration, such as a port that is taken."""
