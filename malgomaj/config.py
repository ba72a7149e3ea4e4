"""The worker's settings: one definition for the file, the environment and the documentation."""

from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from malgomaj.egress import EgressSection
from shared.config import ConnectionLimits, DaemonSettings, ListenSection, Port, Seconds, Section
from shared.wire import MAX_BODY_BYTES, MAX_SOURCE_BYTES

MEBIBYTE = 1024 * 1024
MAX_PAYLOAD_BYTES = 15 * MEBIBYTE
"""What fits into one frame between worker and executor, with room for its meta data."""

MIN_EXECUTOR_BYTES = 192 * MEBIBYTE
"""Below this an executor does not start: Go lays claim to 145 MiB, of which it uses 25."""

Scheme = Literal["http", "https"]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
PayloadBytes = Annotated[int, Field(ge=1024, le=MAX_PAYLOAD_BYTES)]
CacheBytes = Annotated[int, Field(ge=0, le=2**50)]
KeptSeconds = Annotated[float, Field(ge=0, le=366 * 24 * 3600, allow_inf_nan=False)]


def _checked_authority(authority: str) -> str:
    """``[user:pass@]host[:port]`` and nothing more. The message must not repeat it: it may hold a password."""
    try:
        parts = urlsplit(f"http://{authority}")
        well_formed = bool(parts.hostname) and parts.port != 0 and not (parts.path or parts.query or parts.fragment)
    except ValueError:
        well_formed = False
    if not well_formed:
        raise ValueError("must be host:port, or user:password@host:port")
    return authority


PeerAuthority = Annotated[str, AfterValidator(_checked_authority)]


class WorkerListen(ListenSection):
    port: Port = 8096


class CacheSection(Section):
    library_timeout: KeptSeconds = 10.0
    """Seconds for which a module is used without asking the Library whether there is a newer one."""
    program_timeout: KeptSeconds = 3600.0
    """Seconds for which a compiled program is kept after its last use."""
    max_programs: Count = 1000
    """Compiled programs kept per domain."""
    max_bytes: CacheBytes = 64 * MEBIBYTE
    """About how much memory the compiled programs of one domain may take. A larger one is kept, alone."""
    library_bytes: CacheBytes = 64 * MEBIBYTE
    """How much memory the modules' source code may take."""
    sources_bytes: CacheBytes = 64 * MEBIBYTE
    """How much of the source code that came with tasks is kept, so that the manager need not send it again; 0: none."""


class ManagerSection(Section):
    scheme: Scheme = "http"
    authority: PeerAuthority = Field(default="127.0.0.1:8097", repr=False)


class LibrarySection(Section):
    """Who serves the modules: the program manager unless told otherwise."""

    scheme: Scheme | None = None
    authority: PeerAuthority | None = Field(default=None, repr=False)


class AdvertiseSection(Section):
    """How the manager reaches this worker: where it listens unless told otherwise."""

    scheme: Scheme = "http"
    host: str | None = None
    port: Port | None = None


class SubscriptionSection(Section):
    interval_seconds: Seconds = 10.0


class ExecutorsSection(Section):
    max: Count = 64
    """Executor processes at the same time, those included that end or are being replaced."""
    memory_bytes: Annotated[int, Field(ge=MIN_EXECUTOR_BYTES, le=2**50)] = 512 * MEBIBYTE
    idle_seconds: Seconds = 300.0
    grace_seconds: Seconds = 0.5
    """How long a run may take to stop after its deadline before its executor is replaced."""
    start_timeout_seconds: Seconds = 10.0
    crashes_forgiven: Annotated[int, Field(ge=0, le=1_000_000)] = 3
    """So many crashes of a domain's executors within a minute cost nothing; each further one a pause."""
    backoff_seconds: Seconds = 1.0
    """The first pause; each further one is twice as long, until a run ends well."""
    max_backoff_seconds: Seconds = 30.0


class LimitsSection(ConnectionLimits):
    tasks: Count = 1024
    """Tasks at once; past it a task is refused with 429."""
    domain_runs: Count = 128
    """Runs of one domain at once; one more waits for its turn."""
    domain_queue: Annotated[int, Field(ge=0, le=1_000_000)] = 256
    """Runs of one domain that wait; past it a task is refused with 429."""
    source_bytes: PayloadBytes = MAX_SOURCE_BYTES
    body_bytes: PayloadBytes = MAX_BODY_BYTES
    answer_bytes: PayloadBytes = 8 * MEBIBYTE
    log_lines: Annotated[int, Field(ge=0, le=1_000_000)] = 1000
    log_bytes: Annotated[int, Field(ge=0, le=64 * MEBIBYTE)] = 256 * 1024
    string_bytes: Annotated[int, Field(ge=1024, le=2**31 - 1)] = 8 * MEBIBYTE
    """The longest string, and the longest bytes, that a program can make."""
    allocations: Annotated[int, Field(ge=-1, le=2**63 - 1)] = -1
    """Objects that one run can make; -1 leaves it to the memory limit."""
    http_answer_bytes: Annotated[int, Field(ge=0, le=2**31 - 1)] = 8 * MEBIBYTE
    http_redirects: Annotated[int, Field(ge=0, le=100)] = 10
    http_calls: Count = 100
    """HTTP calls of one run."""
    http_parallel: Count = 128
    """HTTP calls of one domain at once; one more waits."""
    elements: Annotated[int, Field(ge=16, le=2**31 - 1)] = 1_000_000
    """Elements of one array or map."""
    nesting: Annotated[int, Field(ge=16, le=2000)] = 2000
    """How deep source code may be nested. More than the default could overflow the compiler's stack."""
    modules: Count = 64
    """Modules that one program may reach by its imports."""
    import_depth: Annotated[int, Field(ge=1, le=1000)] = 32
    """Modules in one chain of imports."""


class WorkerSettings(DaemonSettings):
    env_prefix: ClassVar[str] = "MALGOMAJ_"
    port_setting: ClassVar[str] = "listen.port (MALGOMAJ_LISTEN__PORT)"

    listen: WorkerListen = WorkerListen()
    cache: CacheSection = CacheSection()
    program_manager: ManagerSection = ManagerSection()
    module_library: LibrarySection = LibrarySection()
    advertise: AdvertiseSection = AdvertiseSection()
    subscription: SubscriptionSection = SubscriptionSection()
    executors: ExecutorsSection = ExecutorsSection()
    limits: LimitsSection = LimitsSection()
    egress: EgressSection = EgressSection()

    @property
    def library_scheme(self) -> Scheme:
        return self.module_library.scheme or self.program_manager.scheme

    @property
    def library_authority(self) -> str:
        return self.module_library.authority or self.program_manager.authority
