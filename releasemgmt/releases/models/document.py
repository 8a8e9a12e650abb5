"""Documents of a release: written by people, in Markdown."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from releasemgmt.catalog.models import DocumentKind
from releasemgmt.releases.models.release import Release


class Document(models.Model):
    """One document of a release; an empty body counts as missing."""

    Kind = DocumentKind

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="documents")
    kind = models.CharField(max_length=30, choices=Kind.choices)
    body = models.TextField(blank=True)
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["release", "kind"], name="document_once_in_a_release")]

    def __str__(self) -> str:
        return self.get_kind_display()
