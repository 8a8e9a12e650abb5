"""The floor: the least Django + DRF service that authenticates a token, validates, and writes a row and an audit row.

It is its own WSGI application with its own database, served exactly like the product. What it does in a request is what
nobody who uses Django and DRF can leave out, so the product is measured as a share of it.
"""

from __future__ import annotations

import os

import dj_database_url
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path

if not settings.configured:
    settings.configure(
        SECRET_KEY="floor",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        DATABASES={
            "default": {
                **dj_database_url.parse(os.environ["FLOOR_DATABASE_URL"]),
                "CONN_MAX_AGE": None,
                "CONN_HEALTH_CHECKS": True,
            }
        },
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "rest_framework",
            "rest_framework.authtoken",
        ],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()

from django.db import models, transaction
from rest_framework import permissions, serializers, views
from rest_framework.request import Request
from rest_framework.response import Response


class Row(models.Model):
    """What the floor creates."""

    product = models.CharField(max_length=40)
    version = models.CharField(max_length=100)
    title = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "floor"
        constraints = [models.UniqueConstraint(fields=["product", "version"], name="floor_row_once")]

    def __str__(self) -> str:
        return self.version


class Audit(models.Model):
    """What the floor remembers of it."""

    row = models.ForeignKey(Row, on_delete=models.PROTECT)
    actor = models.ForeignKey("auth.User", on_delete=models.PROTECT)
    at = models.DateTimeField(auto_now_add=True)
    data = models.JSONField()

    class Meta:
        app_label = "floor"

    def __str__(self) -> str:
        return str(self.pk)


class RowSerializer(serializers.ModelSerializer[Row]):
    """The floor's validation: a unique pair and two lengths."""

    class Meta:
        model = Row
        fields = ["id", "product", "version", "title", "created_at"]


class RowView(views.APIView):
    """POST one row."""

    permission_classes = [permissions.IsAuthenticated]

    def post(self, request: Request) -> Response:
        serializer = RowSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with transaction.atomic():
            row = serializer.save()
            Audit(row=row, actor_id=request.user.pk, data=request.data).save()
        return Response(serializer.data, status=201)


urlpatterns = [path("rows/", RowView.as_view())]
application = get_wsgi_application()
