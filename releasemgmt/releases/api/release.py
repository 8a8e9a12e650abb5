"""Releases over REST."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from releasemgmt.accounts.models import Scope
from releasemgmt.catalog.models import ProductDocument
from releasemgmt.releases import commands, queries
from releasemgmt.releases.api.fields import (
    DefectField,
    DigestField,
    EnvironmentField,
    ProductField,
    ReleaseField,
    ReleaseModelField,
    UserField,
    components_of,
)
from releasemgmt.releases.models import DefectLink, Document, Release, Risk
from releasemgmt.web.api import InstantField, RecordSerializer, StatefulViewSet, StrictSerializer
from releasemgmt.workflow.commands import command
from releasemgmt.workflow.models import StatefulModel


class ReleaseEdit(StrictSerializer):
    """What PATCH takes."""

    version = serializers.CharField(max_length=100, required=False)
    title = serializers.CharField(max_length=200, required=False, allow_blank=True)
    description = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    type = serializers.ChoiceField(Release.Type.choices, required=False)
    components = serializers.ListField(child=serializers.CharField(max_length=60), max_length=200, required=False)
    target_date = serializers.DateField(required=False, allow_null=True)
    planned_start = InstantField(required=False, allow_null=True)
    planned_end = InstantField(required=False, allow_null=True)
    release_manager = UserField(required=False, allow_null=True)
    requested_by = UserField(required=False, allow_null=True)
    database_change = serializers.ChoiceField(Release.DatabaseChange.choices, required=False)
    depends_on = serializers.ListField(child=ReleaseField(), max_length=100, required=False)
    train = serializers.CharField(max_length=100, required=False, allow_blank=True)
    risk = serializers.ChoiceField(Risk.choices, required=False)
    on_hold = serializers.BooleanField(required=False)
    hold_reason = serializers.CharField(max_length=500, required=False, allow_blank=True)
    void_signoffs = serializers.BooleanField(required=False)


class ReleaseCreate(StrictSerializer):
    """What POST takes."""

    product = ProductField()
    version = serializers.CharField(max_length=100)
    type = serializers.ChoiceField(Release.Type.choices, required=False)
    title = serializers.CharField(max_length=200, required=False, allow_blank=True)
    model = ReleaseModelField(required=False)
    components = serializers.ListField(child=serializers.CharField(max_length=60), max_length=200, required=False)
    target_date = serializers.DateField(required=False, allow_null=True)
    description = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    requested_by = UserField(required=False, allow_null=True)
    database_change = serializers.ChoiceField(Release.DatabaseChange.choices, required=False)
    depends_on = serializers.ListField(child=ReleaseField(), max_length=100, required=False)
    train = serializers.CharField(max_length=100, required=False, allow_blank=True)


class ReleaseBody(RecordSerializer):
    """A release as lists show it."""

    product = serializers.CharField(source="product.key")
    version = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    type = serializers.CharField()
    model = serializers.CharField(source="model.number")
    components = serializers.SerializerMethodField()
    release_manager = serializers.CharField(source="release_manager.username", default=None)
    requested_by = serializers.CharField(source="requested_by.username", default=None)
    target_date = serializers.DateField()
    planned_start = InstantField()
    planned_end = InstantField()
    database_change = serializers.CharField()
    train = serializers.CharField()
    on_hold = serializers.BooleanField()
    hold_reason = serializers.CharField()
    risk = serializers.CharField()
    cycle = serializers.IntegerField()
    review = serializers.CharField()
    imported = serializers.BooleanField()
    released_at = InstantField()

    def get_components(self, release: Release) -> list[str]:
        return [component.key for component in queries.components(release)]


class ReleaseDetail(ReleaseBody):
    """A release with what it is made of."""

    builds = serializers.SerializerMethodField()
    documents = serializers.SerializerMethodField()
    depends_on = serializers.SerializerMethodField()

    def get_builds(self, release: Release) -> list[str]:
        return [build.digest for build in release.builds.all()]

    def get_documents(self, release: Release) -> list[str]:
        found = queries.documents(release, Document.Kind.values)
        return [kind for kind, document in found.items() if document.body.strip()]

    def get_depends_on(self, release: Release) -> list[str]:
        user = self.context["request"].user
        return [other.number for other in Release.objects.visible_to(user).filter(dependants=release)]


class DocumentBody(StrictSerializer):
    """A document's text."""

    body = serializers.CharField(max_length=200_000, allow_blank=True, trim_whitespace=False)
    void_signoffs = serializers.BooleanField(required=False)


class DocumentAnswer(serializers.Serializer[Any]):
    """A document that counts for the release: its own, or the product's that it inherits."""

    kind = serializers.CharField()
    body = serializers.CharField()
    origin = serializers.SerializerMethodField()
    updated_at = InstantField()

    def get_origin(self, document: Document | ProductDocument) -> str:
        return "own" if isinstance(document, Document) else "inherited"


class BuildsBody(StrictSerializer):
    """Exactly these builds."""

    builds = serializers.ListField(child=DigestField(), max_length=200)
    void_signoffs = serializers.BooleanField(required=False)


class AddedBuild(StrictSerializer):
    """One build."""

    digest = DigestField()


class DefectLinkBody(StrictSerializer):
    """What a defect means for the release."""

    defect = DefectField()
    relation = serializers.ChoiceField(DefectLink.Relation.choices, required=False)
    disposition = serializers.ChoiceField(DefectLink.Disposition.choices, required=False)
    reason = serializers.CharField(max_length=5_000, required=False, allow_blank=True)
    accepted_until = InstantField(required=False, allow_null=True)
    void_signoffs = serializers.BooleanField(required=False)


class DefectLinkAnswer(serializers.Serializer[Any]):
    """A defect on a release."""

    defect = serializers.CharField(source="defect.number")
    title = serializers.CharField(source="defect.title")
    severity = serializers.CharField(source="defect.severity")
    state = serializers.CharField(source="defect.state")
    relation = serializers.CharField()
    disposition = serializers.CharField()
    reason = serializers.CharField()
    accepted_until = InstantField()


class ExposureBody(StrictSerializer):
    """A step of exposure."""

    environment = EnvironmentField()
    audience = serializers.CharField(max_length=100, required=False)
    percent = serializers.IntegerField(min_value=0, max_value=100)
    flag_key = serializers.CharField(max_length=200, required=False, allow_blank=True)


class ExposureAnswer(serializers.Serializer[Any]):
    """A step as it was taken."""

    environment = serializers.CharField(source="environment.key")
    audience = serializers.CharField()
    percent = serializers.IntegerField()
    flag_key = serializers.CharField()
    at = InstantField()
    by = serializers.CharField(source="by.username")


class SuiteAnswer(serializers.Serializer[Any]):
    """A planned suite and the run that decides it."""

    suite = serializers.CharField()
    tier = serializers.CharField()
    gates = serializers.CharField()
    passed = serializers.BooleanField()
    run = serializers.IntegerField(source="run.pk", default=None)


class ReleaseFilters(django_filters.FilterSet):
    """The filters of `releases/`."""

    product = django_filters.CharFilter(field_name="product__key")
    state = django_filters.MultipleChoiceFilter(choices=Release.State.choices, distinct=False)
    type = django_filters.MultipleChoiceFilter(choices=Release.Type.choices, distinct=False)
    on_hold = django_filters.BooleanFilter()
    train = django_filters.CharFilter()


class ReleaseViewSet(StatefulViewSet):
    """Releases, and what hangs on them."""

    model = Release
    address = "/api/v1/releases/"
    serializer_class = ReleaseDetail
    filterset_class = ReleaseFilters
    search_fields = ("version", "title")
    orderings = ("created_at", "updated_at", "target_date")
    transition_commands: ClassVar[Mapping[str, Callable[..., StatefulModel]]] = commands.TRANSITIONS

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return ReleaseBody if self.action in ("list", "create", "transition") else ReleaseDetail

    def moved(self, obj: Release) -> Release:
        """Nothing that hangs on a release moves with it, so it needs no second reading."""
        return obj

    def get_queryset(self) -> QuerySet[Release]:
        rows = Release.objects.visible_to(self.actor).select_related(
            "product", "model", "release_manager", "requested_by"
        )
        if self.action == "list":
            return rows.prefetch_related("components")
        return rows

    def by_number(self, rows: QuerySet[Any], number: str) -> Any:
        return queries.find(rows, number)

    def key_of(self, number: str) -> int | None:
        if "@" not in number:
            return super().key_of(number)
        found = queries.get_release(number, self.actor)
        return found.pk if found else None

    @extend_schema(request=ReleaseCreate, responses={200: ReleaseBody, 201: ReleaseBody})
    def create(self, request: Request) -> Response:
        with command():
            fields = self.body(ReleaseCreate)
            product = fields.pop("product")
            fields["components"] = components_of(product, fields.get("components", []))
            release, new = commands.create_release(
                product=product, actor=self.actor, now=timezone.now(), version=fields.pop("version"), **fields
            )
            return self.answer(release, status=201 if new else 200)

    @extend_schema(request=ReleaseEdit, responses=ReleaseDetail)
    def partial_update(self, request: Request, number: str) -> Response:
        release = self.get_object()
        changes = self.body(ReleaseEdit)
        if "components" in changes:
            changes["components"] = components_of(release.product, changes["components"])
        return self._edit(release, commands.edit_release, changes=changes)

    @extend_schema(methods=["put"], request=BuildsBody, responses=ReleaseDetail)
    @extend_schema(methods=["post"], request=AddedBuild, responses=ReleaseDetail)
    @action(detail=True, methods=["put", "post"], url_path="builds")
    def builds(self, request: Request, number: str) -> Response:
        release = self.get_object()
        if request.method == "PUT":
            return self._edit(release, commands.set_builds, changes=None, **self.body(BuildsBody))
        with self.guarded(release, required=False):
            commands.add_build(release, build=self.body(AddedBuild)["digest"], actor=self.actor, now=timezone.now())
        return self.answer(self.get_object())

    @extend_schema(methods=["get"], responses=DocumentAnswer)
    @extend_schema(methods=["put"], request=DocumentBody, responses=ReleaseDetail)
    @action(detail=True, methods=["get", "put"], url_path=r"documents/(?P<kind>[a-z_]+)")
    def document(self, request: Request, number: str, kind: str) -> Response:
        release = self.get_object()
        if kind not in Document.Kind.values:
            raise NotFound(f"There is no document {kind}.")
        if request.method == "PUT":
            return self._edit(release, partial(commands.write_document, kind=kind), None, **self.body(DocumentBody))
        document = queries.documents(release, [kind]).get(kind)
        if document is None:
            raise NotFound("It is not written yet.")
        return Response(DocumentAnswer(document).data)

    @extend_schema(methods=["get"], responses=DefectLinkAnswer(many=True))
    @extend_schema(methods=["post"], request=DefectLinkBody, responses={201: DefectLinkAnswer})
    @action(detail=True, methods=["get", "post"], url_path="defects", pagination_class=None)
    def defects(self, request: Request, number: str) -> Response:
        release = self.get_object()
        if request.method != "POST":
            links = release.defect_links.select_related("defect").order_by("id")
            return Response(DefectLinkAnswer(links, many=True).data)
        with self.guarded(release, required=False):
            link = commands.link_defect(release, actor=self.actor, now=timezone.now(), **self.body(DefectLinkBody))
        return Response(DefectLinkAnswer(link).data, status=201)

    @extend_schema(responses=SuiteAnswer(many=True))
    @action(detail=True, methods=["get"], url_path="test-plan", pagination_class=None)
    def test_plan(self, request: Request, number: str) -> Response:
        return Response(SuiteAnswer(queries.test_plan(self.get_object()), many=True).data)

    @extend_schema(methods=["get"], responses=ExposureAnswer(many=True))
    @extend_schema(methods=["post"], request=ExposureBody, responses={201: ExposureAnswer})
    @action(detail=True, methods=["get", "post"], url_path="exposures", pagination_class=None, scopes=(Scope.DEPLOY,))
    def exposures(self, request: Request, number: str) -> Response:
        release = self.get_object()
        if request.method != "POST":
            steps = release.exposures.select_related("environment", "by")
            return Response(ExposureAnswer(steps, many=True).data)
        step = commands.expose(release, actor=self.actor, now=timezone.now(), **self.body(ExposureBody))
        return Response(ExposureAnswer(step).data, status=201)

    def _edit(self, release: Release, edit: Callable[..., Release], changes: Any, **fields: Any) -> Response:
        """One edit under If-Match; the answer is the parent with its ETag."""
        if changes is not None:
            fields = {"changes": changes, "void_signoffs": changes.pop("void_signoffs", False)}
        with self.guarded(release):
            edit(release, actor=self.actor, now=timezone.now(), **fields)
        return self.answer(self.get_object())
