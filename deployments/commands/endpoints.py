"""Endpoints of webhook tasks: whom the service calls is the administrators' to say, and so is the secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from deployments.executors.webhook import PURPOSE
from deployments.models import WebhookEndpoint
from deployments.policies import url_error
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.integrations.standard_webhooks import key_of
from releasemgmt.workflow.commands import command, lock, permit, record, validate
from releasemgmt.workflow.errors import Conflict, Invalid
from releasemgmt.workflow.sealing import seal


def create_endpoint(
    product: Product, *, key: str, url: str, secret: str, actor: User, time_limit_minutes: int = 60
) -> WebhookEndpoint:
    """A new endpoint of a product; its secret (`whsec_` and base64) is never told again."""
    with command():
        product = lock(product)
        permit(actor, product, roles.administrate_or_system, to="create endpoints")
        endpoint = WebhookEndpoint(
            product=product, key=key, url=url, sealed_secret=_sealed(secret), time_limit_minutes=time_limit_minutes
        )
        validate(endpoint)
        _check_url(url)
        if product.webhook_endpoints.filter(key=key).exists():
            raise Conflict(f"{product.key} has an endpoint {key} already.", code="exists")
        endpoint.save(force_insert=True)
        facts = {"endpoint": key, "url": url, "time_limit_minutes": time_limit_minutes}
        record(product, "deployments.endpoint.create", actor=actor, data=facts, revise=True)
        return endpoint


def edit_endpoint(endpoint: WebhookEndpoint, *, changes: Mapping[str, Any], actor: User) -> WebhookEndpoint:
    """Change where an endpoint is, how long it may take, or whether it is called at all; its key stays."""
    with command():
        product = lock(endpoint.product)
        permit(actor, product, roles.administrate_or_system, to="edit endpoints")
        endpoint = product.webhook_endpoints.get(pk=endpoint.pk)
        diff = {name: [old, new] for name, new in changes.items() if (old := getattr(endpoint, name)) != new}
        for name, value in changes.items():
            setattr(endpoint, name, value)
        validate(endpoint, changes)
        if "url" in diff:
            _check_url(endpoint.url)
        if diff:
            endpoint.save(update_fields=list(diff))
            facts = {"endpoint": endpoint.key, "changes": diff}
            record(product, "deployments.endpoint.edit", actor=actor, data=facts, revise=True)
        return endpoint


def renew_secret(endpoint: WebhookEndpoint, *, secret: str, actor: User) -> WebhookEndpoint:
    """Another secret: what is sent from now on is signed with it, and so must callbacks be."""
    with command():
        product = lock(endpoint.product)
        permit(actor, product, roles.administrate_or_system, to="renew secrets")
        endpoint = product.webhook_endpoints.get(pk=endpoint.pk)
        endpoint.sealed_secret = _sealed(secret)
        endpoint.save(update_fields=["sealed_secret"])
        record(product, "deployments.endpoint.renew_secret", actor=actor, data={"endpoint": endpoint.key}, revise=True)
        return endpoint


def _sealed(secret: str) -> str:
    try:
        key_of(secret)
    except ValueError as error:
        reason = "A secret is whsec_ and the base64 of 24 to 64 random bytes."
        raise Invalid({"secret": reason}) from error
    return seal(secret, purpose=PURPOSE)


def _check_url(url: str) -> None:
    if reason := url_error(url, networks=settings.WEBHOOK_NETWORKS):
        raise Invalid({"url": reason})
