"""How many SQL statements a request runs, counted in this process on the filled database."""

from __future__ import annotations

import re
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.bench.voting import Voting
from tests.bench.world import World

NOT_COUNTED = re.compile(r"^(BEGIN|COMMIT|SAVEPOINT|RELEASE SAVEPOINT|ROLLBACK)|web_idempot", re.IGNORECASE)


def count(place: World, votes: Voting) -> dict[str, int]:
    """Statements a request; the page's size in KB of HTML beside them."""
    api = Client(headers={"Authorization": f"Bearer {place.token}"})
    admin = Client()
    admin.cookies["sessionid"] = place.session
    home = Client()
    home.cookies["sessionid"] = votes.session
    voter = Client(headers={"Authorization": f"Bearer {votes.tokens[-1]}"})
    round, digest = votes.rounds[-1]
    ballot = {"decision": "approve", "digest": digest}
    walker = f"/api/v1/releases/{place.walkers[0]}/transitions"
    page = f"/admin/releases/release/{place.page.pk}/change/"
    bodies: dict[str, tuple[Any, str, dict[str, Any] | None]] = {
        "create (goal: 10)": (api, "/api/v1/releases/", {"product": "product-0", "version": "counted"}),
        "transition build and its gates": (api, f"{walker}/build/", {}),
        "transition rework and its gates": (api, f"{walker}/rework/", {"reason": "bench"}),
        "filtered list of 25 (goal: 4)": (api, "/api/v1/releases/?state=planned&page_size=25", None),
        "release page in the admin (goal: 20)": (admin, page, None),
        "home page (goal: 12)": (home, "/admin/", None),
        "vote and its digest (goal: 12 + 6)": (voter, f"/api/v1/approvals/{round}/votes/", ballot),
    }
    counts = {}
    for name, (client, path, body) in bodies.items():
        with CaptureQueriesContext(connection) as captured:
            answer = client.get(path) if body is None else client.post(path, body, content_type="application/json")
        if answer.status_code >= 400:
            raise RuntimeError(f"{name}: {answer.status_code} {answer.content[:500]!r}")
        counts[name] = sum(1 for query in captured if not NOT_COUNTED.search(query["sql"]))
    counts["release page in the admin, KB of HTML (goal: 60)"] = len(admin.get(page).content) // 1024
    return counts
