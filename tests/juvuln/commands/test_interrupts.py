"""Ctrl-C."""

import subprocess
import sys

DROPS_ONE_INTERRUPT = """
import io, os, signal, sys, time
import typer
from juvuln.commands.endings import ends_well_or_says_why
from juvuln.commands.interrupts import heard_when_interrupted

class Answer(io.RawIOBase):
    def close(self):
        if not self.closed:
            os.kill(os.getpid(), signal.SIGINT)
        super().close()

@ends_well_or_says_why
def command():
    with heard_when_interrupted():
        Answer()
        print("goes on", flush=True)
        time.sleep(60)

try:
    command()
except typer.Exit as ending:
    sys.exit(ending.exit_code)
"""


def test_ctrl_c_is_heard_even_where_python_drops_the_exception() -> None:
    done = subprocess.run([sys.executable, "-c", DROPS_ONE_INTERRUPT], capture_output=True, timeout=30, check=False)
    assert done.stdout == b"goes on\n"
    assert done.returncode == 130
