"""What a program can do to its worker, by mistake or on purpose, and how each must end."""

from dataclasses import dataclass, field
from typing import Any

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Hostile:
    """A program and the ends that are right for it: error kinds, or `succeeded` where it does no harm."""

    name: str
    source: str | bytes
    ends: tuple[str, ...]
    message: str = ""
    """What the error must say, besides its kind."""
    modules: dict[str, str] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    """More of the task."""
    stoppable: bool = True
    """False if its deadline is no news to it, and nothing but the end of its process stops it."""


CYCLE = "a := {}; a.a = [a, error(a)];"
LISTS = "a := [1]; for i := 0; i < 60; i++ { a = [a, a] };"
"""A value of few parts that has 2^60 if each repeat counts."""
WEBHOOK = {"http": {"headers": {}, "body": ""}}
GROWN = ("memory",)
LIMIT = ("memory", "runtime")
DEADLINE = ("deadline",)


def hostile_programs(server: str) -> list[Hostile]:
    """All of them; ``server`` is the URL of the hostile server."""
    return [*ENDLESS, *calling(server), *GROWING, *MONSTROUS, *CYCLIC, *TALKATIVE, *SOURCES, *ODD_BYTES]


ENDLESS = [
    Hostile("an endless loop", "for {}", DEADLINE),
    Hostile("an endless loop that works", "x := 0; for { x += 1 }", DEADLINE),
    Hostile("an endless loop over calls", "f := func() { return 1 }; for { f() }", DEADLINE),
    Hostile("an endless loop over an array", "a := range(0, 100000); for { for x in a { x + 1 } }", DEADLINE),
    Hostile("endless recursion", "f := func(n) { return f(n + 1) + 1 }; f(0)", ("runtime",), "stack overflow"),
    Hostile("endless tail recursion", "f := func(n) { return f(n + 1) }; f(0)", DEADLINE),
    Hostile("recursion through a closure", "f := undefined; g := func() { return f() + 1 }; f = g; f()", ("runtime",)),
    Hostile("a loop inside a module", 'import("m")()', DEADLINE, modules={"m": "export func() { for {} }"}),
    Hostile("a loop while a module is imported", 'import("loops")', DEADLINE, modules={"loops": "for {}; export 1"}),
    Hostile("sleep for an hour", 'times := import("times"); times.sleep(times.hour)', DEADLINE),
    Hostile("sleep for ever", 'import("times").sleep(9223372036854775807)', DEADLINE),
    Hostile("a million short sleeps", 'times := import("times"); for { times.sleep(1) }', DEADLINE),
]


def calling(server: str) -> list[Hostile]:
    def get(path: str) -> str:
        return f'r := import("http").get("{server}/{path}"); if !is_error(r) {{ r.no.such() }}'

    # What goes wrong with a call is an error value, which these programs take calmly.
    return [
        Hostile("http to a server that never answers", get("hang"), DEADLINE),
        Hostile("http to a server that drips a byte a second", get("drip"), DEADLINE),
        Hostile("http to a server that sends 10 GB", get("flood"), ("succeeded", *DEADLINE)),
        Hostile("http to a server that redirects for ever", get("redirect"), ("succeeded",)),
        Hostile("http to a server that sends headers for ever", get("headers"), ("succeeded",)),
        Hostile("http to a server that sends a compressed bomb", get("bomb"), ("succeeded", *DEADLINE)),
        Hostile(
            "http without end", 'h := import("http"); for { h.get("http://127.0.0.1:1/") }', ("runtime",), "http_calls"
        ),
        Hostile("http to nowhere", 'import("http").get("http://256.256.256.256:99999/")', ("succeeded",)),
        Hostile(
            "http to the cloud's metadata",
            'r := import("http").get("http://169.254.169.254/"); if !is_error(r) { r() }',
            ("succeeded",),
        ),
        Hostile(
            "http with a split header", f'import("http").get("{server}/hang", [], {{"A": "b\\r\\nC: d"}})', ("runtime",)
        ),
    ]


GROWING = [
    Hostile("a string doubled without end", 's := "a"; for { s += s }', GROWN, "limits.string_bytes"),
    Hostile("a string that grows slowly", 's := ""; for { s += "0123456789abcdef" }', (*GROWN, *DEADLINE)),
    Hostile("bytes doubled without end", 'b := bytes("a"); for { b += b }', GROWN, "limits.string_bytes"),
    Hostile("bytes of any size", "bytes(1000000000000)", LIMIT),
    Hostile("an array doubled without end", "a := [1]; for { a = a + a }", GROWN, "limits.elements"),
    Hostile("an array appended to without end", "a := []; for { a = append(a, 1) }", (*GROWN, *DEADLINE)),
    Hostile("an array appended to itself", "a := [1]; for { a = append(a, a...) }", (*GROWN, "runtime")),
    Hostile("arrays in arrays without end", "a := []; for { a = [a] }", (*GROWN, *DEADLINE)),
    Hostile("arrays kept without end", "a := []; for { a = append(a, range(0, 1000)) }", (*GROWN, *DEADLINE)),
    Hostile("a range of everything", "range(0, 1000000000000)", GROWN, "limits.elements"),
    Hostile("a map that grows without end", "m := {}; for i := 0; ; i++ { m[string(i)] = i }", (*GROWN, *DEADLINE)),
    Hostile("bytes kept without end", "a := []; for { a = append(a, bytes(8000000)) }", (*GROWN, *DEADLINE)),
    Hostile("maps in maps without end", "m := {}; for { m = {m: m} }", (*GROWN, *DEADLINE)),
    Hostile(
        "strings kept without end",
        'a := []; t := import("text"); for { a = append(a, t.repeat("a", 1000000)) }',
        (*GROWN, *DEADLINE),
    ),
    Hostile("closures without end", "f := func() {}; for { g := f; f = func() { return g } }", (*GROWN, *DEADLINE)),
    Hostile("errors in errors without end", "e := error(1); for { e = error(e) }", (*GROWN, *DEADLINE)),
    Hostile(
        "an array spliced into itself", "a := [1, 2]; for { splice(a, 0, 0, a...) }", (*GROWN, "runtime", *DEADLINE)
    ),
    Hostile("copies of copies", "a := [range(0, 1000)]; for { a = append(a, copy(a)) }", (*GROWN, *DEADLINE)),
]

MONSTROUS = [
    Hostile("text.repeat", 'import("text").repeat("a", 1000000000000)', LIMIT),
    Hostile("text.repeat of much", 't := import("text"); t.repeat(t.repeat("a", 8000000), 1000000)', LIMIT),
    Hostile("text.pad_left", 'import("text").pad_left("a", 1000000000000, "b")', (*LIMIT, "succeeded")),
    Hostile("text.split", 't := import("text"); t.split(t.repeat("a", 8000000), "")', (*LIMIT, "succeeded")),
    Hostile(
        "text.replace", 't := import("text"); t.replace(t.repeat("a", 1000000), "a", t.repeat("b", 1000000), -1)', LIMIT
    ),
    Hostile(
        "text.join",
        't := import("text"); b := t.repeat("b", 1000000); t.join([b, b, b, b, b, b, b, b, b, b], b)',
        LIMIT,
    ),
    Hostile(
        "text.re_find",
        't := import("text"); t.re_find("", t.repeat("a", 8000000), -1)',
        (*LIMIT, *DEADLINE, "succeeded"),
    ),
    Hostile(
        "a regular expression that is slow",
        't := import("text"); t.re_match("(a?){400}b", t.repeat("a", 8000000))',
        DEADLINE,
        stoppable=False,
    ),
    Hostile(
        "a regular expression that is huge",
        'import("text").re_match("((((a{1,100}){1,100}){1,100}){1,100})", "a")',
        ("runtime", "succeeded"),
    ),
    Hostile(
        "re_replace that grows",
        't := import("text"); t.re_replace("a", t.repeat("a", 1000000), t.repeat("b", 1000000))',
        (*LIMIT, *DEADLINE),
    ),
    Hostile("sprintf with a huge width", 'import("fmt").sprintf("%999999999d", 1)', ("succeeded", *LIMIT)),
    Hostile(
        "sprintf with many huge widths",
        'f := ""; for i := 0; i < 100; i++ { f += "%999999d" }; import("fmt").sprintf(f, range(0, 100)...)',
        ("succeeded", *LIMIT),
    ),
    Hostile("format with a huge width", 'format("%999999.999999f", 1.5)', ("succeeded", *LIMIT)),
    Hostile("rand.perm", 'import("rand").perm(1000000000000)', LIMIT),
    Hostile("rand.perm of a negative number", 'import("rand").perm(-1)', ("runtime",)),
    Hostile("rand.intn of zero", 'import("rand").intn(0)', ("runtime",)),
    Hostile(
        "times out of range",
        't := import("times"); t.time_format(t.add(t.now(), 9223372036854775807), "2006")',
        ("succeeded",),
    ),
    Hostile(
        "times.date out of range",
        'import("times").date(9223372036854775807, 1, 1, 1, 1, 1, 1)',
        ("succeeded", "runtime"),
    ),
    Hostile(
        "JSON of nothing but brackets",
        't := import("text"); r := import("json").decode(t.repeat("[", 8000000)); if !is_error(r) { r() }',
        ("succeeded", *LIMIT),
    ),
    Hostile(
        "JSON with many parts",
        't := import("text"); import("json").decode("[" + t.repeat("1,", 4000000) + "1]")',
        (*LIMIT, "succeeded"),
    ),
    Hostile(
        "JSON with many maps",
        't := import("text"); import("json").decode("[" + t.repeat(`{"a":{}},`, 800000) + "1]")',
        (*LIMIT, "succeeded"),
    ),
    Hostile(
        "JSON encoded again and again",
        'j := import("json"); s := "\\"\\\\"; for { s = string(j.encode(s)) }',
        (*GROWN, *DEADLINE),
    ),
    Hostile("hex of hex", 'h := import("hex"); s := "a"; for { s = h.encode(s) }', GROWN),
    Hostile("base64 of base64", 'b := import("base64"); s := "aaaa"; for { s = b.encode(s) }', GROWN),
    Hostile("hex of nonsense", 'import("hex").decode("\\xff\\x00zz")', ("succeeded", "runtime")),
    Hostile(
        "a number beyond all",
        'x := int("9" + import("text").repeat("9", 1000000)); y := 1 << 1000000; z := 1 / (x == undefined ? 0 : 1)',
        ("runtime", "succeeded"),
    ),
]

CYCLIC = [
    Hostile(f"a value in a circle to {name}", CYCLE + use, ends, "contains itself" if ends == ("runtime",) else "")
    for name, use, ends in (
        ("json.encode", 'import("json").encode(a)', ("runtime",)),
        ("string", "string(a)", ("runtime",)),
        ("string +", '"" + a', ("runtime",)),
        ("==", "b := {}; b.a = [b, error(b)]; a == b", ("runtime",)),
        ("!=", "b := {}; b.a = [b, error(b)]; a != b", ("runtime",)),
        ("copy", "copy(a)", ("runtime",)),
        ("append", "b := [a]; b = append(b, b, a); b = append(b, b...)", ("succeeded",)),
        ("log", 'import("log").info("%v", a)', ("runtime",)),
        ("log alone", 'import("log").info(a)', ("runtime",)),
        ("sprintf", 'import("fmt").sprintf("%v %s", a, a)', ("runtime",)),
        ("format", 'format("%v", a)', ("runtime",)),
        ("text.join", 'import("text").join([a], a)', ("runtime",)),
        ("text.contains", 'import("text").contains(a, a)', ("runtime",)),
        ("http.get", 'import("http").get("http://127.0.0.1:1/", a, a)', ("runtime",)),
        ("immutable", "b := immutable(a); b.a; is_map(a); type_name(a); len(a); delete(a, \"a\")", ("succeeded",)),
        ("for in", "for k, v in a { for x in v { x } }", ("succeeded",)),
        ("enum.map", 'import("enum").map(a, func(k, v) { return v })', ("succeeded",)),
    )
] + [
    Hostile(
        "a value in a circle to response.write",
        CYCLE + 'import("cgi").response.write(a)',
        ("runtime",),
        fields=WEBHOOK,
    ),
    Hostile("a value with countless parts to string", LISTS + "string(a)", GROWN),
    Hostile("a value with countless parts to json.encode", LISTS + 'import("json").encode(a)', GROWN),
    Hostile("a value with countless parts to ==", LISTS + "b := copy([a]) == [a]", (*GROWN, "succeeded")),
    Hostile(
        "a value nested deep",
        "a := []; for i := 0; i < 1000000; i++ { a = [a] }; string(a)",
        ("runtime", *GROWN, *DEADLINE),
    ),
]  # fmt: skip

TALKATIVE = [
    Hostile(
        "a million log lines",
        'l := import("log"); for i := 0; i < 1000000; i++ { l.info("%d", i) }',
        ("succeeded", *DEADLINE),
    ),
    Hostile("a log line of 8 MB", 't := import("text"); import("log").info(t.repeat("a", 8000000))', ("succeeded",)),
    Hostile(
        "an answer of 1 GB",
        'c := import("cgi"); t := import("text"); s := t.repeat("a", 1000000); for { c.response.write(s) }',
        ("output",),
        "limits.answer_bytes",
        fields=WEBHOOK,
    ),
    Hostile(
        "headers without end", 'c := import("cgi"); for { c.response.headers("A", "b") }', ("output",), fields=WEBHOOK
    ),
    Hostile(
        "a status after a write",
        'c := import("cgi"); c.response.write("a"); c.response.status(500)',
        ("runtime",),
        "before the first write",
        fields=WEBHOOK,
    ),
    Hostile("a status that is none", 'import("cgi").response.status(99999999)', ("runtime",), fields=WEBHOOK),
    Hostile(
        "a body of 1 MiB never read",
        "x := 1",
        ("succeeded",),
        fields={"http": {"headers": {}, "body": "AAAA" * (MEBIBYTE // 3)}},
    ),
    Hostile("an error of 8 MB", 't := import("text"); error(t.repeat("a", 8000000))()', ("runtime",)),
]

SOURCES = [
    Hostile("1 MiB of brackets", "(" * MEBIBYTE, ("compile",), "limits.nesting"),
    Hostile("1 MiB of closing brackets", ")" * MEBIBYTE, ("compile",)),
    Hostile("1 MiB of one sum", "x := 1" + "+1" * 500_000, ("compile",), "limits.nesting"),
    Hostile("1 MiB of functions", "func(){" * 149_000, ("compile",), "limits.nesting"),
    Hostile("deep nesting", "x := " + "[" * 100_000 + "]" * 100_000, ("compile",), "limits.nesting"),
    Hostile("1 MiB of short statements", "x := 1\n" * 149_000, ("compile", "succeeded", *DEADLINE)),
    Hostile("1 MiB of names", "\n".join(f"v{i} := {i}" for i in range(60_000)), ("compile",)),
    Hostile("1 MiB of one name", "a" * MEBIBYTE, ("compile",)),
    Hostile("1 MiB of nothing", " " * MEBIBYTE, ("succeeded",)),
    Hostile("1 MiB of text", f'x := "{"a" * (MEBIBYTE - 10)}"', ("succeeded",)),
    Hostile("10,000 imports", "\n".join(f'import("m{i}")' for i in range(10_000)), ("compile",), "limits.modules"),
    Hostile(
        "a chain of modules",
        'import("m0")',
        ("compile",),
        "limits.import_depth",
        {f"m{i}": f'import("m{i + 1}")' for i in range(100)},
    ),
    Hostile(
        "modules in a circle", 'import("a")', ("compile",), "a -> b -> a", {"a": 'import("b")', "b": 'import("a")'}
    ),
    Hostile("the system", 'import("os").exit(1)', ("compile",), "cannot be imported"),
    Hostile("a file", 'import("../../etc/passwd")', ("compile",), "cannot be imported"),
    Hostile("a builtin overwritten", "len = func() { return 1 }", ("compile",)),
]

ODD_BYTES = [
    Hostile("NUL in the source", b"x := 1\0", ("compile",)),
    Hostile("invalid UTF-8 in the source", b'x := "\xff\xfe"', ("compile",)),
    Hostile("NUL in a name", "x\0y := 1", ("compile",)),
    Hostile("NUL in an import", 'import("a\\x00b")', ("compile",)),
    Hostile("a header split", 'import("cgi").response.headers("A", "b\\r\\nC: d")', ("runtime",), fields=WEBHOOK),
    Hostile("a header's name split", 'import("cgi").response.headers("A\\r\\nB", "c")', ("runtime",), fields=WEBHOOK),
    Hostile("NUL in a header", 'import("cgi").response.headers("A", "\\x00")', ("runtime",), fields=WEBHOOK),
    Hostile(
        "a header that is not UTF-8",
        'import("cgi").response.headers("A", "\\xff")',
        ("runtime", "succeeded"),
        fields=WEBHOOK,
    ),
    Hostile(
        "an answer of any bytes", 'import("cgi").response.write("\\xff\\x00\\xfe")', ("succeeded",), fields=WEBHOOK
    ),
    Hostile("a log line of any bytes", 'import("log").info("\\xff\\x00\\x1b[31m\\u2028")', ("succeeded",)),
    Hostile("an error of any bytes", 'error("\\xff\\x00\\x1b[31m")()', ("runtime",)),
]
