"""How the admin looks: its name, colours and links, for the theme's settings."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

from releasemgmt.portal.navigation import NAVIGATION

#: A blue that keeps a contrast of 4.5:1 with white from 600 on, and with the dark page up to 400.
PRIMARY = {
    "50": "oklch(97% .014 255)",
    "100": "oklch(93% .033 256)",
    "200": "oklch(88% .06 256)",
    "300": "oklch(81% .1 257)",
    "400": "oklch(72% .145 258)",
    "500": "oklch(62% .18 260)",
    "600": "oklch(52% .19 262)",
    "700": "oklch(46% .18 263)",
    "800": "oklch(40% .15 264)",
    "900": "oklch(35% .12 265)",
    "950": "oklch(27% .09 266)",
}


def zone(request: HttpRequest) -> list[str]:
    """What the header says of a page: the zone of its times. Figures have that of their product, and say so."""
    user, page = request.user, request.resolver_match
    if not user.is_authenticated or (page and page.url_name in ("figures", "figure")):
        return []
    return [f"Times in {user.time_zone}", ""]


THEME: dict[str, Any] = {
    "SITE_TITLE": "Release management",
    "SITE_HEADER": "Release management",
    "SITE_SYMBOL": "rocket_launch",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("portal/icon.svg")}],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT": "releasemgmt.portal.theme.zone",
    "COLORS": {"primary": PRIMARY},
    "STYLES": [lambda _request: static("portal/portal.css")],
    "SCRIPTS": [lambda _request: static("portal/landmarks.js")],
    "SIDEBAR": {"navigation": NAVIGATION},
    "ACCOUNT": {
        "navigation": [
            {"title": "My page", "link": reverse_lazy("admin:accounts_user_me")},
            {"title": "Who votes for me", "link": reverse_lazy("admin:approvals_delegation_changelist")},
            {"title": "Change password", "link": reverse_lazy("account_change_password")},
        ]
    },
}
