"""The demo world: this project's own history as a product, and made-up people who walk its releases."""

from __future__ import annotations

from django.conf import settings
from django.db.models import QuerySet

from releasemgmt.accounts.models import User

#: The mail domain of the demo's people; RFC 2606 reserves it, so nobody has an address there.
DOMAIN = "demo.invalid"


def people() -> QuerySet[User]:
    """The people of the demo world, in the order in which the first minute needs them."""
    return User.objects.filter(kind=User.Kind.HUMAN, is_active=True, email__endswith=f"@{DOMAIN}").order_by("pk")


def is_demo() -> bool:
    """Whether this is the demo's database: an embedded one in which its people live."""
    return bool(settings.EMBEDDED) and people().exists()
