"""The base of every REST view: scopes, records by number, ETags, transitions, timelines, strict bodies and filters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from releasemgmt.web.access import check_query
from releasemgmt.web.errors import PreconditionFailed, PreconditionRequired
from releasemgmt.web.idempotency import replayable
from releasemgmt.web.pagination import TimelinePagination
from releasemgmt.web.parsing import check_text
from releasemgmt.web.schema import EventBody, TransitionBody
from releasemgmt.workflow import commands, fsm, queries
from releasemgmt.workflow.errors import Invalid
from releasemgmt.workflow.models import Aggregate, StatefulModel, instant_is_near

if TYPE_CHECKING:
    from releasemgmt.accounts.models import User

PAGING = ("cursor", "page_size")
IF_MATCH = OpenApiParameter("If-Match", str, "header", description="The ETag that you read: else 412.")
TRANSITION_FIELDS = {"type": "object", "additionalProperties": {"type": "string"}}


class InstantField(serializers.DateTimeField):
    """An instant: RFC 3339 with an offset, answered in UTC; what is given is one that people can mean."""

    default_error_messages = {"naive": "Give the offset, for instance 2026-03-01T10:00:00Z."}

    def enforce_timezone(self, value: Any) -> Any:
        if timezone.is_naive(value):
            self.fail("naive")
        return super().enforce_timezone(value)

    def to_internal_value(self, value: Any) -> Any:
        at = super().to_internal_value(value)
        try:
            instant_is_near(at)
        except DjangoValidationError as error:
            raise ValidationError(error.messages, code="far") from error
        return at


class StrictSerializer(serializers.Serializer[Any]):
    """A body in which a field that is not declared is an error, not ignored."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = {str(name): ["There is no such field."] for name in data if name not in self.fields}
            if unknown:
                raise ValidationError({**unknown}, code="unknown_field")
        return super().to_internal_value(data)


class View(GenericViewSet[Any]):
    """A view set whose POSTs can be retried under an Idempotency-Key."""

    #: To change something a token needs one of these; an `@action(scopes=…)` may name others.
    scopes: tuple[str, ...] = ("write",)
    #: Whether whatever keeps a change from being made stands on the caller's stream, not only each 403.
    notes_refusals = False

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        check_text(request.path)
        if request.method == "POST" and "Idempotency-Key" in request.headers:
            handler: Any = self.post  # type: ignore[has-type]
            self.post = partial(replayable, handler)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """One request looks up the caller's roles once for reading; a command asks again inside its transaction."""
        with commands.reading():
            return super().dispatch(request, *args, **kwargs)

    @property
    def actor(self) -> User:
        """The caller; ScopedAccess has let nobody else in."""
        return cast("User", self.request.user)

    def body(self, serializer: type[serializers.Serializer[Any]], **options: Any) -> dict[str, Any]:
        """The validated body."""
        bound = serializer(data=self.request.data, context=self.get_serializer_context(), **options)
        bound.is_valid(raise_exception=True)
        return dict(bound.validated_data)

    @contextmanager
    def guarded(self, obj: Aggregate, *, required: bool = True) -> Iterator[None]:
        """A command around an edit: the row is locked, then If-Match is held against its revision."""
        given = self.request.headers.get("If-Match")
        if given is None and required:
            raise PreconditionRequired("Send If-Match with the ETag that you read, or *.")
        with commands.command():
            locked = commands.lock(obj)
            if given is not None and {"*", etag(locked)}.isdisjoint(tag.strip() for tag in given.split(",")):
                raise PreconditionFailed(f"{locked.number} changed meanwhile: it is at {etag(locked)}.")
            yield


class RecordSerializer(serializers.Serializer[Any]):
    """What every record says of itself; `permissions` names the transitions that the caller may fire now."""

    number = serializers.CharField()
    state = serializers.SerializerMethodField()
    revision = serializers.IntegerField()
    created_at = InstantField()
    updated_at = InstantField()
    url = serializers.SerializerMethodField()
    permissions = serializers.SerializerMethodField()

    def get_state(self, obj: Aggregate) -> str | None:
        return fsm.state_of(obj) if isinstance(obj, StatefulModel) else None

    def get_url(self, obj: Aggregate) -> str:
        return f"{self.context['view'].address}{obj.number}/"

    def get_permissions(self, obj: Aggregate) -> list[str]:
        if not isinstance(obj, StatefulModel):
            return []
        user = self.context["request"].user
        return [arrow.name for arrow in fsm.leaving(obj) if arrow.allow(user, obj)]


class CommentBody(StrictSerializer):
    """What somebody says."""

    body = serializers.CharField(max_length=10_000)


class RecordViewSet(View):
    """Records with a number and a revision: list, retrieve, timeline, comments."""

    lookup_field = "number"
    lookup_value_regex = "[^/]+"
    model: ClassVar[type[Aggregate]]
    #: Where the records hang, for instance `/api/v1/releases/`.
    address: ClassVar[str]
    orderings: ClassVar[tuple[str, ...]] = ("created_at", "updated_at")
    ordering = ("-created_at", "-id")

    def get_queryset(self) -> QuerySet[Any]:
        """What the caller sees, with what its JSON needs."""
        raise NotImplementedError

    def get_object(self) -> Any:
        found = self.by_number(self.get_queryset(), self.kwargs[self.lookup_field])
        if found is None:
            raise Http404
        return found

    def by_number(self, rows: QuerySet[Any], number: str) -> Any:
        """The row of that number, if it is there."""
        raise NotImplementedError

    def chosen_ordering(self) -> tuple[str, ...]:
        """The caller's `ordering`, ended by the key so that pages never overlap."""
        given = self.request.query_params.get("ordering")
        if not given:
            return ()
        if given.removeprefix("-") not in self.orderings:
            raise ValidationError({"ordering": [f"Order by one of {', '.join(self.orderings)}."]})
        return (given, "-id" if given.startswith("-") else "id")

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def retrieve(self, request: Request, number: str) -> Response:
        return self.answer(self.get_object())

    def answer(self, obj: Aggregate, status: int = 200) -> Response:
        """The record's JSON with its ETag, and where it is new with its address."""
        body = self.get_serializer(obj).data
        place = {"Location": body["url"]} if status == HTTPStatus.CREATED else {}
        return Response(body, status=status, headers={"ETag": etag(obj), **place})

    @extend_schema(responses=EventBody(many=True))
    @action(detail=True, methods=["get"], url_path="events", pagination_class=TimelinePagination)
    def events(self, request: Request, number: str) -> Response:
        check_query(request, PAGING)
        page = self.paginate_queryset(queries.timeline(self.get_object()))
        return self.get_paginated_response(EventBody(page, many=True).data)

    @extend_schema(methods=["get"], responses=EventBody(many=True))
    @extend_schema(methods=["post"], request=CommentBody, responses={201: EventBody})
    @action(detail=True, methods=["get", "post"], url_path="comments", pagination_class=TimelinePagination)
    def comments(self, request: Request, number: str) -> Response:
        obj = self.get_object()
        if request.method == "POST":
            event = commands.comment(obj, body=self.body(CommentBody)["body"], actor=self.actor)
            return Response(EventBody(event).data, status=201)
        check_query(request, PAGING)
        page = self.paginate_queryset(queries.timeline(obj).filter(kind="comment"))
        return self.get_paginated_response(EventBody(page, many=True).data)


class StatefulViewSet(RecordViewSet):
    """Records with a life: what can happen next, and making it happen."""

    model: ClassVar[type[StatefulModel]]
    #: Commands for transitions that are more than a `fire`.
    transition_commands: ClassVar[Mapping[str, Callable[..., StatefulModel]]] = {}

    def by_number(self, rows: QuerySet[Any], number: str) -> Any:
        """The record of that number: PREFIX-<id>."""
        return by_prefix(rows, self.model.NUMBER_PREFIX, number)

    def key_of(self, number: str) -> int | None:
        """The key of the record of that number, which need not be there."""
        return queries.key_in(number, self.model.NUMBER_PREFIX)

    @extend_schema(responses=TransitionBody(many=True))
    @action(detail=True, methods=["get"], url_path="transitions", pagination_class=None)
    def transitions(self, request: Request, number: str) -> Response:
        found = queries.options(self.get_object(), actor=self.actor, now=timezone.now())
        return Response([option_as_json(option) for option in found])

    @extend_schema(parameters=[IF_MATCH], request={"application/json": TRANSITION_FIELDS})
    @action(detail=True, methods=["post"], url_path=r"transitions/(?P<name>[a-z_]+)")
    def transition(self, request: Request, number: str, name: str) -> Response:
        if not fsm.knows(self.model, name):
            raise Http404
        fields = request.data
        if not isinstance(fields, Mapping) or not all(isinstance(value, str) for value in fields.values()):
            raise Invalid({"": "Send an object whose values are texts."})
        with commands.command():
            obj = self.held()
            declared = fsm.fields_of(obj, name)
            if unknown := {field: "There is no such field." for field in fields if field not in declared}:
                raise Invalid(unknown, code="unknown_field")
            with self.guarded(obj, required=False):
                fire = self.transition_commands.get(name) or partial(commands.fire, transition=name)
                obj = fire(obj, actor=self.actor, now=timezone.now(), **fields)
            return self.answer(self.moved(obj))

    def held(self) -> Any:
        """The record, locked; one that the caller does not see is not there."""
        key = self.key_of(self.kwargs[self.lookup_field])
        found = None if key is None else commands.lock_by_key(self.model, key)
        if found is None or not self.actor.sees(found):
            raise Http404
        return found

    def moved(self, obj: Any) -> Any:
        """What a transition answers with: the record read again, with all that hangs on it."""
        return self.get_object()


def by_prefix(rows: QuerySet[Any], prefix: str, number: str) -> Any:
    """The row of the number PREFIX-<id>, if it is there."""
    key = queries.key_in(number, prefix)
    return None if key is None else queries.the_one(rows.filter(pk=key))


def etag(obj: Aggregate) -> str:
    """The record's number and revision, quoted."""
    return f'"{obj.number}.{obj.revision}"'


def option_as_json(option: queries.Option) -> dict[str, Any]:
    """A transition as `transitions/` lists it."""
    return {
        "name": option.transition.name,
        "label": option.transition.label,
        "source": option.transition.source,
        "target": option.target,
        "allowed": option.allowed,
        "blockers": [blocker.as_json() for blocker in option.blockers],
    }
