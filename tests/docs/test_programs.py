"""Every example of docs/programs.md is run, and logs or answers what the page says."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tengo_bridge.engine import Engine
from tengo_bridge.frames import Frame, Kind

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "programs.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"### ([^\n]+)\n(?:(?!\n##).)*?```golang\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
PROGRAMS = re.findall(r"```golang\n(.*?)```", PAGE, re.DOTALL)
REQUEST = {"method": "POST", "path": "/", "query": "", "remote": "127.0.0.1", "headers": {}}
EGRESS = {"allow": {"networks": ["loopback"]}}


class Forecast(BaseHTTPRequestHandler):
    """The server that the page calls example.org."""

    def do_GET(self) -> None:
        answer = b'{"temperature": 17.5}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def example_org() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Forecast) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def shown(frames: list[Frame]) -> str:
    """A run as the page shows it: its log lines, then its answer."""
    *lines, done = frames
    assert done.meta["outcome"] == "succeeded", done.meta
    text = "".join(f"{line.meta['level']}: {line.meta['message']}\n" for line in lines)
    if done.body:
        response = done.meta["response"]
        headers = "".join(f"{name}: {value}\n" for name, value in response["headers"])
        text += f"HTTP {response['status']}\n{headers}\n{done.body.decode()}"
    return text


def test_the_page_has_an_example_of_every_module() -> None:
    imported = set(re.findall(r'import\("(\w+)"\)', "".join(code for _, code, _ in EXAMPLES)))
    assert imported >= {"base64", "cgi", "enum", "fmt", "hex", "http", "json", "log", "math", "rand", "text", "times"}


@pytest.mark.parametrize(("code", "result"), [row[1:] for row in EXAMPLES], ids=[row[0] for row in EXAMPLES])
def test_an_example_does_what_the_page_says(code: str, result: str) -> None:
    with example_org() as url, Engine(limits={"egress": EGRESS}) as engine:
        compiled = engine.compile("example", code.replace("https://example.org", url))
        assert compiled.kind is Kind.COMPILED, compiled.meta
        frames = engine.run("example", deadline_ms=10_000, request=REQUEST, body=b'{"name": "Ada"}')
        assert shown(frames) == result


@pytest.mark.parametrize("code", PROGRAMS)
def test_every_program_on_the_page_compiles(code: str) -> None:
    module = (PROJECT / "examples" / "simplemath_1.tengo").read_text(encoding="utf-8")
    modules = dict.fromkeys(re.findall(r'import\("(simplemath[^"]*)"\)', code), module)
    with Engine() as engine:
        assert engine.compile("example", code, modules=modules).kind is Kind.COMPILED
