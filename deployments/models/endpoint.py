"""Endpoints: which address does a product's webhook tasks, and the secret that both sides sign with."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import KEY, Product

#: A week.
LONGEST_MINUTES = 7 * 24 * 60


class EndpointQuerySet(models.QuerySet["WebhookEndpoint"]):
    """Endpoints, filtered in the domain's words."""

    def visible_to(self, user: User) -> EndpointQuerySet:
        """Those of the products of the user's teams."""
        return roles.visible_to(user, self, team="product__team")

    def active(self) -> EndpointQuerySet:
        """Those that are called."""
        return self.filter(is_active=True)


class WebhookEndpoint(models.Model):
    """An address that is called to do tasks of a product's plans; its stream is the product's.

    The secret is kept encrypted (workflow.sealing): signing needs it in plain.
    """

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="webhook_endpoints")
    key = models.CharField(max_length=40, validators=[KEY])
    url = models.CharField(max_length=500)
    sealed_secret = models.TextField(editable=False)
    #: How long it may take from the accepted call to the callback.
    time_limit_minutes = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(1), MaxValueValidator(LONGEST_MINUTES)]
    )
    is_active = models.BooleanField(default=True)

    objects = EndpointQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["product", "key"], name="endpoint_once_in_a_product"),
            models.CheckConstraint(condition=~Q(sealed_secret=""), name="endpoint_has_a_secret"),
            models.CheckConstraint(
                condition=Q(time_limit_minutes__range=(1, LONGEST_MINUTES)), name="endpoint_has_a_time_limit"
            ),
        ]
        ordering = ["product", "key"]

    def __str__(self) -> str:
        return self.key
