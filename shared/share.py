"""How much of what there is somebody may have."""

SHARE = 8
"""So many times as much as is free: 8 in 9 of all while no other has any. So one that comes later finds some."""


def has_share(taken: int, free: int) -> bool:
    """Whether somebody who has ``taken`` may have one more while ``free`` are free."""
    return taken < SHARE * free
