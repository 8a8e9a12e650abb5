"""What the bench starts: databases, the product and the floor under granian, exactly as they are shipped."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import psycopg
from django.core.management import call_command
from django.db import connections

FLOOR_TABLES = """
import tests.bench.floor as floor
from django.core.management import call_command
from django.db import connection
call_command("migrate", verbosity=0)
with connection.schema_editor() as editor:
    editor.create_model(floor.Row)
    editor.create_model(floor.Audit)
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token
print(Token.objects.create(user=User.objects.create(username="bench")).key)
"""


@contextlib.contextmanager
def databases(admin: str, urls: list[str]) -> Iterator[None]:
    """Fresh PostgreSQL databases, dropped at the end."""
    names = [url.rpartition("/")[2] for url in urls]
    with psycopg.connect(admin, autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name}")
    try:
        yield
    finally:
        connections.close_all()
        with psycopg.connect(admin, autocommit=True) as connection:
            for name in names:
                connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def migrate() -> None:
    """Create the product's tables and collect what its pages link to."""
    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)


def prepare_floor() -> str:
    """Create the floor's tables in a process of their own (another Django project) and answer its token."""
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    made = subprocess.run(
        [sys.executable, "-c", FLOOR_TABLES], env=environment, capture_output=True, text=True, check=True
    )
    return made.stdout.strip().splitlines()[-1]


@contextlib.contextmanager
def granian(application: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Serve a WSGI application as the image does: two workers with two blocking threads each."""
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "2", "--blocking-threads", "2", "--no-access-log", "--log-level", "warning", application]
    environment = dict(os.environ)
    if "floor" in application:
        environment.pop("DJANGO_SETTINGS_MODULE")
    server = subprocess.Popen(command, env=environment)
    try:
        _wait(port)
        yield server
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on {port}")


def last_page(port: int, path: str, headers: dict[str, str]) -> str:
    """Follow `next` in big steps to the end, and answer the path of the page of 25 that lies there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    here = path.replace("page_size=25", "page_size=200")
    while True:
        connection.request("GET", here, headers=headers)
        answer = json.loads(connection.getresponse().read())
        if not answer["next"]:
            return here.replace("page_size=200", "page_size=25")
        parts = urllib.parse.urlsplit(answer["next"])
        here = f"{parts.path}?{parts.query}"


def largest_worker_mib(server: subprocess.Popen[bytes]) -> float:
    """Resident memory of the largest worker, MiB."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    lines = [line for child in children for line in Path(f"/proc/{child}/status").read_text().splitlines()]
    return max(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))
