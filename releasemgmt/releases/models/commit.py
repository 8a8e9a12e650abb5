"""Commits: the history that releases are made of."""

from __future__ import annotations

from django.db import models

from releasemgmt.catalog.models import Product
from releasemgmt.releases.models.build import SHA


class Commit(models.Model):
    """One commit of a product's repository; `parents` are hashes, known here or not."""

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="commits")
    sha = models.CharField(max_length=64, validators=[SHA])
    parents = models.JSONField(default=list)
    authored_at = models.DateTimeField()
    committed_at = models.DateTimeField()
    author = models.CharField(max_length=320, blank=True)
    is_merge = models.BooleanField(default=False)
    is_bot = models.BooleanField(default=False)
    subject = models.CharField(max_length=500, blank=True)
    work_items = models.JSONField(default=list)
    #: The release that first contained it, once that is deployed or imported.
    first_release = models.ForeignKey(
        "releases.Release", on_delete=models.PROTECT, null=True, related_name="first_commits"
    )
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["product", "sha"], name="commit_once_in_a_product")]
        indexes = [models.Index(fields=["product", "first_release"], name="commit_unreleased")]

    def __str__(self) -> str:
        return f"{self.sha[:10]} {self.subject}"


class MissingCommit(models.Model):
    """A commit that a shipped release contains and that nobody has sent yet: once it comes, it is that release's."""

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="missing_commits")
    sha = models.CharField(max_length=64, validators=[SHA])
    release = models.ForeignKey("releases.Release", on_delete=models.CASCADE, related_name="missing_commits")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["product", "sha"], name="missing_commit_once_in_a_product")]

    def __str__(self) -> str:
        return f"{self.sha[:10]} of {self.release_id}"
