"""Settings of an existing installation are taken as they are."""

import os
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


def test_networks_of_proxies_are_of_either_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "juvuln.yaml"
    file.write_text("domainfile: x.yaml\nlisten: {trusted_proxies: [10.0.0.0/8, '::1']}\n", encoding="utf-8")
    assert [str(network) for network in load_settings(JuvulnSettings, file, {}).listen.trusted_proxies] == [
        "10.0.0.0/8",
        "::1/128",
    ]
    monkeypatch.setenv("JUVULN_LISTEN__TRUSTED_PROXIES", '["192.0.2.1"]')
    (network,) = load_settings(JuvulnSettings, file, os.environ).listen.trusted_proxies
    assert str(network) == "192.0.2.1/32"


@pytest.mark.parametrize("written", ["10.0.0.1/8", "proxy.example.org", "[10.0.0.0/8]", "null", "7.5"])
def test_what_is_no_network_is_refused_by_its_name(tmp_path: Path, written: str) -> None:
    file = tmp_path / "juvuln.yaml"
    file.write_text(f"domainfile: x.yaml\nlisten: {{trusted_proxies: [{written}]}}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"listen\.trusted_proxies.*a network is such as 10\.0\.0\.0/8"):
        load_settings(JuvulnSettings, file, {})
