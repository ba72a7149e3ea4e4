"""The worker as a daemon: its command line, its start, its end, and how it finds its manager."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from tengo_bridge import landlock
from tests.malgomaj.manager import SECRET, LocalManager, local_manager
from tests.malgomaj.worker import RunningWorker, environment, running_worker, task
from tests.support import without_landlock
from tests.support.daemons import DaemonProcess
from tests.support.processes import alive
from tests.support.waiting import free_port, until

SLEEP = 'times := import("times"); times.sleep(%d * times.millisecond)'


async def command(*arguments: str, **variables: str) -> tuple[int, str, str]:
    """Run malgomaj; gives exit status, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("malgomaj"),
        *arguments,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_help_tells_a_stranger_what_this_is() -> None:
    status, out, _ = await command("--help")
    assert status == 0
    words = " ".join(out.split())
    for part in ("Program Worker of Self-host", "--config", "--check-config", "--version", "MALGOMAJ_LISTEN__PORT"):
        assert part in words


async def test_version() -> None:
    status, out, _ = await command("--version")
    assert status == 0
    assert out.startswith("malgomaj ")


async def test_a_wrong_option_is_a_usage_error() -> None:
    status, _, err = await command("--confg", "x")
    assert status == 2
    assert "--confg" in err
    assert "Traceback" not in err


async def test_a_good_configuration_is_checked_without_starting(tmp_path: Path) -> None:
    file = tmp_path / "malgomaj.yaml"
    file.write_text("listen: {port: 4711}\nprogram_manager: {authority: 'me:verysecret@manager:1'}", encoding="utf-8")
    status, out, err = await command("--config", str(file), "--check-config")
    assert (status, err) == (0, "")
    assert out == (f"malgomaj: configuration is good: {file}, listens on 127.0.0.1:4711, works for http://manager:1\n")


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("listen: {port: http}", ["listen.port: input should be a valid integer"]),
        ("lisen: {port: 1}\nlimits: {tasks: 0}", ["limits.tasks: ", "lisen: there is no such setting"]),
        ("a: [", ["is not YAML"]),
        ("- 1", ["must be a mapping"]),
        ("secret: short\nsecret_file: 5", ["secret: must have 16 characters or more", "secret_file: "]),
    ],
)
@pytest.mark.parametrize("arguments", [["--check-config"], []])
async def test_a_bad_configuration_is_told_line_by_line(
    text: str, faults: list[str], arguments: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "malgomaj.yaml"
    file.write_text(text, encoding="utf-8")
    status, out, err = await command("--config", str(file), *arguments)
    assert (status, out) == (78, "")
    for line, fault in zip(err.splitlines(), faults, strict=True):
        assert line.startswith(f"malgomaj: {file}")
        assert fault in line


async def test_a_configuration_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    status, _, err = await command("--config", str(tmp_path / "none.yaml"))
    assert (status, err) == (78, f"malgomaj: {tmp_path}/none.yaml: there is no such configuration file\n")


async def test_a_misspelt_variable_is_told() -> None:
    status, _, err = await command("--check-config", MALGOMAJ_LISTEN__PROT="1")
    assert (status, err) == (78, "malgomaj: MALGOMAJ_LISTEN__PROT: there is no such setting\n")


async def test_a_port_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, out, err = await command(**environment(tmp_path, "127.0.0.1:1", port, LOG__LEVEL="error"))
    assert (status, out) == (1, "")
    assert err == (
        f"malgomaj: port {port} on 127.0.0.1 is taken by another program; stop that or set "
        "listen.port (MALGOMAJ_LISTEN__PORT)\n"
    )


async def test_a_secret_that_others_can_read_is_told(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET, encoding="utf-8")
    secret.chmod(0o644)
    status, _, err = await command(MALGOMAJ_SECRET_FILE=str(secret), MALGOMAJ_STATE_DIR=str(tmp_path))
    assert (status, err) == (78, f"malgomaj: {secret}: others can read the shared secret; do: chmod 600 {secret}\n")


async def test_stopping_lets_runs_end_and_leaves_no_process(worker: RunningWorker, manager: LocalManager) -> None:
    run = asyncio.create_task(worker.run(SLEEP % 700))
    executors = await until(_runs(worker), "the run is under way")
    worker.process.signal(signal.SIGTERM)

    async def gone() -> bool:
        return not manager.subscribers

    headers = worker.headers
    await until(gone, "the worker says goodbye")

    async def refused() -> bool:
        answered = await worker.request("POST", "/v1/tasks", headers=headers, json=task("x := 1"))
        return answered.status == 503 and answered.headers["Retry-After"] == "1"

    await until(refused, "new tasks are refused")
    assert (await run).status == 200
    assert await worker.process.wait() == 0
    assert not any(map(alive, executors))
    assert worker.process.events("daemon_stopped")[0]["drained"]


async def test_what_does_not_end_in_time_is_cancelled_and_answered(tmp_path: Path, manager: LocalManager) -> None:
    async with running_worker(tmp_path, manager, SHUTDOWN_TIMEOUT_SECONDS="0.3") as worker:
        sleeping = asyncio.create_task(worker.report(SLEEP % 30_000, deadline=60_000))
        looping = asyncio.create_task(worker.report("for {}", deadline=60_000, domain="loop"))
        executors = await until(_runs(worker, 2), "both are under way")
        worker.process.signal(signal.SIGTERM)
        for report in (await sleeping, await looping):
            assert (report["outcome"], report["error"]["kind"]) == ("cancelled", "cancelled")
            assert report["error"]["message"] == "the worker stopped before the program had ended"
        assert await worker.process.wait() == 0
        assert not any(map(alive, executors))


async def test_a_second_signal_ends_it_at_once(worker: RunningWorker) -> None:
    run = asyncio.create_task(worker.run(SLEEP % 30_000, deadline=60_000))
    executors = await until(_runs(worker), "the run is under way")
    worker.process.signal(signal.SIGINT)

    async def draining() -> bool:
        return bool(worker.process.events("daemon_stopping"))

    await until(draining, "it drains")
    worker.process.signal(signal.SIGINT)
    assert await worker.process.wait(10) == 1
    assert not any(map(alive, executors))
    await asyncio.gather(run, return_exceptions=True)


async def test_a_worker_that_is_killed_takes_its_executors_along(worker: RunningWorker) -> None:
    run = asyncio.create_task(worker.run("for {}", deadline=60_000))
    executors = await until(_runs(worker), "the run is under way")
    await worker.process.kill()

    async def gone() -> bool:
        return not any(map(alive, executors))

    await until(gone, "the executors are gone")
    await asyncio.gather(run, return_exceptions=True)


async def test_the_worker_may_start_before_its_manager_and_find_it_again(tmp_path: Path) -> None:
    manager_port, port = free_port(), free_port()
    variables = environment(tmp_path, f"127.0.0.1:{manager_port}", port)
    process = DaemonProcess("malgomaj", variables, tmp_path / "log", port)
    try:
        await process.start()
        async with aiohttp.ClientSession() as session:
            for _ in range(2):
                problem = await until(_unready(session, process), "the worker is not ready")
                assert problem.startswith(f"the program manager at http://127.0.0.1:{manager_port} is away: ")
                async with local_manager(manager_port) as manager:
                    worker = RunningWorker(process, manager, session)
                    await worker.subscribed()
                    assert (await worker.run("x := 1")).status == 200
        assert await process.stop() == 0
    finally:
        await process.kill()


async def test_secrets_that_differ_are_told_and_healed_by_copying_the_file(
    tmp_path: Path, manager: LocalManager
) -> None:
    port, file = free_port(), tmp_path / "secret"
    variables = environment(tmp_path, manager.authority, port, SUBSCRIPTION__INTERVAL_SECONDS="60")
    del variables["MALGOMAJ_SECRET"]
    process = DaemonProcess("malgomaj", variables, tmp_path / "log", port)
    try:
        await process.start()
        assert file.stat().st_mode & 0o777 == 0o600
        async with aiohttp.ClientSession() as session:
            problem = await until(_unready(session, process), "the worker is not ready")
            assert problem == (
                f"the program manager at http://{manager.authority} does not accept this worker's secret; "
                f"copy the manager's secret file over {file}"
            )
            file.write_text(SECRET, encoding="utf-8")
            process.signal(signal.SIGHUP)
            await RunningWorker(process, manager, session).subscribed()
        assert process.events("reloaded")
        assert manager.secret is not None
        assert manager.secret not in process.log_text()
    finally:
        await process.kill()


def _runs(worker: RunningWorker, count: int = 1) -> Callable[[], Awaitable[list[int] | None]]:
    async def executors() -> list[int] | None:
        return worker.executors() if (await worker.status())["runs"] == count else None

    return executors


def _unready(session: aiohttp.ClientSession, process: DaemonProcess) -> Callable[[], Awaitable[str | None]]:
    async def problem() -> str | None:
        async with session.get(f"{process.url}/readyz") as response:
            document = await response.json()
        found: str = document["problems"].get("manager", "")
        return found if response.status == 503 and found != "not subscribed yet" else None

    return problem


async def test_a_slow_library_does_not_hold_up_the_sign_of_life(worker: RunningWorker, manager: LocalManager) -> None:
    manager.hold = asyncio.Event()
    source = "\n".join(f'import("m{number}")' for number in range(300))
    calls = [asyncio.create_task(worker.run(source, deadline=1500, domain=f"d{number}")) for number in range(12)]
    before = len(manager.loads)

    async def reported_again() -> bool:
        return len(manager.loads) >= before + 3

    await until(reported_again, "the worker reports its load while the library hangs")
    manager.hold.set()
    for answered in await asyncio.gather(*calls):
        assert answered.status == 500


async def test_a_kernel_without_landlock_is_told_once(tmp_path: Path, manager: LocalManager) -> None:
    port = free_port()
    variables = environment(tmp_path, manager.authority, port)
    process = DaemonProcess(
        "malgomaj", variables, tmp_path / "log", port, prefix=without_landlock.command_prefix("ENOSYS")
    )
    try:
        await process.start()
    finally:
        await process.kill()
    (missing,) = process.events("landlock_missing")
    assert missing["level"] == "warning"
    assert "an executor's files are not limited" in missing["lost"]


@pytest.mark.skipif(bool(landlock.losses(landlock.abi_version())), reason="this kernel's Landlock lacks something")
async def test_a_kernel_with_all_of_landlock_is_nothing_to_tell(worker: RunningWorker) -> None:
    assert worker.process.events("landlock_missing") == []


async def test_it_ends_well_though_nobody_reads_its_log(tmp_path: Path, manager: LocalManager) -> None:
    reading, writing = os.pipe()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "MALGOMAJ_STATE_DIR": str(tmp_path),
        "MALGOMAJ_SECRET": SECRET,
        "MALGOMAJ_LISTEN__PORT": "0",
        "MALGOMAJ_PROGRAM_MANAGER__AUTHORITY": manager.authority,
    }
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("malgomaj"), env=environ, stderr=writing, stdin=asyncio.subprocess.DEVNULL
    )
    os.close(writing)
    os.close(reading)

    async def subscribed() -> bool:
        return bool(manager.subscribers)

    await until(subscribed, "the worker works")
    process.terminate()
    assert await process.wait() == 0
