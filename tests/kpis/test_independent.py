"""The figures of real histories beside a recomputation that shares no code with the product."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.core.management import call_command

from releasemgmt.accounts.commands import system
from releasemgmt.catalog.models import Product
from releasemgmt.kpis import queries
from tests.factories import ProductFactory

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not SHARED.exists(), reason="the shared data set is not here"),
]
NOW = datetime(2026, 11, 1, tzinfo=UTC)
YEARS = [datetime(year, 1, 1, tzinfo=UTC) for year in (2019, 2022, 2025, 2026)]
PERIODS = list(zip(YEARS, YEARS[1:], strict=False))
RIGA = "Europe/Riga"


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def lines(name: str) -> list[dict[str, Any]]:
    with gzip.open(SHARED / name, "rt") as file:
        return list(csv.DictReader(file)) if name.endswith(".csv.gz") else [json.loads(line) for line in file]


def past_of(key: str, *files: str) -> Product:
    """A product whose past comes out of the data set's files, as an operator imports them."""
    product: Product = ProductFactory(key=key)
    paths = [SHARED / f"{key}.{file}.gz" for file in files]
    with time_machine.travel(NOW, tick=False):
        call_command("import_history", *paths, product=key, stdout=StringIO(), stderr=StringIO())
    return product


def ask(product: Product, begin: datetime, end: datetime, *, bucket: str = "", zone: str = RIGA) -> list[Any]:
    question: dict[str, Any] = {
        "begin": begin,
        "end": end,
        "now": NOW,
        "product": product,
        "bucket": bucket,
        "time_zone": zone,
    }
    return list(queries.answer(queries.asked(system(), **question)))


def test_figures_of_commits() -> None:
    rows, tags = lines("healthchecks.commits.csv.gz"), lines("healthchecks.releases.ndjson.gz")
    product = past_of("healthchecks", "commits.csv", "releases.ndjson")
    counted = [row for row in rows if row["is_merge"] == row["is_bot"] == "0"]
    shipped = [tag for tag in tags if tag["kind"] == "production" and not tag.get("alias_of")]
    for begin, end in PERIODS:
        figures = ask(product, begin, end)[0][1]
        made = [row for row in counted if begin <= instant(row["commit_date"]) < end]
        days = {instant(row["commit_date"]).astimezone(ZoneInfo(RIGA)).date() for row in made}
        assert figures["commits_per_active_day"]["value"] == len(made) / len(days)
        people = {(row["author"], instant(row["commit_date"]).astimezone(ZoneInfo(RIGA)).date()) for row in made}
        assert figures["commits_per_active_day"]["contributor_days"] == len(people)
        _check_releases(figures, rows, [tag for tag in shipped if begin <= instant(tag["released_at"]) < end], shipped)
    months = ask(product, *PERIODS[0], bucket="month")[1:]
    per_month = Counter(instant(row["commit_date"]).astimezone(ZoneInfo(RIGA)).strftime("%Y-%m") for row in counted)
    for span, figures in months[1:-1]:
        month = span.begin.astimezone(ZoneInfo(RIGA)).strftime("%Y-%m")
        assert figures["commits_per_active_day"]["n"] == per_month[month], month


def _check_releases(figures: Any, rows: Any, released: Any, shipped: Any) -> None:
    """Lead times, volumes and cycle times, from the lists of commits that the data set names itself."""
    counts = [[rows[i] for i in tag["commits"] if rows[i]["is_merge"] == rows[i]["is_bot"] == "0"] for tag in released]
    assert figures["commit_volume"]["median"] == median(map(len, counts))
    assert figures["commit_volume"]["commits"] == sum(map(len, counts))
    leads, cycles = [], []
    for tag, commits in zip(released, counts, strict=True):
        at = instant(tag["released_at"])
        if tag is not shipped[0]:
            leads += [max(0, int((at - instant(row["commit_date"])).total_seconds())) for row in commits]
            cycles += [max((at - instant(row["author_date"])).total_seconds() for row in commits)] if commits else []
    for name, values in (("change_lead_time", leads), ("release_cycle_time", cycles)):
        figure = figures[name]
        assert (figure["n"], figure["median"], figure["mean"]) == (len(values), median(values), mean(values))
        assert figure["p90"] == pytest.approx(quantiles(values, n=10, method="inclusive")[8])
    assert figures["deployment_frequency"]["n"] == len(released)


def test_figures_of_incidents() -> None:
    found = lines("jenkins.incidents.ndjson.gz")
    impossible = [
        each for each in found if each["resolved_at"] and instant(each["resolved_at"]) < instant(each["started_at"])
    ]
    possible = [each for each in found if each["severity"] != "notice" and each not in impossible]
    product = past_of("jenkins", "incidents.ndjson", "incident_revisions.ndjson")
    assert product.quarantined_rows.filter(source="incidents").count() == len(impossible) == 8  # fixture 14
    for begin, end in [*PERIODS, (YEARS[0], NOW)]:
        figures = ask(product, begin, end, zone="UTC")[0][1]
        count, seconds = _sweep(possible, begin, end)
        assert (figures["downtimes"]["value"], figures["downtimes"]["seconds"]) == (count, seconds)
        took = [
            (instant(each["resolved_at"]) - instant(each["started_at"])).total_seconds()
            for each in possible
            if not each["planned"] and each["resolved_at"] and begin <= instant(each["resolved_at"]) < end
        ]
        restore = figures["time_to_restore"]
        assert (restore["n"], restore["median"], restore["mean"]) == (len(took), median(took), mean(took))


def _sweep(incidents: list[dict[str, Any]], begin: datetime, end: datetime) -> tuple[int, int]:
    """Downtimes that nobody planned: how many begin in the time, and how many seconds of it they take."""
    steps: list[tuple[datetime, int]] = []
    for each in incidents:
        if each["severity"] == "down" and not each["planned"]:
            start, over = instant(each["started_at"]), min(instant(each["resolved_at"] or NOW.isoformat()), NOW)
            steps += [(start, 1), (max(start, over), -1)]
    count, seconds, down, last = 0, 0.0, 0, begin
    for at in sorted({step[0] for step in steps}):
        if was_down := down > 0:
            seconds += max(0.0, (min(at, end) - max(last, begin)).total_seconds())
        here = [step for moment, step in steps if moment == at]
        down += sum(here)
        count += 1 in here and not was_down and begin <= at < end
        last = at
    return count, int(seconds)
