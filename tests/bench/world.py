"""The filled database that the bench runs on: 100,000 releases of 20 products, and the people and tokens that ask."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.utils import timezone

from releasemgmt.accounts.commands import create_token, create_user, grant_role, system
from releasemgmt.accounts.models import Scope, Team, User
from releasemgmt.catalog.models import Component, Environment, Product, ReleaseModel, Tier
from releasemgmt.releases.models import Build, Commit, Document, Release, ReleaseCommit

PRODUCTS, RELEASES, WALKERS = 20, 100_000, 400


@dataclass(frozen=True)
class World:
    """What the measurements need to know of the filled database."""

    token: str
    session: str
    manager: User
    page: Release
    walkers: list[str]


def fill() -> World:
    """Write it all; leaf rows in bulk, people and tokens by commands."""
    now = timezone.now()
    engine = system()
    team = Team.objects.create(key="bench", name="Bench")
    manager = create_user(username="manager", password="bench-bench-bench", actor=engine)
    grant_role(manager, role="release_manager", team=team, actor=engine, now=now)
    _token, secret = create_token(
        manager, name="bench", scopes=Scope.values, expires_at=now + timedelta(days=1), actor=engine, now=now
    )
    environments = [
        Environment.objects.create(key=tier, name=tier.title(), tier=tier, rank=10 * n)
        for n, tier in enumerate(Tier.values, start=1)
    ]
    model = ReleaseModel.objects.get(key="normal")
    products = [
        Product.objects.create(key=f"product-{n}", name=f"Product {n}", team=team, default_model=model)
        for n in range(PRODUCTS)
    ]
    for product in products:
        product.environments.set(environments)
        Component.objects.create(product=product, key="app", name="App")
    _releases(products, model, manager)
    walkers = _walkers(products[0], model, manager)
    page = _page(products[0], model, manager)
    return World(secret, session_of(manager), manager, page, walkers)


def _releases(products: list[Product], model: ReleaseModel, manager: User) -> None:
    states = list(Release.State.values)
    draw = random.Random(1)
    for begin in range(0, RELEASES, 5_000):
        Release.objects.bulk_create(
            Release(
                product=draw.choice(products),
                version=f"1.{n}",
                title=f"Release {n}",
                model=model,
                created_by=manager,
                state=draw.choice(states),
            )
            for n in range(begin, begin + 5_000)
        )
    with connection.cursor() as cursor:
        cursor.execute("UPDATE releases_release SET created_at = now() - id * interval '1 minute'")
        cursor.execute("VACUUM ANALYZE")


def _walkers(product: Product, model: ReleaseModel, manager: User) -> list[str]:
    """Releases with a build, which the transition measurement sends back and forth."""
    build = _build(product)
    walkers = Release.objects.bulk_create(
        Release(product=product, version=f"walker-{n}", model=model, created_by=manager) for n in range(WALKERS)
    )
    component = build.component_id
    Release.components.through.objects.bulk_create(
        Release.components.through(release_id=release.pk, component_id=component) for release in walkers
    )
    Release.builds.through.objects.bulk_create(
        Release.builds.through(release_id=release.pk, build_id=build.pk) for release in walkers
    )
    return [release.number for release in walkers]


def _page(product: Product, model: ReleaseModel, manager: User) -> Release:
    """A full release, for the page that people look at: documents and 200 commits."""
    release = Release.objects.create(product=product, version="page", title="A page", model=model, created_by=manager)
    Document.objects.bulk_create(
        Document(release=release, kind=kind, body="Text. " * 50, updated_by=manager) for kind in Document.Kind.values
    )
    now = timezone.now()
    commits = Commit.objects.bulk_create(
        Commit(
            product=product,
            sha=sha256(str(n).encode()).hexdigest()[:40],
            authored_at=now,
            committed_at=now,
            author="somebody@example.org",
            subject=f"SHOP-{n} Do the thing that was asked for",
        )
        for n in range(200)
    )
    ReleaseCommit.objects.bulk_create(ReleaseCommit(release=release, commit=commit) for commit in commits)
    return release


def _build(product: Product) -> Build:
    return Build.objects.create(
        product=product,
        component=product.components.get(),
        commit_sha="a" * 40,
        digest="sha256:" + "a" * 64,
        artifact_uri="oci://registry.example.org/app@1",
        built_at=timezone.now(),
    )


def session_of(user: User) -> str:
    session = SessionStore()
    session["_auth_user_id"] = str(user.pk)
    session["_auth_user_backend"] = "allauth.account.auth_backends.AuthenticationBackend"
    session["_auth_user_hash"] = user.get_session_auth_hash()
    session.save()
    return str(session.session_key)
