"""What juvuln and malgomaj have in common: wire models, configuration, logging, authentication, health.

This package imports none of the others.
"""

from importlib.metadata import PackageNotFoundError, version


def project_version() -> str:
    """The installed version of the project, or ``0+unknown`` where it runs from a bare source tree."""
    try:
        return version("selfhost-programs")
    except PackageNotFoundError:
        return "0+unknown"
