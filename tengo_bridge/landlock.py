"""Landlock: how a process gives up files, ports and other processes for good, without any privilege (landlock(7))."""

import ctypes
import errno
import os
import stat

from tengo_bridge.errors import BridgeError

# The system calls have these numbers on every architecture that the library is built for.
SYS_CREATE_RULESET = 444
SYS_ADD_RULE = 445
SYS_RESTRICT_SELF = 446

# From <linux/landlock.h>.
CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH = 1
NO_FLAGS = ctypes.c_uint32(0)
ACCESS_FS_READ_FILE = 1 << 2
ACCESS_FS_READ_DIR = 1 << 3

FS_RIGHTS_SINCE = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
"""Rights to files by the ABI version that brought them: most of them; to move; to truncate; device controls."""

NET_RIGHTS_SINCE = {4: 1 << 0}
"""To bind a TCP port. The right to connect stays, for the policy of egress sees to that."""

SCOPES_SINCE = {6: (1 << 0) | (1 << 1)}
"""Abstract Unix sockets and signals reach no further than the process itself."""

LOSSES_BELOW = {
    1: "an executor's files are not limited",
    3: "an executor may truncate files",
    4: "an executor may listen on TCP ports",
    6: "an executor may send signals, and connect to abstract Unix sockets",
}


class LandlockError(BridgeError):
    """The kernel has Landlock and refuses to apply it."""


class Rights(ctypes.Structure):
    """What a process gives up: the kernel's ``struct landlock_ruleset_attr``."""

    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class PathRule(ctypes.Structure):
    """What it may do all the same, at a path or below it: the kernel's ``struct landlock_path_beneath_attr``."""

    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def abi_version() -> int:
    """The version of the interface that this kernel offers; 0 where it has no Landlock, or is booted without it."""
    try:
        return _system_call(SYS_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(CREATE_RULESET_VERSION))
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
            return 0
        raise _refused(error) from error


def losses(version: int) -> list[str]:
    """What a kernel with this ABI version cannot keep an executor from, in words."""
    return [loss for below, loss in LOSSES_BELOW.items() if version < below]


def rights_known(version: int) -> Rights:
    """Everything that can be given up under this ABI version, but for connecting to TCP ports."""
    return Rights(*(_known(rights, version) for rights in (FS_RIGHTS_SINCE, NET_RIGHTS_SINCE, SCOPES_SINCE)))


def _known(rights_since: dict[int, int], version: int) -> int:
    return sum(rights for since, rights in rights_since.items() if since <= version)


def leave_only_reading(paths: list[str]) -> None:
    """Give up everything that the kernel lets go of, but for reading these files and what is in these folders.

    It binds the calling thread and all that it starts later, and there is no way back. The process must have given up
    new privileges. Paths that do not exist are passed over; links are followed. Where the kernel has no Landlock,
    nothing happens. Raises LandlockError where it has and refuses.
    """
    version = abi_version()
    if version == 0:
        return
    try:
        _restrict(rights_known(version), paths)
    except OSError as error:
        raise _refused(error) from error


def _restrict(rights: Rights, paths: list[str]) -> None:
    # Older kernels take the longer structure, as what they do not know in it is zero.
    size = ctypes.c_size_t(ctypes.sizeof(rights))
    ruleset = _system_call(SYS_CREATE_RULESET, ctypes.byref(rights), size, NO_FLAGS)
    try:
        for path in paths:
            _allow_reading(ruleset, path)
        _system_call(SYS_RESTRICT_SELF, ctypes.c_int(ruleset), NO_FLAGS)
    finally:
        os.close(ruleset)


def _allow_reading(ruleset: int, path: str) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        rule = PathRule(_reading(descriptor), descriptor)
        kind = ctypes.c_int(RULE_PATH_BENEATH)
        _system_call(SYS_ADD_RULE, ctypes.c_int(ruleset), kind, ctypes.byref(rule), NO_FLAGS)
    finally:
        os.close(descriptor)


def _reading(descriptor: int) -> int:
    """The kernel refuses a rule that lets a file be listed."""
    is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
    return ACCESS_FS_READ_FILE | ACCESS_FS_READ_DIR if is_folder else ACCESS_FS_READ_FILE


def _system_call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result: int = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _refused(error: OSError) -> LandlockError:
    return LandlockError(
        f"the kernel has Landlock and does not let it be used ({error.strerror}); allow the system calls landlock_* "
        "where the worker is started (SystemCallFilter, or the container's seccomp profile)"
    )
