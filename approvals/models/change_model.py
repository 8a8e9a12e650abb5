"""Change models: how a standard change is carried out, approved once for all that follow it."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import KEY, Product
from releasemgmt.workflow.models import Aggregate

#: What a change made from a model takes over where it says nothing of its own.
TEMPLATE = ("impact", "implementation_plan", "test_plan", "backout_plan")


class ChangeModelQuerySet(models.QuerySet["ChangeModel"]):
    """Change models, filtered in the domain's words."""

    def visible_to(self, user: User) -> ChangeModelQuerySet:
        """Those of the user's teams, and those for every product."""
        teams = user.visible_team_ids()
        return self if teams is None else self.filter(models.Q(product=None) | models.Q(product__team__in=teams))

    def newest(self) -> ChangeModelQuerySet:
        """Of each key the last version."""
        later = ChangeModel.objects.filter(key=models.OuterRef("key"), version__gt=models.OuterRef("version"))
        return self.filter(~models.Exists(later))


class ChangeModel(Aggregate):
    """A recipe for standard changes (ITIL 4); versioned, and a change pins the version that it follows.

    `tiers` and `components` are the keys of what such a change may touch, empty for everything. Its pre-approval is a
    round with the model as its subject, good for `pre_approval_days` and as long as at least `success_floor` percent
    of its latest changes succeed.
    """

    locked_with = ("product",)

    key = models.CharField(max_length=40, validators=[KEY])
    version = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=100)
    #: Whose changes may follow it; nothing for those of every product.
    product = models.ForeignKey(Product, on_delete=models.PROTECT, null=True, blank=True, related_name="change_models")
    tiers = models.JSONField(default=list, blank=True)
    components = models.JSONField(default=list, blank=True)
    impact = models.TextField(blank=True)
    implementation_plan = models.TextField()
    test_plan = models.TextField(blank=True)
    backout_plan = models.TextField()
    pre_approval_days = models.PositiveSmallIntegerField(
        default=180, validators=[MinValueValidator(1), MaxValueValidator(366)]
    )
    success_floor = models.PositiveSmallIntegerField(
        default=90, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )

    objects = ChangeModelQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "version"], name="change_model_version_once")]
        ordering = ["key", "-version"]

    def __str__(self) -> str:
        return f"{self.name} (version {self.version})"

    @property
    def number(self) -> str:
        return f"{self.key}@{self.version}"

    @property
    def owning_team_id(self) -> int | None:
        return self.product.team_id if self.product else None
