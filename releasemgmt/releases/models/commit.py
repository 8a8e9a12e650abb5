"""Commits: the history that releases are made of."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from releasemgmt.catalog.models import Product
from releasemgmt.releases.models.build import SHA

#: What figures of commits count; merges and bots are shown beside.
COUNTED = Q(is_merge=False, is_bot=False)
#: What figures of lead time count: a first release brings the work of years.
TIMED = COUNTED & Q(in_baseline=False, lead_seconds__isnull=False)
#: What the figure of discipline counts.
WITHOUT_ITEM = COUNTED & Q(work_items=[])
RELEASED = Q(
    first_release__isnull=False, released_at__isnull=False, lead_seconds__isnull=False, owned_since__isnull=False
)
UNRELEASED = Q(first_release=None, released_at=None, lead_seconds=None, owned_since=None, in_baseline=False)


class CommitQuerySet(models.QuerySet["Commit"]):
    """Commits, filtered in the domain's words; each filter is what an index holds."""

    def counted(self) -> CommitQuerySet:
        """Neither merges nor of bots."""
        return self.filter(COUNTED)

    def timed(self) -> CommitQuerySet:
        """Those whose lead time counts: counted, released, and not by the product's first release."""
        return self.filter(TIMED)

    def without_item(self) -> CommitQuerySet:
        """Counted ones that name no work item."""
        return self.filter(WITHOUT_ITEM)


class Commit(models.Model):
    """One commit of a product's repository; `parents` are hashes, known here or not.

    It belongs to the first release that contains it, once that has reached production or is imported as past.
    """

    product = models.ForeignKey(Product, on_delete=models.PROTECT, db_index=False, related_name="commits")
    sha = models.CharField(max_length=64, validators=[SHA])
    parents = models.JSONField(default=list)
    authored_at = models.DateTimeField()
    committed_at = models.DateTimeField()
    author = models.CharField(max_length=320, blank=True)
    is_merge = models.BooleanField(default=False)
    is_bot = models.BooleanField(default=False)
    subject = models.CharField(max_length=500, blank=True)
    work_items = models.JSONField(default=list)
    first_release = models.ForeignKey(
        "releases.Release", on_delete=models.PROTECT, null=True, db_index=False, related_name="first_commits"
    )
    #: When it reached production first; for an imported release the time of its tag.
    released_at = models.DateTimeField(null=True)
    #: From `committed_at` to `released_at`, rounded down; below 0 where a clock was wrong.
    lead_seconds = models.BigIntegerField(null=True)
    #: Its release is the first that is known of the product.
    in_baseline = models.BooleanField(default=False)
    recorded_at = models.DateTimeField(auto_now_add=True)
    #: When it became known that it belongs to this release; what was known before is in `FormerOwner`.
    owned_since = models.DateTimeField(null=True)

    objects = CommitQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["product", "sha"], name="commit_once_in_a_product"),
            models.CheckConstraint(condition=RELEASED | UNRELEASED, name="commit_released_at_a_time"),
        ]
        indexes = [
            models.Index(fields=["product", "first_release"], name="commit_unreleased"),
            models.Index(fields=["first_release", "authored_at"], name="commit_of_a_release"),
            models.Index(
                fields=[
                    "product",
                    "released_at",
                    "first_release",
                    "authored_at",
                    "is_merge",
                    "is_bot",
                    "in_baseline",
                ],
                name="commit_reached",
            ),
            models.Index(
                fields=["product", "released_at", "committed_at", "lead_seconds"],
                condition=TIMED,
                name="commit_delivered",
            ),
            models.Index(fields=["product", "committed_at", "author"], condition=COUNTED, name="commit_made"),
            models.Index(fields=["product", "committed_at"], condition=WITHOUT_ITEM, name="commit_without_item"),
            models.Index(fields=["product", "authored_at"], condition=COUNTED, name="commit_written"),
        ]

    def __str__(self) -> str:
        return f"{self.sha[:10]} {self.subject}"


class FormerOwner(models.Model):
    """What was known of a commit before a release came to light that had contained it earlier."""

    commit = models.ForeignKey(Commit, on_delete=models.CASCADE, related_name="former_owners")
    release = models.ForeignKey("releases.Release", on_delete=models.CASCADE, related_name="+")
    released_at = models.DateTimeField()
    lead_seconds = models.BigIntegerField()
    in_baseline = models.BooleanField(default=False)
    owned_since = models.DateTimeField()
    owned_until = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(owned_since__lte=F("owned_until")), name="owned_since_before_until")
        ]

    def __str__(self) -> str:
        return f"{self.commit_id} of {self.release_id}"


class MissingCommit(models.Model):
    """A commit that a shipped release contains and that nobody has sent yet: once it comes, it is that release's."""

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="missing_commits")
    sha = models.CharField(max_length=64, validators=[SHA])
    release = models.ForeignKey("releases.Release", on_delete=models.CASCADE, related_name="missing_commits")
    #: When the release reached production with it.
    released_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["product", "sha"], name="missing_commit_once_in_a_product")]

    def __str__(self) -> str:
        return f"{self.sha[:10]} of {self.release_id}"
