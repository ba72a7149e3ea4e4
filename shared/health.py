"""Readiness: what stands between a daemon and its work, by name."""

from collections.abc import Callable
from dataclasses import dataclass, field

Check = Callable[[], str | None]


@dataclass(slots=True)
class Readiness:
    """The problems known now. A daemon is ready while there are none."""

    stated: dict[str, str] = field(default_factory=dict)
    checks: dict[str, Check] = field(default_factory=dict)

    def set(self, name: str, problem: str | None) -> None:
        """State the problem that ``name`` has, or with None that it has none any more."""
        if problem is None:
            self.stated.pop(name, None)
        else:
            self.stated[name] = problem

    def watch(self, name: str, check: Check) -> None:
        """Ask ``check`` for the problem of ``name`` whenever somebody wants to know."""
        self.checks[name] = check

    def forget(self, name: str) -> None:
        """Undo :meth:`watch`: what had that name is no more."""
        self.checks.pop(name, None)

    def problems(self) -> dict[str, str]:
        checked = {name: problem for name, check in self.checks.items() if (problem := check()) is not None}
        return dict(sorted((self.stated | checked).items()))
