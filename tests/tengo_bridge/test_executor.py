"""Executor processes: how they start, how they are locked down, and how they end."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tengo_bridge.frames import Frame, Kind, encode
from tengo_bridge.lockdown import MAX_OPEN_FILES, NICENESS, OOM_SCORE
from tests.support import without_landlock

from .process import PATIENCE_SECONDS, ExecutorProcess, command

Start = Callable[..., ExecutorProcess]

MIB = 1024 * 1024
CYCLE = 'a := [1]; a[0] = a; import("json").encode(a)'
GROWTH = 'a := []; for true { a = append(a, {"x": a}) }'
HOARDERS = {
    "maps": GROWTH,
    "arrays of arrays": "a := []; for { a = append(a, [range(0, 50), range(0, 50)]) }",
    "long arrays": "a := []; for { a = append(a, range(0, 100000)) }",
    "a map": 'm := {}; for i := 0; true; i++ { m["k" + i] = [i, {a: i, b: "x" + i}] }',
    "closures": "a := []; f := func(n) { return func() { return n } }; for i := 0; true; i++ { a = [a, f(i), f(i)] }",
    "short texts": 'a := []; for i := 0; true; i++ { a = [a, "short text " + i, "another one " + i, "" + i + i] }',
    "long texts": 't := import("text"); a := []; for { a = append(a, t.repeat("x", 8000000)) }',
    "a chain": "a := {}; for i := 0; true; i++ { a = {next: a, i: i} }",
    "JSON": 'j := import("json"); a := []; for { a = append(a, j.decode(`[[1], [2], {"a": {"b": [3, "text"]}}]`)) }',
    "recursion": "f := func(n) { a := range(0, 100000); return f(n + 1) + a[0] }; f(0)",
}


GET = 'r := import("http").get("%s"); import("log").info("%%v", is_error(r) ? r : r.StatusCode)'

LOOPBACK = {"allow": {"networks": ["loopback"]}}

LOCALHOST_PEM = Path(__file__).with_name("localhost.pem")
"""A certificate for localhost that signs itself, good until 2120, and its key, which guards nothing."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root sees inside a process that cannot be dumped")


@contextmanager
def answering(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a server that answers one call with 204."""

    def answer() -> None:
        connection, _ = server.accept()
        with connection, tls.wrap_socket(connection, server_side=True) if tls else connection as stream:
            stream.recv(65536)
            stream.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        server.settimeout(PATIENCE_SECONDS)
        answered = pool.submit(answer)
        yield server.getsockname()[1]
        answered.result()


def kind(frame: Frame | None) -> Kind:
    assert frame is not None, "the stream has ended"
    return frame.kind


def test_an_executor_says_that_it_is_ready_and_ends_with_its_stream(start_executor: Start) -> None:
    executor = start_executor()
    ready = executor.receive()
    assert ready is not None
    assert ready.kind is Kind.READY
    assert (ready.meta["abi"], ready.meta["languages"]) == (2, ["tengo"])
    assert {"http", "log", "cgi", "json"} <= set(ready.meta["modules"])
    assert kind(executor.compile("for true {}")) is Kind.COMPILED
    executor.send(Frame(Kind.RUN, 2, {"key": "main", "deadline_ms": 60_000}))
    executor.socket.close()
    assert executor.end() == (0, "")


def test_an_executor_is_small_and_quick(start_executor: Start) -> None:
    begin = time.perf_counter()
    executor = start_executor("--memory-bytes", str(512 * MIB))
    executor.receive()
    assert time.perf_counter() - begin < 1  # it takes 30 ms where nobody else wants the processor
    assert int(executor.status()["VmRSS"].split()[0]) < 30 * 1024


def test_an_executor_is_locked_down(start_executor: Start) -> None:
    executor = start_executor("--memory-bytes", str(400 * MIB))
    executor.receive()
    status = executor.status()
    ignored = int(status["SigIgn"], 16)
    assert ignored >> (signal.SIGINT - 1) & 1
    assert not ignored >> (signal.SIGTERM - 1) & 1
    assert status["Umask"] == "0077"
    assert status["Seccomp"] == Path("/proc/self/status").read_text().partition("Seccomp:")[2].split()[0]
    assert os.getpriority(os.PRIO_PROCESS, executor.process.pid) == os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
    assert int(Path(f"/proc/{executor.process.pid}/oom_score_adj").read_text()) >= OOM_SCORE


def test_every_thread_is_one_that_was_started_after_the_lockdown(start_executor: Start) -> None:
    """What binds a thread and those it starts would miss threads that Go had started before."""
    executor = start_executor()
    executor.receive()
    threads = list(Path(f"/proc/{executor.process.pid}/task").iterdir())
    assert len(threads) > 1
    for thread in threads:
        status = (thread / "status").read_text()
        assert "NoNewPrivs:\t1\n" in status
        assert "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n" in status


@pytest.mark.parametrize(
    ("limit", "most"),
    [
        ("Max data size", 400 * MIB),
        ("Max core file size", 0),
        ("Max file size", 0),
        ("Max locked memory", 0),
        ("Max msgqueue size", 0),
        ("Max open files", MAX_OPEN_FILES),
    ],
)
def test_an_executor_has_limits_that_it_cannot_raise(start_executor: Start, limit: str, most: int) -> None:
    executor = start_executor("--memory-bytes", str(400 * MIB))
    executor.receive()
    lines = Path(f"/proc/{executor.process.pid}/limits").read_text().splitlines()
    limits = {line[:26].strip(): line[26:].split()[:2] for line in lines}
    assert limits[limit] == [str(most), str(most)]


@needs_root
def test_an_executor_keeps_no_descriptor_that_it_was_started_with(start_executor: Start, tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as inherited:
        executor = start_executor(inherited=[inherited.fileno()])
        executor.receive()
        folder = Path(f"/proc/{executor.process.pid}/fd")
        opened = {int(entry.name): str(entry.readlink()) for entry in folder.iterdir()}
    assert opened.pop(0) == "/dev/null"
    del opened[1], opened[2]
    # Go watches sockets by the next two, and keeps an eye on how much of the processor its control group may use.
    expected = ("socket:", "anon_inode:[eventpoll]", "anon_inode:[eventfd]", "/sys/fs/cgroup/")
    assert [target for target in opened.values() if not target.startswith(expected)] == []
    assert sum(target.startswith("socket:") for target in opened.values()) == 1


@needs_root
def test_no_variable_gets_into_an_executor_but_the_proxies(start_executor: Start) -> None:
    """Go reads them where the kernel put them, so it is not enough to unset them."""
    variables = {"HTTP_PROXY": "http://proxy:1", "GODEBUG": "gctrace=1", "MALGOMAJ_SECRET": "x", "LANG": "C"}
    executor = start_executor(environment=variables)
    executor.receive()
    assert Path(f"/proc/{executor.process.pid}/environ").read_bytes() == b"HTTP_PROXY=http://proxy:1\0"


def test_a_locked_down_executor_resolves_names_and_calls(start_executor: Start) -> None:
    with answering() as port:
        executor = start_executor()
        executor.receive()
        executor.send(Frame(Kind.CONFIGURE, meta={"egress": LOOPBACK}))
        executor.compile(GET % f"http://localhost:{port}/")
        line = executor.run()
        assert line is not None
        assert line.meta["message"] == "204"


def test_a_locked_down_executor_checks_certificates(start_executor: Start) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(LOCALHOST_PEM)
    certificate = "".join(LOCALHOST_PEM.read_text().partition("-----BEGIN CERTIFICATE-----")[1:])
    with answering(server) as port:
        executor = start_executor()
        executor.receive()
        executor.send(Frame(Kind.CONFIGURE, meta={"egress": LOOPBACK | {"certificates_pem": certificate}}))
        executor.compile(GET % f"https://localhost:{port}/")
        line = executor.run()
        assert line is not None
        assert line.meta["message"] == "204"


def test_a_kernel_without_landlock_runs_programs_all_the_same(start_executor: Start) -> None:
    executor = start_executor(prefix=without_landlock.command_prefix("ENOSYS"))
    executor.receive()
    assert executor.status()["NoNewPrivs"] == "1"
    assert kind(executor.compile("x := 1")) is Kind.COMPILED


def test_a_kernel_that_refuses_landlock_gets_no_executor(start_executor: Start) -> None:
    status, errors = start_executor(prefix=without_landlock.command_prefix("EPERM")).end()
    assert status == 1
    assert errors.startswith("executor: the kernel has Landlock and does not let it be used (Operation not permitted)")
    assert errors.count("\n") == 1


def test_ctrl_c_is_left_to_the_worker_and_sigterm_ends(start_executor: Start) -> None:
    executor = start_executor()
    executor.receive()
    executor.process.send_signal(signal.SIGINT)
    assert kind(executor.compile("x := 1")) is Kind.COMPILED
    assert kind(executor.run()) is Kind.DONE
    executor.process.terminate()
    assert executor.end() == (-signal.SIGTERM, "")


def test_a_value_that_contains_itself_is_the_programs_own_error(start_executor: Start) -> None:
    executor = start_executor("--memory-bytes", str(512 * MIB))
    executor.receive()
    executor.compile(CYCLE)
    done = executor.run()
    assert done is not None
    assert done.meta["error"] == {
        "kind": "runtime",
        "message": "the value contains itself, or is nested deeper than 1000 levels",
        "stack": ["main:1:21"],
    }


@pytest.mark.parametrize(
    ("source", "mebibytes"),
    [(source, 192) for source in HOARDERS] + [("maps", 512), ("a chain", 512), ("long texts", 512)],
)
def test_a_run_that_hoards_memory_ends_before_the_process_does(
    start_executor: Start, source: str, mebibytes: int
) -> None:
    executor = start_executor("--memory-bytes", str(mebibytes * MIB))
    executor.receive()
    executor.send(Frame(Kind.CONFIGURE, meta={"memory_bytes": mebibytes * MIB * 3 // 4}))
    executor.compile(HOARDERS[source])
    for _ in range(2):
        done = executor.run()
        assert done is not None
        assert (done.meta["outcome"], done.meta["error"]["kind"]) == ("failed", "memory")
        assert "executors.memory_bytes" in done.meta["error"]["message"]


def test_memory_without_end_ends_the_process_at_its_limit(start_executor: Start) -> None:
    executor = start_executor("--memory-bytes", str(256 * MIB))
    executor.receive()
    executor.compile(GROWTH)  # without a configuration nobody in the process watches its memory
    assert executor.run() is None
    status, errors = executor.end()
    assert status in (-signal.SIGABRT, -signal.SIGKILL, 2)
    # Go has a few ways to say it, by what it needed the memory for.
    assert any(words in errors for words in ("out of memory", "cannot allocate memory", "pthread_create failed"))


def test_a_backlog_of_runs_stays_small(start_executor: Start) -> None:
    """A run takes a machine when its turn comes, and not before."""
    executor = start_executor("--memory-bytes", str(512 * MIB))
    executor.receive()
    executor.compile("x := 1")
    runs = 10_000
    frames = b"".join(encode(Frame(Kind.RUN, n, {"key": "main", "deadline_ms": 60_000})) for n in range(runs))
    sender = threading.Thread(target=executor.socket.sendall, args=(frames,))
    sender.start()
    outcomes = Counter(done and done.meta["outcome"] for done in (executor.receive() for _ in range(runs)))
    sender.join()
    assert outcomes == {"succeeded": runs}


def test_a_stream_of_something_else_ends_with_one_line(start_executor: Start) -> None:
    executor = start_executor()
    executor.receive()
    executor.send(Frame(Kind.DONE))
    status, errors = executor.end()
    assert status == 1
    assert errors == "libtengo: the worker's stream is refused: a worker does not send frames of kind 10\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--library", "/nowhere/libtengo.so"), "executor: /nowhere/libtengo.so is not there; run `make build`"),
        (("--parent", "1"), "executor: the worker, process 1, is gone"),
    ],
)
def test_what_keeps_an_executor_from_starting_is_one_line(
    start_executor: Start, options: tuple[str, ...], message: str
) -> None:
    status, errors = start_executor(*options).end()
    assert status == 1
    assert errors.startswith(message)
    assert errors.count("\n") == 1


def test_a_descriptor_that_is_not_open_is_one_line(library: Path) -> None:
    ended = subprocess.run(command(999), env={}, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
    assert ended.returncode == 1
    assert ended.stderr.startswith("libtengo: descriptor 999 is no stream socket")
    assert ended.stderr.count("\n") == 1


def test_an_executor_dies_with_its_worker_however_that_dies(library: Path) -> None:
    """A little worker starts an executor, tells its pid, and is killed; the executor's end of the pipe tells."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE_SECONDS)
    worker_program = (
        "import os, subprocess, sys, time\n"
        "fd = int(sys.argv[1]); command = sys.argv[2:]; command[command.index('PARENT')] = str(os.getpid())\n"
        "print(subprocess.Popen(command, pass_fds=[fd], env={}).pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    fd = theirs.fileno()
    executor = [part if part != str(os.getpid()) else "PARENT" for part in command(fd)]
    arguments = [sys.executable, "-c", worker_program, str(fd), *executor]
    with ours, subprocess.Popen(arguments, pass_fds=[fd], stdout=subprocess.PIPE) as worker:
        theirs.close()
        assert ours.recv(65536)  # READY
        worker.kill()
        assert ours.recv(65536) == b""


@pytest.mark.parametrize("options", [[], ["--fd", "x", "--parent", "1"], ["--fd", "0"], ["--unknown"]])
def test_an_executor_that_is_started_wrongly_says_so_in_one_line(options: list[str]) -> None:
    program, isolated, bare, script, *_ = command(0)
    ended = subprocess.run([program, isolated, bare, script, *options], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("executor: started with wrong options: ")
    assert len(ended.stderr.splitlines()) == 1
