"""Run a command on a kernel whose Landlock answers with an error: ``without_landlock.py ENOSYS COMMAND ARGUMENT…``.

A system call filter stands in for the other kernel. Started as a file; the command takes this process over.
"""

import ctypes
import errno
import os
import sys
from pathlib import Path

PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ERRNO = 0x00050000
SECCOMP_RET_ALLOW = 0x7FFF0000

BPF_LOAD_WORD = 0x20
BPF_JUMP_IF_AT_LEAST = 0x35
BPF_JUMP_IF_ABOVE = 0x25
BPF_RETURN = 0x06

FIRST_LANDLOCK_CALL = 444
LAST_LANDLOCK_CALL = 446


class Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(Instruction)))


def command_prefix(error: str) -> list[str]:
    """What to put before a command, absolute, for a kernel whose Landlock answers with this error."""
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), error]


def refuse_landlock(error: int) -> None:
    """Have the three system calls of Landlock fail with ``error`` from now on, here and in all processes begun here."""
    instructions = (Instruction * 5)(
        Instruction(BPF_LOAD_WORD, 0, 0, 0),  # the call's number
        Instruction(BPF_JUMP_IF_AT_LEAST, 0, 2, FIRST_LANDLOCK_CALL),
        Instruction(BPF_JUMP_IF_ABOVE, 1, 0, LAST_LANDLOCK_CALL),
        Instruction(BPF_RETURN, 0, 0, SECCOMP_RET_ERRNO | error),
        Instruction(BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW),
    )
    program = Program(len(instructions), instructions)
    prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1))
    prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(program))


def prctl(option: int, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    unused = [ctypes.c_ulong(0)] * (4 - len(arguments))
    if libc.prctl(ctypes.c_int(option), *arguments, *unused) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    refuse_landlock(getattr(errno, sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
