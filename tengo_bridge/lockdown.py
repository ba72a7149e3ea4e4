"""How the process of an executor gives up what programs must not have, before it loads the library and for good.

No new privileges and Landlock bind the thread that asks for them and those it starts later. Go starts threads as soon
as its library is loaded, so everything here comes before.
"""

import ctypes
import os
import resource
import sys

from tengo_bridge.errors import BridgeError
from tengo_bridge.landlock import leave_only_reading

MAX_OPEN_FILES = 1024

NICENESS = 5
"""How much nicer than the daemons an executor is, where there is not enough of the processor.

With four loops on two cores, a neighbour's webhook took 2.3 ms in the median without it, and 0.7 ms with it, as it does
without loops. More than 5 gained nothing.
"""

THREAD_STACK_BYTES = 1024 * 1024

PTHREAD_ATTR_BYTES = 128
"""At least the size of a ``pthread_attr_t`` anywhere."""

OOM_SCORE = 500
"""Where the machine runs out of memory, the kernel ends an executor rather than a daemon."""

PROXY_VARIABLES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"})

# From <signal.h>.
SIGINT = 2
SIGKILL = 9
SIGTERM = 15
SIG_DFL = ctypes.c_void_p(0)
SIG_IGN = ctypes.c_void_p(1)

# From <linux/prctl.h>.
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38

CAPABILITY_VERSION = 0x20080522
"""Of the structures of capset(2): that with 64 capabilities."""

NAME_RESOLUTION = (
    "/etc/resolv.conf",
    "/run/systemd/resolve",  # a folder, for the file in it is replaced when the network changes
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/mdns.allow",
)
TLS_ROOTS = (
    # Not /etc/ssl and /etc/pki as a whole: private keys are kept there as well.
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted",
    "/etc/ca-certificates/extracted",
    "/usr/share/ca-certificates",
    "/usr/share/pki",
    "/usr/local/share/ca-certificates",
    "/usr/lib/ssl",
    "/var/lib/ca-certificates",
)
TIME_ZONES = ("/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/etc/localtime")
GO_RUNTIME = (
    "/proc/self/maps",  # where the stack of the thread is that calls the library
    # How much of the processor there is: Go starts as many threads as the control group may keep busy.
    "/proc/self/cgroup",
    "/proc/self/mountinfo",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size",
)


class LockdownError(BridgeError):
    """The process cannot be made a safe place for programs."""


def clear_environment() -> None:
    """Leave nothing but the proxy variables, which the worker sets where its configuration says so.

    Go reads the environment that the process was started with, whatever has been unset since. So where there is more
    than that in it, the process starts anew, in place and with the same arguments.
    """
    started_with = _text("/proc/self/environ").split("\0")
    names = {entry.partition("=")[0] for entry in started_with if entry}
    kept = {name: value for name, value in os.environ.items() if name in PROXY_VARIABLES}
    if not names <= PROXY_VARIABLES:
        os.execve(sys.executable, sys.orig_argv, kept)  # noqa: S606
    # What Python itself has set.
    for name in os.environ.keys() - kept.keys():
        del os.environ[name]


def end_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when the worker dies, however it dies."""
    _prctl(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != parent_pid:
        raise LockdownError(f"the worker, process {parent_pid}, is gone")


def leave_signals_to_parent() -> None:
    """Ctrl-C reaches the whole group of processes, and the worker decides what becomes of this one."""
    libc = ctypes.CDLL(None)
    libc.signal.restype = ctypes.c_void_p
    libc.signal(SIGINT, SIG_IGN)
    libc.signal(SIGTERM, SIG_DFL)


def lock_down(stream: int, memory_bytes: int | None, library: str) -> None:
    """Leave the process with the socket ``stream``, so much data memory, and files that it can read but not write.

    Raises LockdownError or OSError if the kernel refuses a step, LandlockError if it has Landlock and refuses that.
    """
    close_descriptors(stream)
    stand_back_for_daemons()
    limit_resources(memory_bytes)
    drop_privileges()
    limit_files(library)


def close_descriptors(stream: int) -> None:
    """Leave nothing open but the stream, standard output and error, and nothing to read from standard input."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    os.closerange(3, stream)
    os.closerange(max(3, stream + 1), highest + 1)


def stand_back_for_daemons() -> None:
    """Leave the processor and, should it run out, the memory of the machine to the daemons.

    A program that loops takes no more than what it is due; the worker that has to end it must not wait for that.
    """
    os.nice(NICENESS)
    score = "/proc/self/oom_score_adj"
    highest = max(OOM_SCORE, int(_text(score)))
    with open(score, "w", encoding="ascii") as file:
        file.write(str(highest))


def limit_resources(memory_bytes: int | None) -> None:
    """Bound memory and open files, allow no file to be written, and leave no memory image behind after a crash.

    Processes are not limited: RLIMIT_NPROC counts threads of all processes of the user, so other executors, the worker
    and whatever else the user runs would decide whether Go gets its next thread.
    """
    os.umask(0o077)
    _lower_limit(resource.RLIMIT_CORE, 0)
    _lower_limit(resource.RLIMIT_FSIZE, 0)
    _lower_limit(resource.RLIMIT_MEMLOCK, 0)
    _lower_limit(resource.RLIMIT_MSGQUEUE, 0)
    _lower_limit(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
    if memory_bytes is not None:
        _keep_thread_stacks_small()
        _lower_limit(resource.RLIMIT_DATA, memory_bytes)


def _keep_thread_stacks_small() -> None:
    """Let threads have stacks of 1 MiB: by default each takes 8 MiB of what RLIMIT_DATA allows, and Go starts a few.

    Go's own code does not run on these stacks. Where the C library has no such function, the stacks stay as they are.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "pthread_setattr_default_np"):
        return
    attributes = ctypes.create_string_buffer(PTHREAD_ATTR_BYTES)
    libc.pthread_attr_init(attributes)
    libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(THREAD_STACK_BYTES))
    libc.pthread_setattr_default_np(attributes)


def _lower_limit(limit: int, value: int) -> None:
    """Lower a limit for good; where it is lower already it stays.

    Both the soft and the hard limit, as Go raises the soft one to the hard one where it may.
    """
    _, hard = resource.getrlimit(limit)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (most, most))


def drop_privileges() -> None:
    """Have none of root's powers, gain none by starting programs, and let no process of the same user look inside."""
    _drop_capabilities()
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _prctl(PR_SET_DUMPABLE, 0)


def _drop_capabilities() -> None:
    """The system call capset(2) with nothing in any of the three sets; who has no powers of root loses nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if libc.capset(header, nothing) != 0:
        raise LockdownError(f"capset fails: {os.strerror(ctypes.get_errno())}")


def limit_files(library: str) -> None:
    """Reading alone, and that of: the library and what its loader needs, names, TLS roots, time zones, Go's needs."""
    leave_only_reading([library, *_loader_needs(), *NAME_RESOLUTION, *TLS_ROOTS, *TIME_ZONES, *GO_RUNTIME])


def _loader_needs() -> list[str]:
    """What the library is linked to is part of the C library, and most often loaded already."""
    needs = ["/etc/ld.so.cache"]
    for line in _text("/proc/self/maps").splitlines():
        _, slash, rest = line.partition("/")
        folder, name = os.path.split(slash + rest)
        if name.startswith(("libc.", "libc-", "ld-musl")):
            return [*needs, folder]
    return needs


def _text(path: str) -> str:
    with open(path, "rb") as file:
        return os.fsdecode(file.read())


def _prctl(option: int, value: int) -> None:
    """The system call prctl(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    unused = ctypes.c_ulong(0)
    if libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), unused, unused, unused) != 0:
        raise LockdownError(f"prctl({option}, {value}) fails: {os.strerror(ctypes.get_errno())}")
