"""What juvuln and malgomaj have in common: wire models, configuration, logging, authentication, health.

This package imports none of the others.
"""


def project_version() -> str:
    """The installed version of the project, or ``0+unknown`` where it runs from a bare source tree."""
    # Imported here, since it takes longer than all else that a command needs to start.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("selfhost-programs")
    except PackageNotFoundError:
        return "0+unknown"
