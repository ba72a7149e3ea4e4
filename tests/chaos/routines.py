"""The hundred routines of a round: of different schedules and kinds, each with one effect at most.

A run makes up a mark, logs it, and shows it to the counting server. So the record and the server's log can be held
against each other, though a program is not told which run of it this is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from tests.chaos.evidence import Rules

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
    return mark
}}

beat := func(mark, times_in_all) {{
    for i := 0; i < times_in_all; i++ {{
        times.sleep(100 * times.millisecond)
        http.post("{url}/{name}/" + mark + "/beat")
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
    """Likewise; several are parted by spaces."""


PROMPT = "effect()"
LATE = "times.sleep(700 * times.millisecond)\neffect()"
SLOW = "effect()\ntimes.sleep(1500 * times.millisecond)"
TALK = 'for i := 0; i < 400; i++ {{ log.info("line %d of many", i) }}'

BEATING = "beat(effect(), 14)"
HOPELESS = "effect()\nx := 1 / 0"
UNCERTAIN = "effect()\nif rand.intn(2) == 0 {{ x := 1 / 0 }}"

START_DEADLINE_MS, MISSED_LIMIT = 3000, 20
"""As the manager is configured."""
OVERLAP = ("", "overlap:queue", "overlap:allow", "overlap:replace")
ALONE = ("", "overlap:queue", "overlap:replace")
JITTER = ("", "jitter:1s")
MADE_UP = ("", "missed:once", "missed:all", "missed:all overlap:queue")
RETRY = (
    "retry:2 retry-on:failed retry-backoff:200ms",
    "retry:1 retry-on:failed,lost retry-backoff:200ms",
    "retry:3 retry-backoff:300ms overlap:replace",
    "retry:2 retry-backoff:100ms overlap:queue",
)
PAUSED_PROGRAMS, PAUSED_DOMAIN = "pausable", "quiet"
"""Which kind, and which domain, are paused by faults."""

KINDS = (
    Kind("prompt", "calm", PROMPT, 3000, ("* * * * * *",), 7),
    Kind("even", "calm", PROMPT, 3000, ("*/2 * * * * *", "@every 2s"), 12, MADE_UP),
    Kind(
        "third",
        "calm",
        PROMPT,
        3000,
        ("*/3 * * * * *", "@every 3s", "TZ=Asia/Kolkata */3 * * * * *"),
        9,
        JITTER,
    ),
    Kind("rare", "calm", PROMPT, 3000, ("0 * * * * *", "@every 40s", "30 1,3,5,7,9 * * * *", "@every 17s"), 4),
    Kind("fifth", "busy", PROMPT, 3000, ("*/5 * * * * *", "@every 5s", "0,5,11,16,21,26,32,37,43,48,54 * * * * *"), 4),
    Kind("late", "busy", LATE, 2000, ("*/4 * * * * *", "@every 4s"), 8),
    Kind("slow", "busy", SLOW, 3000, ("* * * * * *", "*/2 * * * * *", "@every 3s"), 8, OVERLAP),
    Kind("failing", "busy", HOPELESS, 2000, ("*/4 * * * * *", "@every 5s"), 5),
    Kind("talkative", "busy", f"effect()\n{TALK}", 3000, ("*/5 * * * * *",), 4),
    Kind("overdue", "rough", "effect()\ntimes.sleep(times.minute)", 400, ("*/3 * * * * *", "@every 5s"), 4),
    Kind("endless", "rough", "effect()\nfor {{}}", 300, ("@every 5s",), 2),
    Kind("runaway", "rough", f"effect()\n{RUNAWAY}", 300, ("*/5 * * * * *",), 1),
    Kind("broken", "rough", "effect(", 1000, ("@every 5s",), 1),
    Kind("bystander", "rough", PROMPT, 3000, ("@every 5s",), 3),
    Kind("beating", "ruled", BEATING, 3000, ("* * * * * *",), 6, ALONE),
    Kind("again", "ruled", UNCERTAIN, 2000, ("*/3 * * * * *", "@every 4s"), 7, RETRY),
    Kind("hopeless", "ruled", HOPELESS, 2000, ("*/3 * * * * *",), 3, ("failures:3", "failures:6", "failures:9")),
    Kind("doubtful", "ruled", UNCERTAIN, 2000, ("*/2 * * * * *",), 2, ("failures:4",)),
    Kind("pressed", "ruled", PROMPT, 2000, ("*/2 * * * * *",), 3, ("start-deadline:1s",)),
    Kind(PAUSED_PROGRAMS, "ruled", PROMPT, 3000, ("* * * * * *", "@every 2s"), 4, ("", "overlap:queue")),
    Kind("paused", PAUSED_DOMAIN, PROMPT, 3000, ("* * * * * *", "@every 2s"), 3, ("", "retry:2 retry-backoff:1s")),
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

    @property
    def kind(self) -> str:
        return self.name.partition("-")[0]


def rules(tags: Sequence[str]) -> Rules:
    """What the policies promise that these tags ask for; again without a look at how the manager reads them."""
    said = dict(tag.split(":") for tag in tags)
    outcomes = said.get("retry-on", "failed,crashed,timed_out").split(",")
    tries = int(said.get("retry", 0)) + 1
    start_within = _ms(said.get("start-deadline")) or START_DEADLINE_MS
    missed = said.get("missed")
    return Rules(
        alone=said.get("overlap") != "allow",
        # A worker starts it once more by itself if its executor crashes and that is to be repeated.
        tries=tries * 2 if tries > 1 and "crashed" in outcomes else tries,
        repeats_lost=tries > 1 and "lost" in outcomes,
        # Those that are made up for have to wait for one another.
        start_within_ms=None if missed == "all" else start_within + _ms(said.get("jitter")),
        made_up={"once": 1, "all": MISSED_LIMIT}.get(missed or "", 0),
        failures=int(said.get("failures", 0)),
    )


def _ms(duration: str | None) -> int:
    """Of whole seconds, such as 3s; 0 where there are none."""
    return 0 if duration is None else int(duration.removesuffix("s")) * 1000


def routines(counting_url: str) -> Iterator[ChaosRoutine]:
    """All of them; their effects go to ``counting_url``."""
    for kind in KINDS:
        for number, schedule in enumerate(islice(cycle(kind.schedules), kind.count)):
            tags = tuple(kind.tags[number % len(kind.tags)].split())
            name = f"{kind.name}-{number}"
            code = (EFFECT + kind.code + "\n").format(url=counting_url, name=name)
            yield ChaosRoutine(name, kind.domain, schedule, kind.deadline_ms, code, tags)
