"""What Landlock takes away under each version of its interface."""

import pytest

from tengo_bridge import landlock


@pytest.mark.parametrize(
    ("version", "files", "network", "scopes"),
    [
        (1, 0x1FFF, 0, 0),
        (2, 0x3FFF, 0, 0),
        (3, 0x7FFF, 0, 0),
        (4, 0x7FFF, 1, 0),
        (5, 0xFFFF, 1, 0),
        (6, 0xFFFF, 1, 3),
        (7, 0xFFFF, 1, 3),
        (99, 0xFFFF, 1, 3),  # a kernel of the future knows more, and still takes this
    ],
)
def test_only_what_the_kernel_knows_is_given_up(version: int, files: int, network: int, scopes: int) -> None:
    rights = landlock.rights_known(version)
    assert (rights.handled_access_fs, rights.handled_access_net, rights.scoped) == (files, network, scopes)


@pytest.mark.parametrize(("version", "count"), [(0, 4), (1, 3), (2, 3), (3, 2), (4, 1), (5, 1), (6, 0), (7, 0)])
def test_what_an_older_kernel_cannot_do_is_named(version: int, count: int) -> None:
    assert len(landlock.losses(version)) == count
