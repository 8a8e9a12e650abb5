"""The catalog over REST: everybody reads, administrators write."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Team
from releasemgmt.catalog import commands, policies
from releasemgmt.catalog.models import LONGEST_SOAK_MINUTES, DocumentKind, Environment, Product, ReleaseModel, Tier
from releasemgmt.web.api import InstantField, RecordSerializer, RecordViewSet, StrictSerializer


class EnvironmentEdit(StrictSerializer):
    """What PATCH takes."""

    name = serializers.CharField(max_length=100, required=False)
    tier = serializers.ChoiceField(Tier.choices, required=False)
    rank = serializers.IntegerField(min_value=0, max_value=32_767, required=False)
    time_zone = serializers.CharField(max_length=64, required=False)
    change_controlled = serializers.BooleanField(required=False)


class EnvironmentCreate(EnvironmentEdit):
    """What POST takes."""

    key = serializers.CharField(max_length=40)
    name = serializers.CharField(max_length=100)
    tier = serializers.ChoiceField(Tier.choices)
    rank = serializers.IntegerField(min_value=0, max_value=32_767)


class EnvironmentAnswer(RecordSerializer):
    """An environment."""

    key = serializers.CharField()
    name = serializers.CharField()
    tier = serializers.CharField()
    rank = serializers.IntegerField()
    time_zone = serializers.CharField()
    change_controlled = serializers.BooleanField()


class ProductEdit(StrictSerializer):
    """What PATCH takes."""

    name = serializers.CharField(max_length=100, required=False)
    time_zone = serializers.CharField(max_length=64, required=False)
    repository_url = serializers.URLField(max_length=500, required=False, allow_blank=True)
    default_model = serializers.CharField(max_length=40, required=False)
    environments = serializers.ListField(child=serializers.CharField(max_length=40), max_length=100, required=False)
    promotion_required = serializers.BooleanField(required=False)
    soak_minutes = serializers.IntegerField(min_value=0, max_value=LONGEST_SOAK_MINUTES, required=False)


class ProductCreate(ProductEdit):
    """What POST takes."""

    key = serializers.CharField(max_length=40)
    name = serializers.CharField(max_length=100)
    team = serializers.CharField(max_length=40)


class ProductAnswer(RecordSerializer):
    """A product."""

    key = serializers.CharField()
    name = serializers.CharField()
    team = serializers.CharField(source="team.key")
    time_zone = serializers.CharField()
    repository_url = serializers.CharField()
    default_model = serializers.CharField(source="default_model.number")
    environments = serializers.SerializerMethodField()
    promotion_required = serializers.BooleanField()
    soak_minutes = serializers.IntegerField()

    def get_environments(self, product: Product) -> list[str]:
        return [environment.key for environment in product.environments.all()]


class ComponentBody(StrictSerializer):
    """A component."""

    key = serializers.CharField(max_length=60)
    name = serializers.CharField(max_length=100, required=False, allow_blank=True)


class ProductDocumentBody(StrictSerializer):
    """The text of a document that releases inherit."""

    body = serializers.CharField(max_length=200_000, allow_blank=True, trim_whitespace=False)
    void_signoffs = serializers.BooleanField(required=False)


class ProductDocumentAnswer(serializers.Serializer[Any]):
    """A document that releases inherit."""

    kind = serializers.CharField()
    body = serializers.CharField()
    updated_at = InstantField()


class SuiteEntry(StrictSerializer):
    """A suite that the model asks for, the tier it runs in, and the transition it gates."""

    suite = serializers.ChoiceField(policies.SUITES)
    tier = serializers.ChoiceField(Tier.choices)
    gates = serializers.ChoiceField(policies.GATED)


class DocumentEntry(StrictSerializer):
    """A document that the model asks for, of the release itself or of its product, and before which transition."""

    kind = serializers.ChoiceField(policies.DOCUMENTS)
    origin = serializers.ChoiceField(policies.ORIGINS)
    gates = serializers.ChoiceField(policies.DOCUMENTS_GATE, default="accept")


class ModelBody(StrictSerializer):
    """A release model; POST under a key that exists makes its next version."""

    key = serializers.CharField(max_length=40)
    name = serializers.CharField(max_length=100)
    suites = serializers.ListField(child=SuiteEntry(), max_length=50, required=False)
    documents = serializers.ListField(child=DocumentEntry(), max_length=10, required=False)
    sign_off = serializers.ChoiceField(ReleaseModel.SignOff.choices, required=False)
    review = serializers.ChoiceField(ReleaseModel.Review.choices, required=False)
    exposure = serializers.ChoiceField(ReleaseModel.ExposureMode.choices, required=False)
    by_itself = serializers.ListField(child=serializers.ChoiceField(policies.BY_ITSELF), max_length=10, required=False)
    pre_approval_days = serializers.IntegerField(min_value=1, max_value=366, required=False)
    fail_rate_ceiling = serializers.IntegerField(min_value=1, max_value=100, required=False)


class ModelAnswer(RecordSerializer):
    """A version of a release model."""

    key = serializers.CharField()
    version = serializers.IntegerField()
    name = serializers.CharField()
    suites = SuiteEntry(many=True)
    documents = DocumentEntry(many=True)
    sign_off = serializers.CharField()
    review = serializers.CharField()
    exposure = serializers.CharField()
    by_itself = serializers.ListField(child=serializers.CharField())
    pre_approval_days = serializers.IntegerField()
    fail_rate_ceiling = serializers.IntegerField()


class ByKey(RecordViewSet):
    """Records that are addressed by their key."""

    search_fields = ("key", "name")
    orderings = ("created_at", "updated_at", "key")

    def by_number(self, rows: QuerySet[Any], number: str) -> Any:
        return rows.filter(key=number).first()


class EnvironmentViewSet(ByKey):
    """Environments."""

    model = Environment
    address = "/api/v1/environments/"
    serializer_class = EnvironmentAnswer

    def get_queryset(self) -> QuerySet[Environment]:
        return Environment.objects.all()

    @extend_schema(request=EnvironmentCreate, responses={201: EnvironmentAnswer})
    def create(self, request: Request) -> Response:
        environment = commands.create_environment(actor=self.actor, **self.body(EnvironmentCreate))
        return self.answer(environment, status=201)

    @extend_schema(request=EnvironmentEdit, responses=EnvironmentAnswer)
    def partial_update(self, request: Request, number: str) -> Response:
        environment = self.get_object()
        changes = self.body(EnvironmentEdit)
        with self.guarded(environment):
            commands.edit_environment(environment, changes=changes, actor=self.actor)
        return self.answer(self.get_object())


class ProductViewSet(ByKey):
    """Products and their components."""

    model = Product
    address = "/api/v1/products/"
    serializer_class = ProductAnswer

    def get_queryset(self) -> QuerySet[Product]:
        rows = Product.objects.select_related("team", "default_model").prefetch_related("environments")
        return roles.visible_to(self.actor, rows, team="team")

    @extend_schema(request=ProductCreate, responses={201: ProductAnswer})
    def create(self, request: Request) -> Response:
        body = self._named(self.body(ProductCreate))
        team = Team.objects.filter(key=body.pop("team")).first()
        if team is None or not self.actor.sees(team):
            raise ValidationError({"team": ["There is no such team."]}, code="unknown")
        return self.answer(commands.create_product(team=team, actor=self.actor, **body), status=201)

    @extend_schema(request=ProductEdit, responses=ProductAnswer)
    def partial_update(self, request: Request, number: str) -> Response:
        product = self.get_object()
        changes = self._named(self.body(ProductEdit))
        with self.guarded(product):
            commands.edit_product(product, changes=changes, actor=self.actor)
        return self.answer(self.get_object())

    @extend_schema(methods=["get"], responses=ComponentBody(many=True))
    @extend_schema(methods=["post"], request=ComponentBody, responses={201: ComponentBody})
    @action(detail=True, methods=["get", "post"], url_path="components", pagination_class=None)
    def components(self, request: Request, number: str) -> Response:
        product = self.get_object()
        if request.method != "POST":
            return Response(ComponentBody(product.components.all(), many=True).data)
        component = commands.create_component(product, actor=self.actor, **self.body(ComponentBody))
        return Response(ComponentBody(component).data, status=201)

    @extend_schema(methods=["get"], responses=ProductDocumentAnswer)
    @extend_schema(methods=["put"], request=ProductDocumentBody, responses=ProductAnswer)
    @action(detail=True, methods=["get", "put"], url_path=r"documents/(?P<kind>[a-z_]+)")
    def document(self, request: Request, number: str, kind: str) -> Response:
        product = self.get_object()
        if kind not in DocumentKind.values:
            raise NotFound(f"There is no document {kind}.")
        if request.method == "PUT":
            with self.guarded(product):
                commands.write_product_document(product, kind=kind, actor=self.actor, **self.body(ProductDocumentBody))
            return self.answer(self.get_object())
        document = product.documents.filter(kind=kind).first()
        if document is None:
            raise NotFound("It is not written yet.")
        return Response(ProductDocumentAnswer(document).data)

    def _named(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body with records in the place of their keys."""
        if "default_model" in body:
            key = body["default_model"]
            body["default_model"] = ReleaseModel.objects.filter(key=key).order_by("-version").first()
            if body["default_model"] is None:
                raise ValidationError({"default_model": [f"There is no release model {key}."]}, code="unknown")
        if "environments" in body:
            found = {environment.key: environment for environment in Environment.objects.all()}
            if unknown := [key for key in body["environments"] if key not in found]:
                raise ValidationError({"environments": [f"There is no {', '.join(unknown)}."]}, code="unknown")
            body["environments"] = [found[key] for key in body["environments"]]
        return body


class ReleaseModelViewSet(RecordViewSet):
    """Release models, each version addressed as `normal@1`; `normal` is the latest."""

    model = ReleaseModel
    address = "/api/v1/release-models/"
    serializer_class = ModelAnswer
    search_fields = ("key", "name")

    def get_queryset(self) -> QuerySet[ReleaseModel]:
        return ReleaseModel.objects.all()

    def by_number(self, rows: QuerySet[Any], number: str) -> Any:
        key, at, version = number.partition("@")
        if at and not (version.isascii() and version.isdigit() and len(version) < 9):
            raise Http404
        rows = rows.filter(key=key, version=int(version)) if at else rows.filter(key=key)
        return rows.order_by("-version").first()

    @extend_schema(request=ModelBody, responses={201: ModelAnswer})
    def create(self, request: Request) -> Response:
        return self.answer(commands.create_model(actor=self.actor, **self.body(ModelBody)), status=201)
