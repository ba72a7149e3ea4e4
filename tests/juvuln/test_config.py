"""Settings of an existing installation are taken as they are."""

from pathlib import Path

import pytest

from juvuln.config import JuvulnSettings
from shared.config import load_settings
from shared.errors import ConfigurationError


@pytest.mark.parametrize(
    ("written", "seconds"), [("30", 30), ("30s", 30), ("1m30s", 90), ("1.5h", 5400), ("500ms", 0.5), ("2.5", 2.5)]
)
def test_the_timeout_of_workers_is_in_seconds_or_has_its_units(tmp_path: Path, written: str, seconds: float) -> None:
    file = tmp_path / "juvuln.yaml"
    file.write_text(f"domainfile: x.yaml\nworker: {{timeout: {written}}}\n", encoding="utf-8")
    assert load_settings(JuvulnSettings, file, {}).worker.timeout == seconds


@pytest.mark.parametrize("written", ["soon", "30x", "0s", "-1", "30000000000", "''"])
def test_a_timeout_that_is_none_is_refused_by_its_name(tmp_path: Path, written: str) -> None:
    file = tmp_path / "juvuln.yaml"
    file.write_text(f"domainfile: x.yaml\nworker: {{timeout: {written}}}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"worker\.timeout"):
        load_settings(JuvulnSettings, file, {})
