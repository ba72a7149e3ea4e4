"""The manager's settings: one definition for the file, the environment and the documentation."""

import os
import socket
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from juvuln.policy import MAX_FAILURES, MAX_RETRIES, MAX_SECONDS, Missed, Overlap, Policy, Retry
from juvuln.rate import Network
from juvuln.routine import Planning
from juvuln.schedule import DURATION_PART, DURATION_UNITS_NS, ScheduleError, load_zone
from shared.auth import is_loopback
from shared.config import (
    AuthMode,
    ConnectionLimits,
    DaemonSettings,
    FromJson,
    ListenSection,
    Port,
    Seconds,
    Section,
    find_named_file,
    search_folders,
)
from shared.errors import ConfigurationError
from shared.wire import MAX_BODY_BYTES, Outcome

Count = Annotated[int, Field(ge=1, le=1_000_000)]
PerSecond = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


def _network(value: object) -> Network:
    try:
        return ip_network(str(value))
    except ValueError as error:
        raise ValueError(f"{error}; a network is such as 10.0.0.0/8") from None


class ManagerListen(ListenSection):
    port: Port = 8097
    trusted_proxies: Annotated[tuple[Annotated[Network, BeforeValidator(_network)], ...], FromJson] = ()
    """Peers whose X-Forwarded-For is believed."""


def _seconds_of_go(value: object) -> object:
    """A duration with its units, as the original manager wants it; a bare number is one of seconds."""
    if not isinstance(value, str) or not value or DURATION_PART.sub("", value):
        return value
    return sum(float(number) * DURATION_UNITS_NS[unit] for number, unit in DURATION_PART.findall(value)) / 1e9


class WorkerSection(Section):
    timeout: Annotated[Seconds, BeforeValidator(_seconds_of_go)] = 30.0
    """Seconds without a sign of life after which a worker is dropped."""
    sweep_seconds: Seconds = 5.0


class RefreshSection(Section):
    interval_seconds: Seconds = 60.0
    timeout_seconds: Seconds = 10.0
    parallel: Count = 8
    max_age_seconds: Seconds = 3600.0
    """How long the programs of a domain that is away are started as they are known."""


def _known_zone(name: str) -> str:
    try:
        load_zone(name)
    except ScheduleError as error:
        raise ValueError(str(error)) from error
    return name


ZoneName = Annotated[str, AfterValidator(_known_zone)]
PolicySeconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]


class RetrySection(Section):
    """How a run by schedule that did not end well is repeated."""

    count: Annotated[int, Field(ge=0, le=MAX_RETRIES)] = 0
    outcomes: Annotated[tuple[Literal["failed", "lost", "crashed", "timed_out"], ...], FromJson] = (
        "failed",
        "crashed",
        "timed_out",
    )
    backoff_seconds: PolicySeconds = 5.0


MAX_AHEAD_SECONDS = 5


class ScheduleSection(Section):
    zone: ZoneName = "UTC"
    """The zone of schedules that name none."""
    zones: Annotated[dict[str, ZoneName], FromJson] = Field(default_factory=dict)
    """The same for single domains."""
    start_deadline_seconds: Annotated[float, Field(ge=1, le=MAX_SECONDS)] = 30.0
    """How late a routine may still be started; later its due time is missed."""
    overlap: Overlap = Overlap.SKIP
    overlap_limit: Annotated[int, Field(ge=1, le=1000)] = 10
    missed: Missed = Missed.SKIP
    missed_limit: Annotated[int, Field(ge=1, le=1000)] = 100
    retry: RetrySection = RetrySection()
    jitter_seconds: PolicySeconds = 0.0
    failures_limit: Annotated[int, Field(ge=0, le=MAX_FAILURES)] = 0
    spread_every: bool = False
    """Whether `@every` begins at another second of its period for each program."""
    ahead_seconds: Annotated[float, Field(ge=0, le=MAX_AHEAD_SECONDS, allow_inf_nan=False)] = 1.0
    """How long before it is due a run is claimed and handed to a worker, which starts it in time; 0: when it is due."""
    paused_domains: Annotated[tuple[str, ...], FromJson] = ()

    def planning(self) -> Planning:
        """What the scheduler goes by."""
        retry = Retry(self.retry.count, frozenset(map(Outcome, self.retry.outcomes)), self.retry.backoff_seconds)
        policy = Policy(
            overlap=self.overlap,
            overlap_limit=self.overlap_limit,
            missed=self.missed,
            missed_limit=self.missed_limit,
            retry=retry,
            start_deadline_seconds=self.start_deadline_seconds,
            jitter_seconds=self.jitter_seconds,
            failures_limit=self.failures_limit,
        )
        zones = {domain: load_zone(zone) for domain, zone in self.zones.items()}
        return Planning(load_zone(self.zone), zones, policy, self.spread_every, round(self.ahead_seconds * 1000))


class DispatchSection(Section):
    parallel: Count = 256
    """Runs under way at once."""
    wait_for_worker_seconds: Annotated[float, Field(ge=0, le=60)] = 5.0
    """How long a due run waits for a worker to turn up before it is skipped."""


class RunsSection(Section):
    keep_days: Annotated[float, Field(gt=0, le=36500)] = 30.0
    keep_per_program: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000


class RateSection(Section):
    """How often somebody may call, per second and at once. 0 per second switches a limit off."""

    domain_per_second: PerSecond = 200.0
    """Calls of `/v2` with the credentials of one domain, webhooks aside."""
    domain_burst: Count = 1000
    address_per_second: PerSecond = 200.0
    """Calls of `/v2` from one address, webhooks aside."""
    address_burst: Count = 1000
    failures_per_second: PerSecond = 10.0
    """Calls from one address with wrong credentials, of whatever kind."""
    failures_burst: Count = 200


class LimitsSection(ConnectionLimits):
    body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = MAX_BODY_BYTES
    calls: Count = 500
    """Calls of webhooks under way at once, those that wait for a worker included."""
    rate: RateSection = RateSection()


class AccessSection(Section):
    cache_seconds: Annotated[float, Field(ge=0, le=60)] = 5.0
    """How long a token, once looked up, is taken as known: a revoked one works on for as long at most."""


class JuvulnSettings(DaemonSettings):
    env_prefix: ClassVar[str] = "JUVULN_"
    port_setting: ClassVar[str] = "listen.port (JUVULN_LISTEN__PORT)"

    listen: ManagerListen = ManagerListen()
    domainfile: Path
    worker: WorkerSection = WorkerSection()
    auth: AuthMode = "secret"
    open_beyond_loopback: bool = False
    database: SecretStr | None = None
    name: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    """Names this manager in the record of runs; what it left open there is closed at its next start under this name."""
    refresh: RefreshSection = RefreshSection()
    schedule: ScheduleSection = ScheduleSection()
    dispatch: DispatchSection = DispatchSection()
    runs: RunsSection = RunsSection()
    limits: LimitsSection = LimitsSection()
    access: AccessSection = AccessSection()

    @property
    def effective_name(self) -> str:
        return self.name or f"{socket.gethostname()}:{self.listen.port}"

    @property
    def effective_database(self) -> str:
        """The URL of the database with the record of runs. It may hold a password: not for logs."""
        if self.database is not None:
            return self.database.get_secret_value()
        return f"sqlite:///{(self.state_dir / 'juvuln.db').absolute()}"


def domain_file_path(settings: JuvulnSettings, config_file: Path | None) -> Path:
    """Where the domain file is: an absolute path as it stands, another beside the configuration file or where
    configuration is looked for. Raises ConfigurationError.
    """
    if settings.domainfile.is_absolute():
        return settings.domainfile
    beside = [config_file.parent] if config_file else []
    return find_named_file(str(settings.domainfile), [*beside, *search_folders(os.environ)], what="domainfile")


def check_exposure(settings: JuvulnSettings) -> None:
    """Refuse to serve strangers by mistake. Raises ConfigurationError."""
    if settings.auth == "open" and not settings.open_beyond_loopback and not is_loopback(settings.listen.host):
        raise ConfigurationError(
            f"auth: open lets everybody who reaches {settings.listen.host} take all programs; listen on 127.0.0.1, "
            "or say auth: secret, or say it a second time with open_beyond_loopback: true"
        )
