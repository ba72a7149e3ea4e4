"""Where programs may call: the settings, what executors are told of them."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from malgomaj.config import WorkerSettings
from malgomaj.egress import EgressPolicy, load_egress, proxy_variables
from malgomaj.executor_options import executor_options
from shared.config import load_settings
from shared.errors import ConfigurationError
from tests.malgomaj.manager import LocalManager
from tests.malgomaj.worker import running_worker


def load(text: str, tmp_path: Path) -> WorkerSettings:
    file = tmp_path / "malgomaj.yaml"
    file.write_text(text, encoding="utf-8")
    return load_settings(WorkerSettings, file, {})


def rules(text: str, tmp_path: Path, domain: str = "test") -> dict[str, Any]:
    return EgressPolicy(load(text, tmp_path).egress).rules_for(domain)


def test_unless_told_otherwise_programs_call_all_that_is_public(tmp_path: Path) -> None:
    assert rules("", tmp_path) == {
        "allow": {"hosts": ("*",), "networks": ("public",), "ports": ()},
        "deny": {"hosts": (), "networks": (), "ports": ()},
        "proxy": False,
        "certificates_pem": "",
    }


def test_rules_are_told_in_one_form(tmp_path: Path) -> None:
    text = """
    egress:
      allow:
        hosts: [API.example.org., "*.Example.com", 192.0.2.1, "::1"]
        networks: [public, private, loopback, 10.1.0.0/16, 192.0.2.1, "fd00::/8"]
        ports: [443, "80", 8000-8099]
    """
    allow = rules(text, tmp_path)["allow"]
    assert allow["hosts"] == ("api.example.org", "*.example.com", "192.0.2.1", "::1")
    assert allow["networks"] == ("public", "private", "loopback", "10.1.0.0/16", "192.0.2.1/32", "fd00::/8")
    assert allow["ports"] == ((443, 443), (80, 80), (8000, 8099))


def test_a_domain_replaces_what_is_allowed_and_adds_to_what_is_denied(tmp_path: Path) -> None:
    text = """
    egress:
      allow: {hosts: [a.example], ports: [443]}
      deny: {hosts: [bad.example], ports: [25]}
      domains:
        office: {allow: {networks: [10.1.0.0/16], ports: []}, deny: {hosts: [worse.example]}}
    """
    office = rules(text, tmp_path, "office")
    assert office["allow"] == {"hosts": ("a.example",), "networks": ("10.1.0.0/16",), "ports": ()}
    assert office["deny"] == {"hosts": ("bad.example", "worse.example"), "networks": (), "ports": ((25, 25),)}
    other = rules(text, tmp_path, "other")
    assert other["allow"] == {"hosts": ("a.example",), "networks": ("public",), "ports": ((443, 443),)}
    assert other["deny"]["hosts"] == ("bad.example",)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("allow: {hosts: ['https://a.example']}", "egress.allow.hosts.0: 'https://a.example' is no host: give a name"),
        ("allow: {hosts: ['a.example:443']}", "is no host"),
        ("allow: {hosts: ['a.*.example']}", "is no host"),
        ("allow: {hosts: ['']}", "is no host"),
        ("allow: {hosts: []}", "egress.allow.hosts: must name something; to allow no calls"),
        ("allow: {networks: []}", "egress.allow.networks: must name something; to allow no calls"),
        ("allow: {networks: [intranet]}", "egress.allow.networks.0: 'intranet' is no network: give public, private"),
        ("allow: {networks: [10.0.0.1/8]}", "10.0.0.1/8 has host bits set"),
        ("deny: {ports: [0]}", "egress.deny.ports.0: '0' is no port"),
        ("deny: {ports: [70000]}", "is no port"),
        ("deny: {ports: [90-80]}", "is no port"),
        ("deny: {ports: [https]}", "is no port"),
        ("deny: {ports: [true]}", "a port is a number"),
        ("proxy: somewhere:8080", "egress.proxy: must be none, environment, or a URL"),
        ("domains: {office: {alow: {}}}", "egress.domains.office.alow: there is no such setting"),
        ("domains: {office: {allow: {ports: [x]}}}", "egress.domains.office.allow.ports.0: 'x' is no port"),
    ],
)
def test_a_fault_is_named_with_its_place(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(f"egress: {{{text}}}", tmp_path)
    assert fault in str(caught.value)


@pytest.mark.parametrize("name", ["ALLOW__PORTS", "DOMAINS"])
def test_a_variable_that_is_not_json_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"MALGOMAJ_EGRESS__{name}", "80, 443")
    with pytest.raises(ConfigurationError, match=f"MALGOMAJ_EGRESS__{name}: "):
        load_settings(WorkerSettings, None, {f"MALGOMAJ_EGRESS__{name}": "80, 443"})


def test_lists_and_domains_can_be_given_as_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {
        "MALGOMAJ_EGRESS__ALLOW__PORTS": '[443, "8000-8099"]',
        "MALGOMAJ_EGRESS__DOMAINS": '{"office": {"allow": {"networks": ["private"]}}}',
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    policy = EgressPolicy(load_settings(WorkerSettings, None, environ).egress)
    assert policy.rules_for("test")["allow"]["ports"] == ((443, 443), (8000, 8099))
    assert policy.rules_for("office")["allow"]["networks"] == ("private",)


def test_a_proxy_counts_only_if_it_is_configured() -> None:
    environ = {"HTTP_PROXY": "http://a:1", "https_proxy": "http://b:2", "no_proxy": "c", "PATH": "/bin"}
    assert proxy_variables("none", environ) == {}
    assert proxy_variables("environment", environ) == {name: environ[name] for name in environ if name != "PATH"}
    assert proxy_variables("http://d:3", environ) == {"HTTP_PROXY": "http://d:3", "HTTPS_PROXY": "http://d:3"}


def test_the_password_of_a_proxy_never_shows(tmp_path: Path) -> None:
    settings = load("egress: {proxy: 'http://me:verysecret@proxy:3128'}", tmp_path)
    policy = load_egress(settings.egress, {})
    assert policy.rules_for("test")["proxy"] is True
    options = executor_options(settings, policy, "test")
    assert options.environment["HTTPS_PROXY"] == "http://me:verysecret@proxy:3128"
    assert "verysecret" not in repr((settings, policy, options))
    with pytest.raises(ConfigurationError) as caught:
        load("egress: {proxy: 'me:verysecret@proxy:3128'}", tmp_path)
    assert "verysecret" not in str(caught.value)


def test_certificates_are_read_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "authorities.pem"
    settings = load(f"egress: {{certificates: '{file}'}}", tmp_path).egress
    with pytest.raises(ConfigurationError, match=r"egress\.certificates: .* cannot be read: No such file"):
        load_egress(settings, {})
    file.write_text("no certificate", encoding="ascii")
    with pytest.raises(ConfigurationError, match=r"egress\.certificates: .* holds no certificates in PEM form"):
        load_egress(settings, {})
    file.write_text(authority(), encoding="ascii")
    assert load_egress(settings, {}).rules_for("test")["certificates_pem"] == authority()


def authority() -> str:
    """A certificate that this machine trusts."""
    context = ssl.create_default_context()
    return ssl.DER_cert_to_PEM_cert(context.get_ca_certs(binary_form=True)[0])


async def test_an_executor_gets_the_proxy_of_the_settings_and_nothing_else_of_the_environment(
    tmp_path: Path, manager: LocalManager
) -> None:
    async with running_worker(tmp_path, manager, EGRESS__PROXY="http://me:verysecret@127.0.0.1:9") as worker:
        assert (await worker.run("x := 1")).status == 200
        report = await worker.report('http := import("http"); r := http.get("http://a.example/"); x := r.StatusCode')
        assert report["outcome"] == "failed"
        assert "verysecret" not in worker.process.log_text()
