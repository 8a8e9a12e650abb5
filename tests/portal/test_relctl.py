"""relctl alone: what its command line takes, what the guide shows of it, and how it bears a service that is unwell."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
import yaml
from django.test import Client

from tests.background import free_port
from tests.relctl import FILE, ROOT, Pipeline, loaded

pytestmark = pytest.mark.embedded

GUIDE = (ROOT / "docs" / "guide" / "pipelines.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
CALL = re.compile(r"relctl(?:\.py)? ((?:--url|[a-z]+ ).*)")


@pytest.fixture
def pipeline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    monkeypatch.setenv("RELCTL_TOKEN", "secret")
    monkeypatch.delenv("RELCTL_URL", raising=False)
    return Pipeline(capsys, loaded())


def texts(found: Any) -> Iterator[str]:
    """Every text in a YAML document."""
    if isinstance(found, dict | list):
        for each in found.values() if isinstance(found, dict) else found:
            yield from texts(each)
    elif isinstance(found, str):
        yield found


def calls(script: str) -> list[list[str]]:
    """The arguments of each call of relctl in a shell script, as the shell would split them."""
    found = []
    for line in script.splitlines():
        for call in CALL.findall(line):
            words = list(shlex.shlex(call, posix=True, punctuation_chars=True))
            ends = [n for n, word in enumerate(words) if word[0] in ";|&<>()"]
            found.append(words[: ends[0]] if ends else words)
    return found


def scripts() -> Iterator[str]:
    """The shell scripts of the guide: in its YAML, in its Jenkinsfile, and as they are; and those of the help."""
    for language, block in BLOCKS:
        if language == "yaml":
            yield from texts(yaml.safe_load(block))
        elif language == "groovy":
            yield from re.findall(r"sh '(.*?)'", block)
        else:
            yield block
    yield loaded().EPILOG


def test_each_call_in_the_guide_and_the_help_is_one_that_relctl_takes() -> None:
    parser = loaded().parser()
    shown = [call for script in scripts() for call in calls(script)]
    assert {parser.parse_args(call).command for call in shown} >= {
        "commits",
        "build",
        "release",
        "tests",
        "start",
        "end",
    }
    assert len(shown) > 30
    assert [language for language, _ in BLOCKS].count("yaml") == 2


def test_each_command_of_the_guides_table_is_there(pipeline: Pipeline) -> None:
    names = re.findall(r"^\| `([a-z]+) [^`]*` \|", GUIDE, re.MULTILINE)
    assert names == [act.__name__ for act in loaded().COMMANDS]
    help = pipeline.does("--help")
    assert all(f"\n    {name} " in help for name in names)
    assert all(text in help for text in ("exit status", "RELCTL_TOKEN", "RELCTL_URL", "Idempotency-Key"))
    assert "--wait SECONDS" in pipeline.does("start", "--help")


def test_it_is_python_3_8_and_needs_nothing_else() -> None:
    module = ast.parse(FILE.read_text(), feature_version=(3, 8))
    imported = [n for n in ast.walk(module) if isinstance(n, ast.Import | ast.ImportFrom)]
    named = [n.module or "" if isinstance(n, ast.ImportFrom) else n.names[0].name for n in imported]
    assert {name.partition(".")[0] for name in named} <= sys.stdlib_module_names


@pytest.mark.django_db
def test_the_service_serves_it_to_anybody() -> None:
    answer = Client().get("/static/portal/relctl.py")
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content) == FILE.read_bytes()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "token", "said"),
    [
        (["end", "7", "succeed"], "secret", "RELCTL_URL"),
        (["--url", "releases.example.org", "end", "7", "succeed"], "secret", "RELCTL_URL"),
        (["--url", "http://127.0.0.1:9", "end", "7", "succeed"], "", "RELCTL_TOKEN"),
        (["--url", "http://127.0.0.1:9", "end", "7", "succeed"], "a\nb", "RELCTL_TOKEN"),
        (["--url", "http://127.0.0.1:9", "end", "7", "explode"], "secret", "invalid choice"),
        (["--url", "http://127.0.0.1:9", "build", "shop", "api", "--uri", "x"], "secret", "--failed"),
        (["--url", "http://127.0.0.1:9", "commits", "shop", "--repo", "/nowhere"], "secret", "git"),
        (["--url", "http://127.0.0.1:9", "tests", "REL-1", "smoke", "test", "/nowhere"], "secret", "/nowhere"),
    ],
)
def test_a_wrong_call_is_2(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, arguments: list[str], token: str, said: str
) -> None:
    monkeypatch.setenv("RELCTL_TOKEN", token)
    ran = pipeline(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.said


def test_a_service_that_is_not_there_is_4(pipeline: Pipeline) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    ran = pipeline("--url", address, "--retry-for", "0", "gate", "REL-1", "production", "--wait", "60")
    assert (ran.status, ran.out) == (4, "")
    assert address in ran.said and "secret" not in ran.said


class Unwell(HTTPServer):
    """Answers what it is told to, one after the other; `requests` is what it got: method, key, body."""

    def __init__(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.answers = list(answers)
        self.requests: list[tuple[str, str | None, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Unwell:
        Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_error: Any) -> None:
        self.shutdown()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    server: Unwell

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.command, self.headers["Idempotency-Key"], body))
        status, headers, answer = self.server.answers.pop(0)
        if not status:
            self.connection.close()
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_arguments: Any) -> None:
        pass


DONE: tuple[int, dict[str, str], bytes] = (200, {}, b'{"status": "succeeded"}')


def test_a_connection_that_breaks_is_tried_again_under_the_same_key(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(pipeline.module.time, "sleep", waits.append)
    with Unwell((0, {}, b""), (503, {"Retry-After": "5"}, b""), (502, {}, b"<p>"), DONE) as service:
        assert pipeline("--url", service.url, "end", "7", "succeed", "--reason", "done").status == 0
    assert waits == [1, 5, 4]
    [(method, key, body)] = set(service.requests)
    assert (len(service.requests), method, body) == (4, "POST", b'{"reason": "done"}')
    assert key


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ((200, {}, b"<p>Sign in"), 4, "JSON"),
        ((500, {}, b""), 4, "500"),
        ((302, {"Location": "https://elsewhere.example.org/"}, b""), 2, "leads on to https://elsewhere.example.org/"),
        ((403, {}, b"<p>No"), 1, "403"),
    ],
)
def test_what_answers_in_another_way_is_told(
    pipeline: Pipeline, answer: tuple[int, dict[str, str], bytes], status: int, said: str
) -> None:
    with Unwell(answer) as service:
        ran = pipeline("--url", service.url, "--retry-for", "0", "end", "7", "succeed")
    assert (ran.status, len(service.requests)) == (status, 1)
    assert said in ran.said
