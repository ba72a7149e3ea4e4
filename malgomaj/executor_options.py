"""What executors are told of the settings: the same for those of the daemon and of the command line."""

from malgomaj.config import WorkerSettings
from malgomaj.egress import EgressPolicy
from malgomaj.executor import ExecutorOptions


def executor_options(settings: WorkerSettings, egress: EgressPolicy, domain: str) -> ExecutorOptions:
    """For the executors of ``domain``."""
    section = settings.executors
    return ExecutorOptions(
        memory_bytes=section.memory_bytes,
        grace_seconds=section.grace_seconds,
        start_timeout_seconds=section.start_timeout_seconds,
        max_programs=settings.cache.max_programs,
        max_programs_bytes=settings.cache.max_bytes,
        program_kept_seconds=settings.cache.program_timeout,
        configuration={**executor_limits(settings), "egress": egress.rules_for(domain)},
        environment=egress.proxy_variables,
    )


def executor_limits(settings: WorkerSettings) -> dict[str, int]:
    """What an executor is configured with."""
    limits = settings.limits
    return {
        "max_string_bytes": limits.string_bytes,
        "max_allocations": limits.allocations,
        "max_log_lines": limits.log_lines,
        "max_log_bytes": limits.log_bytes,
        "max_answer_bytes": limits.answer_bytes,
        "max_http_answer_bytes": limits.http_answer_bytes,
        "max_http_redirects": limits.http_redirects,
        "max_http_calls": limits.http_calls,
        "max_http_parallel": limits.http_parallel,
        "max_elements": limits.elements,
        "max_source_bytes": limits.source_bytes,
        "max_nesting": limits.nesting,
        "max_modules": limits.modules,
        "max_import_depth": limits.import_depth,
        # Go collects its garbage before the kernel's limit ends the process.
        "memory_bytes": settings.executors.memory_bytes * 3 // 4,
    }
