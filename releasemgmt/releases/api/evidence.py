"""Commits, builds and test runs over REST: what pipelines bring."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from releasemgmt.accounts import roles
from releasemgmt.integrations import junit
from releasemgmt.releases import commands
from releasemgmt.releases.api.fields import DigestField, EnvironmentField, ProductField, components_of
from releasemgmt.releases.models import Build, Suite, TestRun
from releasemgmt.releases.models.build import DIGEST, SHA
from releasemgmt.web.api import InstantField, StrictSerializer, View
from releasemgmt.web.errors import TooLarge
from releasemgmt.web.parsing import StrictJSONParser, check_text

COMMITS_AT_ONCE = 2_000
REPORT_LIMIT = 20 * 1024 * 1024


class CommitBody(StrictSerializer):
    """One commit."""

    sha = serializers.CharField(max_length=64, validators=[SHA])
    parents = serializers.ListField(child=serializers.CharField(max_length=64, validators=[SHA]), max_length=64)
    authored_at = InstantField()
    committed_at = InstantField()
    author = serializers.CharField(max_length=320, required=False, allow_blank=True)
    subject = serializers.CharField(max_length=5_000, required=False, allow_blank=True)
    work_items = serializers.ListField(child=serializers.CharField(max_length=100), max_length=100, required=False)
    is_bot = serializers.BooleanField(required=False)


class CommitsBody(StrictSerializer):
    """Up to 2,000 commits of a product, in any order."""

    product = ProductField()
    commits = serializers.ListField(child=CommitBody(), max_length=COMMITS_AT_ONCE)


class CommitsAnswer(serializers.Serializer[Any]):
    """How many came and how many were new."""

    received = serializers.IntegerField()
    new = serializers.IntegerField()


class BuildBody(StrictSerializer):
    """What a pipeline built."""

    product = ProductField()
    component = serializers.CharField(max_length=60)
    commit = serializers.CharField(max_length=64, validators=[SHA])
    digest = serializers.CharField(max_length=71, validators=[DIGEST], required=False, allow_blank=True)
    artifact_uri = serializers.CharField(max_length=1000)
    built_at = InstantField()
    ci_url = serializers.URLField(max_length=1000, required=False, allow_blank=True)
    status = serializers.ChoiceField(Build.Status.choices, required=False)


class BuildAnswer(serializers.Serializer[Any]):
    """A registered build."""

    id = serializers.IntegerField()
    product = serializers.CharField(source="product.key")
    component = serializers.CharField(source="component.key")
    commit = serializers.CharField(source="commit_sha")
    digest = serializers.CharField()
    artifact_uri = serializers.CharField()
    built_at = InstantField()
    ci_url = serializers.CharField()
    status = serializers.CharField()


class TestRunBody(StrictSerializer):
    """A finished run; either its numbers or a JUnit XML file `report`."""

    builds = serializers.ListField(child=DigestField(), max_length=200)
    environment = EnvironmentField()
    suite = serializers.ChoiceField(Suite.choices)
    passed = serializers.IntegerField(min_value=0, max_value=10**9, required=False)
    failed = serializers.IntegerField(min_value=0, max_value=10**9, required=False)
    errors = serializers.IntegerField(min_value=0, max_value=10**9, required=False)  # type: ignore[assignment]
    skipped = serializers.IntegerField(min_value=0, max_value=10**9, required=False)
    started_at = InstantField()
    finished_at = InstantField()
    report = serializers.FileField(required=False)


class TestRunAnswer(serializers.Serializer[Any]):
    """A recorded run."""

    id = serializers.IntegerField()
    product = serializers.CharField(source="product.key")
    builds = serializers.SerializerMethodField()
    environment = serializers.CharField(source="environment.key")
    suite = serializers.CharField()
    passed = serializers.IntegerField()
    failed = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]
    skipped = serializers.IntegerField()
    started_at = InstantField()
    finished_at = InstantField()
    report_digest = serializers.CharField()
    failures = serializers.ListField(child=serializers.CharField())

    def get_builds(self, run: TestRun) -> list[str]:
        return [build.digest for build in run.builds.all()]


class CommitViewSet(View):
    """Commits come in by bulk."""

    serializer_class = CommitsAnswer

    @extend_schema(request=CommitsBody, responses=CommitsAnswer)
    def bulk(self, request: Request) -> Response:
        body = self.body(CommitsBody)
        new = commands.send_commits(body["product"], commits=body["commits"], actor=self.actor, now=timezone.now())
        return Response({"received": len(body["commits"]), "new": new})


class BuildFilters(django_filters.FilterSet):
    """The filters of `builds/`."""

    product = django_filters.CharFilter(field_name="product__key")
    component = django_filters.CharFilter(field_name="component__key")
    digest = django_filters.CharFilter()
    commit = django_filters.CharFilter(field_name="commit_sha")


class BuildViewSet(View):
    """Builds: registered once, never changed."""

    serializer_class = BuildAnswer
    filterset_class = BuildFilters
    ordering = ("-built_at", "-id")

    def get_queryset(self) -> QuerySet[Build]:
        rows = Build.objects.select_related("product", "component")
        return roles.visible_to(self.actor, rows, team="product__team")

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(BuildAnswer(page, many=True).data)

    @extend_schema(request=BuildBody, responses={200: BuildAnswer, 201: BuildAnswer})
    def create(self, request: Request) -> Response:
        body = self.body(BuildBody)
        component = components_of(body["product"], [body.pop("component")], field="component")[0]
        build, new = commands.register_build(
            component=component,
            commit_sha=body.pop("commit"),
            digest=body.pop("digest", ""),
            actor=self.actor,
            now=timezone.now(),
            **body,
        )
        return Response(BuildAnswer(build).data, status=201 if new else 200)


class BoundedMultiPartParser(MultiPartParser):
    """Multipart up to 20 MiB, judged by its announced length before a byte is read."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        request = (parser_context or {})["request"]
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdigit() or int(length) > REPORT_LIMIT:
            raise TooLarge(f"A report has at most {REPORT_LIMIT // 1024 // 1024} MiB.")
        return super().parse(stream, media_type, parser_context)


class TestRunFilters(django_filters.FilterSet):
    """The filters of `test-runs/`."""

    product = django_filters.CharFilter(field_name="product__key")
    suite = django_filters.MultipleChoiceFilter(choices=Suite.choices, distinct=False)
    environment = django_filters.CharFilter(field_name="environment__key")


class TestRunViewSet(View):
    """Test runs: numbers or JUnit XML."""

    serializer_class = TestRunAnswer
    filterset_class = TestRunFilters
    parser_classes = (StrictJSONParser, BoundedMultiPartParser)
    ordering = ("-finished_at", "-id")

    def get_queryset(self) -> QuerySet[TestRun]:
        rows = TestRun.objects.select_related("product", "environment").prefetch_related("builds")
        return roles.visible_to(self.actor, rows, team="product__team")

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(TestRunAnswer(page, many=True).data)

    @extend_schema(request=TestRunBody, responses={201: TestRunAnswer})
    def create(self, request: Request) -> Response:
        body = self.body(TestRunBody)
        report = body.pop("report", None)
        counts = ("passed", "failed", "errors", "skipped")
        if (report is None) == (not any(name in body for name in counts)):
            raise ValidationError({"report": ["Send either the numbers or a report."]})
        if report is None:
            body = dict.fromkeys(counts, 0) | body
        else:
            body |= _read(report.read())
        run = commands.record_test_run(actor=self.actor, now=timezone.now(), **body)
        return Response(TestRunAnswer(run).data, status=201)


def _read(content: bytes) -> dict[str, Any]:
    try:
        found = junit.parse(content)
    except junit.JUnitError as error:
        raise ValidationError({"report": [str(error)]}, code="unreadable_report") from error
    for name in found.failures:
        check_text(name)
    return {
        "passed": found.passed,
        "failed": found.failed,
        "errors": found.errors,
        "skipped": found.skipped,
        "failures": found.failures,
        "report_digest": "sha256:" + sha256(content).hexdigest(),
    }
