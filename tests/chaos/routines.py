"""The hundred routines of a round: of different schedules and kinds, each with one effect at most.

A run makes up a mark, logs it, and shows it to the counting server. So the record and the server's log can be held
against each other, though a program is not told which run of it this is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice

EFFECT = """
http := import("http")
log := import("log")
rand := import("rand")
times := import("times")

effect := func() {{
    mark := string(rand.int())
    log.info("mark %s", mark)
    answer := http.post("{url}/{name}/" + mark)
    if is_error(answer) || answer.StatusCode != 200 {{
        answer.was_not_heard()
    }}
}}
"""
RUNAWAY = 'import("text").re_match("(a?){{400}}b", import("text").repeat("a", 8 * 1024 * 1000))'
"""One call that takes many seconds, and that nothing but the end of its executor can stop."""


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    domain: str
    code: str
    """What comes after :data:`EFFECT`."""
    deadline_ms: int
    schedules: tuple[str, ...]
    """Given out in turn."""
    count: int
    tags: tuple[str, ...] = ("",)
    """Likewise; one each, or none where it is empty."""


PROMPT = "effect()"
LATE = "times.sleep(700 * times.millisecond)\neffect()"
SLOW = "effect()\ntimes.sleep(1500 * times.millisecond)"
TALK = 'for i := 0; i < 400; i++ {{ log.info("line %d of many", i) }}'

OVERLAP = ("", "overlap:queue", "overlap:allow", "overlap:replace")
JITTER = ("", "jitter:1s")
MADE_UP = ("", "missed:once", "missed:all")

KINDS = (
    Kind("prompt", "calm", PROMPT, 3000, ("* * * * * *",), 7),
    Kind("even", "calm", PROMPT, 3000, ("*/2 * * * * *", "@every 2s"), 14, MADE_UP),
    Kind(
        "third",
        "calm",
        PROMPT,
        3000,
        ("*/3 * * * * *", "@every 3s", "TZ=Asia/Kolkata */3 * * * * *"),
        15,
        ("", "jitter:1s"),
    ),
    Kind("rare", "calm", PROMPT, 3000, ("0 * * * * *", "@every 40s", "30 1,3,5,7,9 * * * *", "@every 17s"), 4),
    Kind("fifth", "busy", PROMPT, 3000, ("*/5 * * * * *", "@every 5s", "0,5,11,16,21,26,32,37,43,48,54 * * * * *"), 6),
    Kind("late", "busy", LATE, 2000, ("*/4 * * * * *", "@every 4s"), 12),
    Kind("slow", "busy", SLOW, 3000, ("* * * * * *", "*/2 * * * * *", "@every 3s"), 14, OVERLAP),
    Kind("failing", "busy", "effect()\nx := 1 / 0", 2000, ("*/4 * * * * *", "@every 5s"), 8),
    Kind("talkative", "busy", f"effect()\n{TALK}", 3000, ("*/5 * * * * *",), 6),
    Kind("overdue", "rough", "effect()\ntimes.sleep(times.minute)", 400, ("*/3 * * * * *", "@every 5s"), 6),
    Kind("endless", "rough", "effect()\nfor {{}}", 300, ("@every 5s",), 2),
    Kind("runaway", "rough", f"effect()\n{RUNAWAY}", 300, ("*/5 * * * * *",), 1),
    Kind("broken", "rough", "effect(", 1000, ("@every 5s",), 1),
    Kind("bystander", "rough", PROMPT, 3000, ("@every 5s",), 4),
)
DOMAINS = tuple(sorted({kind.domain for kind in KINDS}))


@dataclass(frozen=True, slots=True)
class ChaosRoutine:
    name: str
    domain: str
    schedule: str
    deadline_ms: int
    code: str
    tags: tuple[str, ...]


def routines(counting_url: str) -> Iterator[ChaosRoutine]:
    """All of them; their effects go to ``counting_url``."""
    for kind in KINDS:
        for number, schedule in enumerate(islice(cycle(kind.schedules), kind.count)):
            tag = kind.tags[number % len(kind.tags)]
            name = f"{kind.name}-{number}"
            code = (EFFECT + kind.code + "\n").format(url=counting_url, name=name)
            yield ChaosRoutine(name, kind.domain, schedule, kind.deadline_ms, code, (tag,) if tag else ())
