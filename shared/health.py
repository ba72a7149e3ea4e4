"""Readiness: what stands between a daemon and its work, by name."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Readiness:
    """The problems known now. A daemon is ready while there are none."""

    problems: dict[str, str] = field(default_factory=dict)

    def set(self, name: str, problem: str | None) -> None:
        """State the problem that ``name`` has, or with None that it has none any more."""
        if problem is None:
            self.problems.pop(name, None)
        else:
            self.problems[name] = problem

    @property
    def ready(self) -> bool:
        return not self.problems

    def document(self) -> dict[str, object]:
        """The body of `/readyz`."""
        return {"ready": self.ready, "problems": dict(sorted(self.problems.items()))}
