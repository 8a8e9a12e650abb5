"""What runs where, what a release would change there, and whether it may start: facts for a decision."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments import queries
from deployments.api.fields import Asked
from releasemgmt.releases.api.fields import EnvironmentField
from releasemgmt.releases.models import Release
from releasemgmt.releases.queries import get_release
from releasemgmt.web.api import InstantField, View
from releasemgmt.web.parsing import check_text
from releasemgmt.web.schema import BlockerBody


class MatrixAsked(Asked):
    """At which instant; without one it is now."""

    at = InstantField(required=False)


class ComparisonAsked(Asked):
    """With what runs where."""

    environment = EnvironmentField()


class ReadinessAsked(ComparisonAsked):
    """To start where, and when; without an instant it is now."""

    at = InstantField(required=False)


class PlaceAnswer(serializers.Serializer[Any]):
    """What was deployed of one component in one environment, and what was seen there last.

    `digest` to `deployment` are null where nothing was deployed, the `observed_` ones where nobody looked; `differs`
    where something else was seen since than was deployed. `unregistered` are digests that nobody had registered and
    that were deployed there since: nobody knows of which component.
    """

    environment = serializers.CharField(source="environment.key")
    tier = serializers.CharField(source="environment.tier")
    product = serializers.CharField(source="product.key")
    component = serializers.CharField(source="component.key")
    digest = serializers.CharField(source="running.digest", default=None)
    release = serializers.CharField(source="running.release", default=None)
    version = serializers.CharField(source="running.version", default=None)
    since = InstantField(source="running.succeeded_at", default=None)
    deployment = serializers.IntegerField(source="running.deployment_id", default=None)
    observed_digest = serializers.CharField(source="seen.digest", default=None)
    observed_at = InstantField(source="seen.last_seen_at", default=None)
    differs = serializers.BooleanField()
    unregistered = serializers.ListField(child=serializers.CharField())


class MatrixAnswer(serializers.Serializer[Any]):
    """What is where."""

    results = PlaceAnswer(many=True)


class ComparedComponent(serializers.Serializer[Any]):
    """A component's digest in the release beside the one that runs; `unregistered` as in the matrix."""

    component = serializers.CharField(source="component.key")
    digest = serializers.CharField(source="build.digest", default=None)
    running_digest = serializers.CharField(source="running.build.digest", default=None)
    running_release = serializers.CharField(source="running.release.number", default=None)
    running_since = InstantField(source="running.succeeded_at", default=None)
    changes = serializers.BooleanField()
    unregistered = serializers.ListField(child=serializers.CharField())


class ComparedCommit(serializers.Serializer[Any]):
    """A commit that the release brings."""

    sha = serializers.CharField()
    subject = serializers.CharField()
    author = serializers.CharField()
    committed_at = InstantField()
    work_items = serializers.ListField(child=serializers.CharField())
    is_merge = serializers.BooleanField()
    is_bot = serializers.BooleanField()


class ComparedChange(serializers.Serializer[Any]):
    """A change that rides with the release."""

    number = serializers.CharField()
    title = serializers.CharField()
    state = serializers.CharField()
    risk = serializers.CharField()


class ComparedDefect(serializers.Serializer[Any]):
    """A known defect and what it means for the release."""

    number = serializers.CharField(source="defect.number")
    title = serializers.CharField(source="defect.title")
    severity = serializers.CharField(source="defect.severity")
    state = serializers.CharField(source="defect.state")
    relation = serializers.CharField()
    disposition = serializers.CharField()


class ComparisonAnswer(serializers.Serializer[Any]):
    """What changes in the environment if the release goes there."""

    release = serializers.CharField(source="release.number")
    environment = serializers.CharField(source="environment.key")
    components = ComparedComponent(many=True)
    commits = ComparedCommit(many=True)
    commits_without_work_item = serializers.IntegerField()
    work_items = serializers.ListField(child=serializers.CharField())
    changes = ComparedChange(many=True)
    defects = ComparedDefect(many=True)


class VerdictAnswer(serializers.Serializer[Any]):
    """One gate of a start."""

    gate = serializers.CharField()
    asks_for = serializers.CharField()
    open = serializers.BooleanField(source="is_open")
    blockers = BlockerBody(many=True)


class ReadinessAnswer(serializers.Serializer[Any]):
    """Whether a plan could start there and then, and the earliest instant from then on at which no clock forbids it.

    It is judged for the release's plan there, with its preparation list; where there is none, for one without tasks.
    `earliest_start` looks at windows, freezes, approved intervals, soaks and what else is scheduled there; null where
    one of them needs a person.
    """

    release = serializers.CharField()
    environment = serializers.CharField()
    at = InstantField()
    ready = serializers.BooleanField()
    earliest_start = InstantField(allow_null=True)
    gates = VerdictAnswer(many=True)


class MatrixView(View):
    """Environment × component → digest, release, since when."""

    pagination_class = None

    @extend_schema(parameters=[MatrixAsked], responses=MatrixAnswer)
    def list(self, request: Request) -> Response:
        places = queries.what_is_where(MatrixAsked.of(self).get("at"), user=self.actor)
        return Response(MatrixAnswer({"results": places}).data)


class OutlookView(View):
    """A release beside an environment."""

    def get_object(self) -> Release:
        check_text(self.kwargs["number"])
        release = get_release(self.kwargs["number"], self.actor)
        if release is None:
            raise Http404
        return release

    @extend_schema(parameters=[ComparisonAsked], responses=ComparisonAnswer)
    def comparison(self, request: Request, number: str) -> Response:
        release = self.get_object()
        return Response(ComparisonAnswer(queries.comparison(release, **ComparisonAsked.of(self))).data)

    @extend_schema(parameters=[ReadinessAsked], responses=ReadinessAnswer)
    def readiness(self, request: Request, number: str) -> Response:
        release = self.get_object()
        asked = {"at": timezone.now()} | ReadinessAsked.of(self)
        found = queries.readiness(release, **asked)
        return Response(
            ReadinessAnswer(
                {
                    "release": release.number,
                    "environment": asked["environment"].key,
                    "at": asked["at"],
                    "ready": found.is_ready,
                    "earliest_start": found.earliest_start,
                    "gates": found.verdicts,
                }
            ).data
        )
