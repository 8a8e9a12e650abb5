"""The pages of endpoints: made and renewed with a secret that is shown once, read with what became of the calls."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from deployments.commands import call_webhooks
from deployments.models import DeploymentPlan, WebhookEndpoint
from releasemgmt.workflow.models import Event
from releasemgmt.workflow.sealing import unseal
from tests.deployments.conftest import shop as shop
from tests.deployments.receiver import Receiver
from tests.deployments.test_calls import endpoint as endpoint
from tests.deployments.test_calls import plan as plan
from tests.deployments.test_calls import receiver as receiver
from tests.deployments.world import Shop, at
from tests.factories import someone

LIST, ADD = "/admin/deployments/webhookendpoint/", "/admin/deployments/webhookendpoint/add/"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{44}")


@pytest.fixture
def desk(client: Client, shop: Shop) -> Client:
    client.force_login(someone("administrator", team=shop.product.team))
    return client


def test_a_secret_is_shown_once(desk: Client, shop: Shop) -> None:
    made = desk.post(
        ADD, {"product": shop.product.pk, "key": "swap", "url": "https://a.test/", "time_limit_minutes": 9}
    )
    endpoint = WebhookEndpoint.objects.get()
    page = reverse("admin:deployments_webhookendpoint_change", args=[endpoint.pk])
    renewed = desk.post(f"{page}secret/")
    first, second = (SECRET.findall(answer.content.decode()) for answer in (made, renewed))
    assert len(first) == len(second) == 1 and first != second
    assert "no-store" in made["Cache-Control"] and "no-store" in renewed["Cache-Control"]
    endpoint.refresh_from_db()
    assert unseal(endpoint.sealed_secret, purpose="webhook_endpoint") == second[0]
    seen = [desk.get(each).content.decode() for each in (LIST, page, f"{page}edit/", f"{page}secret/")]
    told = "".join(seen) + str(list(Event.objects.values_list("data", flat=True)))
    assert "swap" in told and first[0] not in told and second[0] not in told


def test_a_refused_form_says_why_and_makes_nothing(desk: Client, shop: Shop) -> None:
    fields = {"product": shop.product.pk, "key": "swap", "url": "http://a.test/", "time_limit_minutes": 9}
    answer = desk.post(ADD, fields)
    assert (answer.status_code, WebhookEndpoint.objects.count()) == (400, 0)
    assert "https://" in str(answer.context["form"].errors["url"]) and not SECRET.search(answer.content.decode())


def test_the_plan_and_the_endpoint_show_the_call(
    desk: Client, plan: DeploymentPlan, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    receiver.statuses = [503]
    pages = [reverse(f"admin:deployments_{each._meta.model_name}_change", args=[each.pk]) for each in (plan, endpoint)]
    for minutes, said in ((60, "Called 1 time, again at"), (61, "Accepted at")):
        call_webhooks(now=at(minutes))
        assert [said in desk.get(page).content.decode() for page in pages] == [True, True]
    receiver.call_back(receiver.got[1])
    assert all("Succeeded" in desk.get(page).content.decode() for page in pages)


def test_a_line_of_a_plan_hands_a_task_to_an_endpoint(client: Client, shop: Shop, endpoint: Any) -> None:
    client.force_login(shop.manager)
    times = {"planned_start": "2030-03-01T10:00", "latest_start": "2030-03-01T11:00"}
    lines = {"tasks": "Look -> inside\nSwap -> deployer", "backout_tasks": "Back -> deployer"}
    place = {"release": shop.release("1.0").pk, "environment": shop.test.pk}
    add = reverse("admin:deployments_deploymentplan_add")
    refused = client.post(add, {**place, **times, **lines})
    assert (refused.status_code, DeploymentPlan.objects.count()) == (400, 0)
    assert "no active endpoint inside" in refused.content.decode()
    client.post(add, {**place, **times, **lines, "tasks": "Look\nSwap -> deployer"})
    plan = DeploymentPlan.objects.get()
    assert [str(task.endpoint) for task in plan.tasks.order_by("is_backout", "position")] == [
        "None",
        "deployer",
        "deployer",
    ]
    edit = reverse("admin:deployments_deploymentplan_edit", args=[plan.pk])
    initial = client.get(edit).context["form"].initial
    assert (initial["tasks"], initial["backout_tasks"]) == ("Look\nSwap -> deployer", "Back -> deployer")
