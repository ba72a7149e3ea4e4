"""The systemd units: accepted by systemd, as closed as the documentation says, and in step with the daemons."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from shared.config import DaemonSettings
from shared.start import EXIT_CONFIGURATION

DEPLOY = Path(__file__).parents[2] / "deploy"
DAEMONS = ["juvuln", "malgomaj"]
MOST_EXPOSURE = 2.0
"""systemd's figure goes from 0 to 10, the more exposed the higher; docs/operations.md has ours."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)


def service_section(daemon: str) -> dict[str, list[str]]:
    """The settings of a unit's [Service]; a name may be there more than once."""
    settings: dict[str, list[str]] = {}
    text = (DEPLOY / "systemd" / f"{daemon}.service").read_text(encoding="utf-8")
    section = text.partition("[Service]\n")[2].partition("\n[")[0]
    for name, value in re.findall(r"^(\w+)=(.*)$", section, re.MULTILINE):
        settings.setdefault(name, []).append(value)
    return settings


@needs_systemd
@pytest.mark.parametrize("daemon", DAEMONS)
def test_systemd_has_nothing_to_say_against_the_unit(daemon: str, tmp_path: Path) -> None:
    command = tmp_path / "bin" / daemon
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    unit = tmp_path / f"{daemon}.service"
    text = (DEPLOY / "systemd" / unit.name).read_text(encoding="utf-8")
    unit.write_text(text.replace("/usr/local/", f"{tmp_path}/"), encoding="utf-8")
    verified = analyze("verify", "--man=no", "--recursive-errors=no", unit)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("daemon", DAEMONS)
def test_the_unit_is_as_closed_as_the_documentation_says(daemon: str) -> None:
    judged = analyze("security", "--offline=true", "--no-pager", DEPLOY / "systemd" / f"{daemon}.service")
    figure = re.search(r"Overall exposure level for \S+: ([\d.]+)", judged.stdout)
    assert figure is not None, judged.stderr
    assert float(figure[1]) <= MOST_EXPOSURE


@pytest.mark.parametrize("daemon", DAEMONS)
def test_the_unit_knows_the_daemons_exit_statuses_and_times(daemon: str) -> None:
    service = service_section(daemon)
    assert service["RestartPreventExitStatus"] == [str(EXIT_CONFIGURATION)]
    assert float(service["TimeoutStopSec"][0]) > DaemonSettings().shutdown_timeout_seconds
    assert service["Environment"] == [f"CONFIG_FILENAME={daemon}.yaml"]


def test_both_daemons_are_one_user_with_one_state_folder() -> None:
    juvuln, malgomaj = map(service_section, DAEMONS)
    for name in ("User", "Group", "StateDirectory", "StateDirectoryMode"):
        assert juvuln[name] == malgomaj[name]
    assert juvuln["StateDirectoryMode"] == ["0700"]
    assert f"u {juvuln['User'][0]} " in (DEPLOY / "sysusers.d" / "selfhost.conf").read_text(encoding="utf-8")


def test_executors_may_lock_themselves_down() -> None:
    malgomaj = service_section("malgomaj")
    allowed = " ".join(filtered for filtered in malgomaj["SystemCallFilter"] if not filtered.startswith("~")).split()
    assert {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"} <= set(allowed)
    refused = " ".join(filtered for filtered in malgomaj["SystemCallFilter"] if filtered.startswith("~"))
    assert "@resources" not in refused
