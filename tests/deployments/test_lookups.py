"""Artifacts are looked up where they are kept: read and hashed again, under a lease and in no transaction."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from deployments import tasks
from deployments.commands import ask_for, ask_to_look_up, create_plan, look_up_artifacts, lookups
from deployments.commands.lookups import CHANGED, LEASE
from deployments.executors import artifacts, outward
from deployments.models import ArtifactLookup, DeploymentPlan, Verification
from deployments.policies import kept as where_kept
from deployments.queries import Check, checklist
from releasemgmt.accounts.commands import revoke_role, system
from releasemgmt.releases.commands import register_build, set_builds
from releasemgmt.releases.models import Build
from releasemgmt.workflow.errors import Invalid, NotPermitted, WrongState
from releasemgmt.workflow.models import Event
from tests.conftest import NOW
from tests.deployments.kept import Kept
from tests.deployments.test_api import PLANS, Caller
from tests.deployments.test_endpoints import Names, certificate
from tests.deployments.world import BACK, HOUR, TASKS, Shop, at, kinds, picture, refused
from tests.factories import someone

MANIFEST = b'{"schemaVersion": 2, "layers": []}'
FILE = b"what was built" * 100_000


@pytest.fixture
def kept(settings: Any) -> Iterator[Kept]:
    settings.ARTIFACT_NETWORKS = [ip_network("127.0.0.0/8")]
    with Kept().open() as opened:
        yield opened


def build(shop: Shop, component: str, uri: str, digest: str) -> Build:
    made, _new = register_build(
        product=shop.product,
        component=shop.product.components.get(key=component),
        commit_sha="a" * 40,
        digest=digest,
        artifact_uri=uri,
        built_at=NOW,
        actor=shop.ci,
        now=NOW,
    )
    return made


def planned(shop: Shop, *builds: Build) -> DeploymentPlan:
    """A draft whose product asks for its artifacts."""
    ask_for(shop.product, tier="production", items=[("artifacts", "")], actor=someone("administrator"))
    return shop.plan(shop.release("1.0", to="integration_tested", builds=builds))


@pytest.fixture
def plan(shop: Shop, kept: Kept) -> DeploymentPlan:
    """Of an image in a registry and a file, both there as they were built."""
    image = build(shop, "api", f"oci://{kept.host}/shop/api:1.0", kept.keep("/v2/shop/api/manifests/1.0", MANIFEST))
    file = build(shop, "web", f"http://{kept.host}/web-1.0.tar?all=1", kept.keep("/web-1.0.tar?all=1", FILE))
    return planned(shop, image, file)


def item(plan: DeploymentPlan) -> Check:
    (check,) = checklist(plan)
    return check


def looked_up(shop: Shop, plan: DeploymentPlan) -> ArtifactLookup:
    ask_to_look_up(plan, actor=shop.deployer, now=at(1))
    assert look_up_artifacts(now=at(2)) == 1
    return ArtifactLookup.objects.latest("pk")


def test_what_is_there_as_it_was_built_is_verified_by_the_service(shop: Shop, plan: DeploymentPlan, kept: Kept) -> None:
    lookup = looked_up(shop, plan)
    said = Verification.objects.get()
    assert (item(plan).state, lookup.verification, lookup.problems) == ("verified", said, [])
    assert (said.by, said.at, said.holds) == (system(), at(2), True)
    assert said.digests == dict(plan.release.builds.values_list("component__key", "digest"))
    assert f"http://{kept.host}/v2/shop/api/manifests/1.0" in said.evidence and "web-1.0.tar" in said.evidence
    assert kinds(plan) == ["verify", "look_up", "create"]
    event = Event.objects.get(kind="deployments.preparation.verify")
    assert (event.actor, event.on_behalf_of) == (system(), shop.deployer)
    assert look_up_artifacts(now=at(3)) == 0


def test_another_digest_is_on_record_and_nothing_holds(shop: Shop, plan: DeploymentPlan, kept: Kept) -> None:
    kept.keep("/v2/shop/api/manifests/1.0", MANIFEST + b" ")
    looked_up(shop, plan)
    check = item(plan)
    assert check.state == "refuted" and "of api another digest was found" in check.reason
    told = Event.objects.get(kind="deployments.preparation.refute").data
    assert [each["component"] for each in told["differing"]] == ["api"]


@pytest.mark.parametrize(
    ("trouble", "problem"),
    [
        ({"there": {}}, "it answered 404"),
        ({"packed": True}, "it answered with packed bytes"),
        ({"moved": {"/web-1.0.tar?all=1": "/web-1.0.tar?all=1"}}, "it leads from one address to another without end"),
        ({"moved": {"/web-1.0.tar?all=1": "file:///etc/passwd"}}, "it leads to an address that is none"),
        ({"moved": {"/web-1.0.tar?all=1": "http://192.0.2.1/"}}, "its address is not public, nor in ARTIFACT_NETWORKS"),
    ],
)
def test_what_can_not_be_read_says_why_and_verifies_nothing(
    shop: Shop, plan: DeploymentPlan, kept: Kept, trouble: dict[str, Any], problem: str
) -> None:
    vars(kept).update(trouble)
    lookup = looked_up(shop, plan)
    assert problem in lookup.problems[-1] and lookup.problems[-1].startswith("web: ")
    assert (item(plan).state, Verification.objects.exists(), lookup.ended_at) == ("missing", False, at(2))
    event = Event.objects.get(kind="deployments.preparation.unread")
    assert problem in event.data["reason"] and event.on_behalf_of == shop.deployer


def test_no_more_is_read_than_may_be(shop: Shop, plan: DeploymentPlan, monkeypatch: Any) -> None:
    monkeypatch.setattr(artifacts, "FILE", 2**20)
    assert ["it is larger than 1 MiB" in problem for problem in looked_up(shop, plan).problems] == [True]


def test_whoever_keeps_us_waiting_is_left(shop: Shop, plan: DeploymentPlan, kept: Kept, monkeypatch: Any) -> None:
    monkeypatch.setattr(artifacts, "WHOLE", 0.3)
    kept.hangs = threading.Event()
    lookup = looked_up(shop, plan)
    kept.hangs.set()
    assert [problem.split(" (")[0] for problem in lookup.problems] == [
        "api: no answer within 0 seconds",
        "web: no answer within 0 seconds",
    ]


def test_a_redirect_is_followed(shop: Shop, plan: DeploymentPlan, kept: Kept) -> None:
    kept.there["/store/7"] = kept.there.pop("/web-1.0.tar?all=1")
    kept.moved["/web-1.0.tar?all=1"] = "/store/7"
    looked_up(shop, plan)
    assert item(plan).state == "verified"


def test_a_registry_gives_everybody_a_token(shop: Shop, plan: DeploymentPlan, kept: Kept) -> None:
    kept.token = "for-all"
    looked_up(shop, plan)
    assert item(plan).state == "verified"
    sent = dict(kept.asked)
    assert sent["/token?service=kept&scope=repository%3Aapp%3Apull"] == sent["/web-1.0.tar?all=1"] == ""
    assert sent["/v2/shop/api/manifests/1.0"] == "Bearer for-all"


def test_a_registry_that_asks_who_we_are_is_not_read(shop: Shop, plan: DeploymentPlan, kept: Kept) -> None:
    kept.challenge = 'Basic realm="kept"'
    assert "it asks who we are" in looked_up(shop, plan).problems[0]


def test_a_registry_elsewhere_is_asked_by_https(shop: Shop, kept: Kept, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(["127.0.0.1"]))
    pem = certificate(tmp_path / "server.pem", name="registry.example.org")
    monkeypatch.setattr(outward, "_trust", lambda: ssl.create_default_context(cafile=pem))
    with Kept().open(certificate=pem) as secured:
        digest = secured.keep("/unused", MANIFEST)
        secured.keep(f"/v2/shop/api/manifests/{digest}", MANIFEST)
        plan = planned(shop, build(shop, "api", f"registry.example.org:{secured.port}/shop/api", digest))
        looked_up(shop, plan)
    assert item(plan).state == "verified"


def test_inside_nothing_is_reached(shop: Shop, plan: DeploymentPlan, kept: Kept, settings: Any) -> None:
    settings.ARTIFACT_NETWORKS = []
    api, web = looked_up(shop, plan).problems
    assert "its address is not public, nor in ARTIFACT_NETWORKS" in api
    assert "its address names neither a file nor an image" in web
    assert kept.asked == []


# --- one lookup at a time, by one looker ---


def test_asked_twice_it_is_one_lookup(shop: Shop, plan: DeploymentPlan, kept: Kept) -> None:
    first = ask_to_look_up(plan, actor=shop.deployer, now=at(1))
    assert ask_to_look_up(plan, actor=shop.ci, now=at(2)) == first
    assert kinds(plan).count("look_up") == 1
    look_up_artifacts(now=at(3))
    assert ask_to_look_up(plan, actor=shop.ci, now=at(4)) != first


def test_who_sleeps_through_the_lease_says_nothing(shop: Shop, plan: DeploymentPlan) -> None:
    ask_to_look_up(plan, actor=shop.deployer, now=at(0))
    (asleep,) = lookups._claim(at(1))
    assert look_up_artifacts(now=at(1) + LEASE / 2) == 0
    assert look_up_artifacts(now=at(1) + LEASE) == 1
    before = picture(plan)
    lookups._settle(asleep, lookups._artifacts_of(plan), [], at(3))
    assert (picture(plan), Verification.objects.count()) == (before, 1)


def test_a_tick_ends_before_its_lease() -> None:
    limit = tasks.look_up_artifacts.time_limit
    assert limit and artifacts.WHOLE < limit < LEASE.total_seconds()


@pytest.mark.django_db(transaction=True)
def test_nothing_is_locked_while_it_reads(shop: Shop, plan: DeploymentPlan, kept: Kept, monkeypatch: Any) -> None:
    """Meanwhile somebody else changes the plan's release: what was looked up is not what it brings any more."""
    ask_to_look_up(plan, actor=shop.deployer, now=at(1))
    other, read = shop.build("api", "other"), artifacts.look_up

    def meanwhile(wanted: Any) -> Any:
        assert not connection.in_atomic_block
        found = read(wanted)
        web = plan.release.builds.get(component__key="web")
        set_builds(plan.release, builds=[other, web], actor=shop.ci, now=at(2))
        return found

    monkeypatch.setattr(artifacts, "look_up", meanwhile)
    look_up_artifacts(now=at(3))
    assert ArtifactLookup.objects.get().problems == [CHANGED]
    assert (item(plan).state, Verification.objects.exists()) == ("missing", False)


def test_who_lost_the_role_meanwhile_verifies_nothing(shop: Shop, plan: DeploymentPlan) -> None:
    ask_to_look_up(plan, actor=shop.deployer, now=at(1))
    revoke_role(shop.deployer.role_assignments.get(), actor=system())
    look_up_artifacts(now=at(3))
    assert "You may not verify" in ArtifactLookup.objects.get().problems[0]
    assert not Verification.objects.exists()


def test_a_lookup_that_nobody_needs_is_refused(shop: Shop, plan: DeploymentPlan) -> None:
    with refused(NotPermitted, plan):
        ask_to_look_up(plan, actor=shop.author, now=NOW)
    ask_for(shop.product, tier="production", items=[("compliance", "")], actor=someone("administrator"))
    with refused(Invalid, plan):
        ask_to_look_up(plan, actor=shop.deployer, now=NOW)
    bare = create_plan(
        release=shop.release("2.0", to="planned", builds=[]), environment=shop.test, planned_start=NOW + HOUR,
        latest_start=NOW + 2 * HOUR, tasks=TASKS, backout_tasks=BACK, actor=shop.manager, now=NOW,
    )  # fmt: skip
    ask_for(shop.product, tier="test", items=[("artifacts", "")], actor=someone("administrator"))
    with refused(Invalid, bare):
        ask_to_look_up(bare, actor=shop.deployer, now=NOW)
    ask_for(shop.product, tier="test", items=[], actor=someone("administrator"))
    running = shop.started(shop.release("3.0"), shop.test)
    with refused(WrongState, running):
        ask_to_look_up(running, actor=shop.deployer, now=NOW)


# --- faces ---


def test_over_rest_it_is_asked_for_and_read(shop: Shop, plan: DeploymentPlan) -> None:
    here, ci = f"{PLANS}{plan}/preparation/lookup/", Caller(shop.ci)
    ci.get(here, expect=404)
    asked = ci.post(here, expect=202)
    assert (asked["asked_by"], asked["ended_at"], asked["found"]) == ("ci", None, [])
    ci.post(here, {"hurry": True}, expect=400)
    Caller(shop.author).post(here, expect=403)
    look_up_artifacts(now=at(2))
    read = ci.get(here)
    assert (read["verified"], read["problems"], [each["component"] for each in read["found"]]) == (
        True,
        [],
        ["api", "web"],
    )
    (check,) = ci.get(f"{PLANS}{plan}/preparation/")
    assert (check["state"], check["by"]) == ("verified", "system")


SAME = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("oci://ghcr.io/acme/shop:1.0", "https://ghcr.io/v2/acme/shop/manifests/1.0"),
        (f"ghcr.io/acme/shop:1.0@{SAME}", f"https://ghcr.io/v2/acme/shop/manifests/{SAME}"),
        ("ghcr.io/acme/shop", "https://ghcr.io/v2/acme/shop/manifests/sha256:built"),
        ("oci://registry/shop", "https://registry/v2/shop/manifests/sha256:built"),
        ("docker.io/library/nginx:1", "https://registry-1.docker.io/v2/library/nginx/manifests/1"),
        ("localhost:5000/shop:1", "http://localhost:5000/v2/shop/manifests/1"),
        ("https://files.example.org/shop-1.0.tar.gz", "https://files.example.org/shop-1.0.tar.gz"),
        ("http://files.example.org/shop-1.0.tar.gz", None),
        ("https://user:secret@files.example.org/shop", None),
        ("registry/shop", None),
        ("oci://ghcr.io/../shop", None),
        ("oci://user@ghcr.io/shop", None),
        ("file:shop.tar", None),
        ("archive:shop", None),
        ("", None),
    ],
)
def test_where_an_address_says_it_is_kept(uri: str, url: str | None) -> None:
    found = where_kept(uri, digest="sha256:built", networks=[])
    assert (found and found.url) == url
