"""What the API's handlers work with."""

from dataclasses import dataclass, field

from juvuln.api.rates import Rates
from juvuln.api.traffic import Traffic
from juvuln.calls import Calls
from juvuln.clock import Clock
from juvuln.config import JuvulnSettings
from juvuln.domains.domains import Domains
from juvuln.live import LiveRuns
from juvuln.pauses import Pauses
from juvuln.routine import Planning
from juvuln.run_logs import RunLogs
from juvuln.runs.record import RunRecord
from juvuln.scheduler import Scheduler
from juvuln.signing import CompileCheck
from juvuln.tokens import Tokens
from juvuln.workers import WorkerRegistry
from shared.health import Readiness
from shared.streams import Streams


@dataclass(slots=True)
class Services:
    settings: JuvulnSettings
    secret: str | None = field(repr=False)
    """The secret of manager and workers; None where ``auth: open``."""
    clock: Clock
    planning: Planning
    pauses: Pauses
    readiness: Readiness
    traffic: Traffic
    since_ms: int
    """When the manager started."""
    workers: WorkerRegistry
    domains: Domains
    tokens: Tokens
    record: RunRecord
    calls: Calls
    compile_check: CompileCheck
    rates: Rates
    scheduler: Scheduler
    live: LiveRuns
    run_logs: RunLogs
    streams: Streams
