"""What the measurement of votes needs: 100,000 changes, 1,000,000 events, 200 policies, and rounds that stay open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from approvals import policies, queries
from approvals.models import ApprovalPolicy, ApprovalRound, ChangeRequest
from releasemgmt.accounts.commands import create_token, create_user, grant_role, system
from releasemgmt.accounts.models import Scope, User
from releasemgmt.catalog.models import Product
from tests.bench.load import Request
from tests.bench.world import session_of

CHANGES, EVENTS, POLICIES, ROUNDS, MEMBERS, VOTERS = 100_000, 1_000_000, 200, 1_200, 30, 27
#: More than will ever vote, so that no round ends while votes are measured.
COUNT = VOTERS + 2


@dataclass(frozen=True)
class Voting:
    """The voters' tokens, and the rounds with their digests."""

    tokens: list[str]
    rounds: list[tuple[int, str]]
    session: str

    def requests(self, nth: int, clients: int) -> Any:
        """Votes, each client another voter in each measurement, so that nobody votes in a round twice."""
        first = nth if clients == 1 else 3 + nth * clients

        def votes(client: int) -> Iterator[Request]:
            voter = first + client
            headers = {"Authorization": f"Bearer {self.tokens[voter]}", "Content-Type": "application/json"}
            for round, digest in self.rounds[client::clients]:
                body = {"decision": "approve", "digest": digest}
                yield Request("POST", f"/api/v1/approvals/{round}/votes/", headers, body)

        return votes


def fill(manager: User, product: Product) -> Voting:
    """Write it all; what is only there to be in the way in bulk, people and tokens by commands."""
    now = timezone.now()
    engine, team = system(), product.team
    people = [create_user(username=f"member-{n}", actor=engine) for n in range(MEMBERS)]
    for person in people:
        grant_role(person, role="cab_member", team=team, actor=engine, now=now - timedelta(days=1))
    tokens = [
        create_token(
            person, name="bench", scopes=Scope.values, expires_at=now + timedelta(days=1), actor=person, now=now
        )
        for person in people[:VOTERS]
    ]
    stages = [{"step": 1, "role": "cab_member", "count": COUNT, "veto": False}]
    ApprovalPolicy.objects.bulk_create(
        ApprovalPolicy(key=f"policy-{n}", name=f"Policy {n}", state="accepted", bootstrap=True, stages=stages)
        for n in range(POLICIES)
    )
    _in_the_way(manager, product)
    rounds = [_round(change, stages, manager, now) for change in _changes(manager, product, ROUNDS, "authorization")]
    return Voting(
        [secret for _token, secret in tokens], [(each.pk, each.digest) for each in rounds], session_of(people[-1])
    )


def _changes(manager: User, product: Product, number: int, state: str) -> list[ChangeRequest]:
    return ChangeRequest.objects.bulk_create(
        ChangeRequest(
            product=product,
            title=f"Change {n}",
            state=state,
            created_by=manager,
            requested_by=manager,
            test_plan="Run it.",
        )
        for n in range(number)
    )


def _round(change: ChangeRequest, stages: Any, manager: User, now: datetime) -> ApprovalRound:
    content = queries.content(change)
    return ApprovalRound.objects.create(
        change=change,
        content=content,
        digest=policies.digest(content),
        policies=[],
        stages=stages,
        opened_by=manager,
        opened_at=now,
        due_at=now + timedelta(days=3),
        follow_up_at=now + timedelta(days=2),
    )


def _in_the_way(manager: User, product: Product) -> None:
    for _ in range(CHANGES // 10_000):
        _changes(manager, product, 10_000, "closed")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO workflow_event"
            " (stream, seq, at, actor_id, kind, source, target, data, request_id, prev_hash, hash)"
            " SELECT 'bench:' || (n %% 100000), n / 100000 + 1, now(), %s, 'bench', '', '', '{}', '', '', ''"
            " FROM generate_series(0, %s - 1) AS n",
            [manager.pk, EVENTS],
        )
        cursor.execute("VACUUM ANALYZE")
