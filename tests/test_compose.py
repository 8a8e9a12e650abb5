"""compose.yaml and Dockerfile, held to what settings, urls and Makefile know; no Docker engine is needed for that."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from celery.bin.celery import celery as celery_cli
from click import Command, Context
from django.core.management import get_commands
from django.urls import resolve
from django.utils.module_loading import import_string
from granian.cli import cli as granian_cli

from releasemgmt import env

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
OURS = ("migrate", "web", "worker", "beat")


def instruction(name: str) -> list[str]:
    """The arguments of every instruction of this name in the Dockerfile."""
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)


def as_run(script: str) -> str:
    """A script of compose.yaml as the shell sees it."""
    return script.replace("$$", "$")


def parsed(cli: Command, arguments: list[str]) -> Context:
    """Let the program's own command line read its arguments; an unknown option raises."""
    return cli.make_context(cli.name, list(arguments))


def test_the_services_are_those_of_a_production_installation() -> None:
    assert set(SERVICES) == {*OURS, "postgres", "redis"}
    assert all(set(service.get("depends_on", {})) <= set(SERVICES) for service in SERVICES.values())
    mounts = [mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])]
    assert set(mounts) == set(COMPOSE["volumes"])


def test_only_the_web_service_is_published_and_on_the_loopback_address() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["web"]
    assert SERVICES["web"]["ports"] == ["127.0.0.1:${PORT:-8000}:8000"]
    assert instruction("EXPOSE") == ["8000"]
    assert re.search(r"^PORT \?= 8000$", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("service", OURS)
def test_the_environment_is_what_settings_read_and_complete(service: str) -> None:
    given = SERVICES[service]["environment"]
    assert set(given) <= {variable.name for variable in env.VARIABLES}
    assert set(given) >= {variable.name for variable in env.VARIABLES if variable.required}
    assert urlsplit(re.sub(r"\$\{.*?\}", "x", given["DATABASE_URL"])).hostname == "postgres"
    assert urlsplit(given["REDIS_URL"]).hostname == "redis"
    assert "127.0.0.1" in given["ALLOWED_HOSTS"].split(","), "the health check asks there"


def test_nothing_makes_demo_people() -> None:
    assert "demo" not in (ROOT / "compose.yaml").read_text()
    assert "demo" not in DOCKERFILE


def test_the_web_command_is_one_that_granian_takes_and_the_image_has_the_same() -> None:
    program, *arguments = SERVICES["web"]["command"]
    context = parsed(granian_cli, arguments)
    assert program == "granian"
    assert (context.params["workers"], context.params["blocking_threads"]) == (2, 2)
    assert callable(import_string(context.params["app"].replace(":", ".")))
    assert [program, *arguments] in [json.loads(command) for command in instruction("CMD")]


@pytest.mark.parametrize("service", ["worker", "beat"])
def test_worker_and_beat_are_commands_that_celery_takes(service: str) -> None:
    program, app_option, app, name, *arguments = SERVICES[service]["command"]
    assert (program, app_option, name) == ("celery", "--app", service)
    assert import_string(f"{app}.app").main == "releasemgmt"
    context = Context(celery_cli, obj=None)
    command = celery_cli.get_command(context, name)
    assert command is not None
    command.make_parser(context).parse_args(list(arguments))


def test_every_service_has_a_health_check() -> None:
    (of_the_image,) = instruction("HEALTHCHECK")
    path = urlsplit(re.findall(r"http://127\.0\.0\.1:8000\S*?(?=')", of_the_image)[0]).path
    resolve(path)  # raises where no URL answers
    assert "healthcheck" not in SERVICES["web"], "web has that of the image"
    assert all("test" in SERVICES[name]["healthcheck"] for name in ("worker", "beat", "postgres", "redis"))
    assert "worker@%h" in SERVICES["worker"]["command"]
    assert "worker@$$(hostname)" in SERVICES["worker"]["healthcheck"]["test"][1]
    assert "--enable-remote-control" in SERVICES["beat"]["command"]


def test_the_image_runs_as_nobody_in_particular_and_copies_what_is_there() -> None:
    assert instruction("USER") == ["releasemgmt"]
    copied = [source for line in instruction("COPY") if "--from" not in line for source in line.split()[:-1]]
    assert all((ROOT / source).exists() for source in copied)
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert let_in == set(copied)


def test_the_secret_key_is_made_once_and_read_by_all(tmp_path: Path) -> None:
    make = as_run(SERVICES["migrate"]["entrypoint"][2]).replace("/var/lib/releasemgmt", str(tmp_path))
    make, _, migrations = make.partition("python manage.py")
    read = as_run(SERVICES["worker"]["entrypoint"][2]).replace("/var/lib/releasemgmt", str(tmp_path))
    assert set(re.findall(r"manage\.py (\w+)", "manage.py" + migrations)) <= set(get_commands()) | {
        "create_administrator"
    }

    unset = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "SECRET_KEY": ""}
    keys = []
    for _ in range(2):
        subprocess.run(["sh", "-ec", make], check=True, env=unset)
        asked = ["sh", "-c", read, "releasemgmt", "printenv", "SECRET_KEY"]
        keys.append(subprocess.run(asked, check=True, env=unset, capture_output=True, text=True).stdout.strip())
    assert keys[0] == keys[1]
    assert len(keys[0]) >= 50
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
