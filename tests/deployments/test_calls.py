"""Webhook tasks: called once a turn, however often and by whomever the tick is run; ended by a signed callback."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.utils import timezone
from standardwebhooks import Webhook

from deployments import tasks
from deployments.commands import (
    TaskDraft,
    agree_to_resume,
    back_out,
    call_webhooks,
    calls,
    create_endpoint,
    edit_endpoint,
    fail,
    fail_task,
    finish_plans,
    finish_task,
    reschedule,
    retry_task,
    start,
    start_due_plans,
    stop_line,
)
from deployments.commands.calls import BACK_OFF, LEASE, SENDS
from deployments.executors import webhook
from deployments.models import DeploymentPlan, WebhookCall, WebhookEndpoint
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.models import Event
from tests.deployments.receiver import SECRET, Receiver, post_signed
from tests.deployments.world import HOUR, Shop, at, kinds, picture, task
from tests.factories import someone
from tests.web.world import problem

SWAP, LOOK = "Swap the image", "Look at the graphs"
DRAFTS = (TaskDraft(SWAP, kind="webhook", endpoint="deployer"), TaskDraft(LOOK, depends_on=(0,)))


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_NETWORKS = [ip_network("127.0.0.0/8")]
    with Receiver().open() as opened:
        yield opened


@pytest.fixture
def endpoint(shop: Shop, receiver: Receiver) -> WebhookEndpoint:
    administrator = someone("administrator", team=shop.product.team)
    return create_endpoint(
        shop.product, key="deployer", url=receiver.url, secret=SECRET, time_limit_minutes=30, actor=administrator
    )


@pytest.fixture
def plan(shop: Shop, endpoint: WebhookEndpoint) -> DeploymentPlan:
    """In progress since an hour after NOW; its first task is done by the endpoint."""
    return shop.started(shop.release("1.0"), tasks=DRAFTS)


def call_of(plan: DeploymentPlan) -> WebhookCall:
    """The last one."""
    return WebhookCall.objects.filter(task__plan=plan).latest("fencing_token")


def fresh(plan: DeploymentPlan) -> DeploymentPlan:
    return DeploymentPlan.objects.get(pk=plan.pk)


def test_a_call_is_signed_and_says_what_is_to_be_done(
    plan: DeploymentPlan, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    now = timezone.now()
    assert call_webhooks(now=now) == 1
    (got,) = receiver.got
    said = Webhook(SECRET).verify(got.body, got.headers)
    call, swap = call_of(plan), task(plan, SWAP)
    builds = [{"component": "api"}, {"component": "web"}]
    assert said["type"] == "deployment.task"
    assert [{"component": each["component"]} for each in said["data"].pop("builds")] == builds
    assert said["data"] == {
        "plan": plan.number,
        "task": swap.pk,
        "title": SWAP,
        "purpose": "deploy",
        "attempt": 1,
        "is_backout": False,
        "fencing_token": 1,
        "release": plan.release.number,
        "product": "shop",
        "version": "1.0",
        "environment": "production",
        "callback_url": f"http://127.0.0.1/api/v1/webhook-endpoints/{endpoint.pk}/callbacks/",
        "time_limit_minutes": 30,
    }
    assert (got.path, got.headers["webhook-id"]) == ("/hooks/shop", call.message_id)
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert (call.state, call.accepted_at, call.due_at, call.sends) == ("accepted", now, now + HOUR / 2, 1)
    assert (swap.state, kinds(plan)[0]) == ("in_progress", "accept")


def test_each_turn_is_called_once_however_often_the_ticks_run(shop: Shop, endpoint: Any, receiver: Receiver) -> None:
    """In any order, one to five times each; the callback comes twice."""
    plan = shop.scheduled(shop.release("1.0"), tasks=DRAFTS[:1], autostart=True)
    ticks = [tick for tick in (start_due_plans, lambda now: call_webhooks(now=now), finish_plans) for _ in range(5)]
    for seconds in range(3):
        for tick in random.sample(ticks, random.randint(5, len(ticks))):
            tick(plan.planned_start + timedelta(seconds=seconds))
    (got,) = receiver.got
    assert [receiver.call_back(got).json() for _ in range(2)] == [{"task": task(plan, SWAP).pk, "state": "done"}] * 2
    for tick in random.sample(ticks, len(ticks)):
        tick(plan.planned_start + timedelta(seconds=9))
    assert (fresh(plan).state, len(receiver.got)) == ("succeeded", 1)
    assert kinds(plan)[:4] == ["succeed", "done", "accept", "start"]


def test_the_callback_ends_the_task_on_behalf_of_whoever_started(
    shop: Shop, plan: DeploymentPlan, receiver: Receiver
) -> None:
    call_webhooks(now=at(60))
    assert receiver.call_back(receiver.got[0]).status_code == 200
    swap, event = task(plan, SWAP), Event.objects.filter(stream=plan.stream).latest("seq")
    assert (swap.state, swap.evidence, task(plan, LOOK).state) == ("done", "job/7", "in_progress")
    assert (event.actor.kind, event.on_behalf_of) == ("system", shop.deployer)
    assert call_of(plan).state == "succeeded"


def test_a_callback_can_say_that_it_failed_and_a_retry_is_another_turn(
    shop: Shop, plan: DeploymentPlan, receiver: Receiver
) -> None:
    call_webhooks(now=at(60))
    assert receiver.call_back(receiver.got[0], "failed").json()["state"] == "failed"
    swap = task(plan, SWAP)
    assert (swap.reason, swap.evidence) == ("deployer says that it failed.", "job/7")
    assert call_webhooks(now=at(61)) == 0, "it waits for a decision"
    retry_task(swap, actor=shop.deployer, now=at(62))
    assert call_webhooks(now=at(62)) == 1
    first, second = receiver.got
    assert (first.data["fencing_token"], second.data["fencing_token"]) == (1, 2)
    assert second.data["attempt"] == 2
    assert first.headers["webhook-id"] != second.headers["webhook-id"]
    before = picture(plan)
    assert receiver.call_back(first, "failed").status_code == 200, "said again"
    assert problem(receiver.call_back(first))["code"] == "stale_fencing_token"
    assert picture(plan) == before
    assert receiver.call_back(second).json()["state"] == "done"


def test_what_is_no_callback_changes_nothing(shop: Shop, plan: DeploymentPlan, receiver: Receiver) -> None:
    administrator = someone("administrator", team=shop.product.team)
    other_secret = "whsec_" + "AAAAAAAA" * 5
    create_endpoint(shop.product, key="other", url=receiver.url, secret=other_secret, actor=administrator)
    call_webhooks(now=at(60))
    (got,) = receiver.got
    before, calls_before = picture(plan), list(WebhookCall.objects.values())
    path = urlsplit(got.data["callback_url"]).path
    others = path.replace(f"/{plan.tasks.exclude(endpoint=None).get().endpoint_id}/", "/{}/")
    wrong: list[tuple[int, dict[str, Any]]] = [
        (401, {"secret": other_secret}),
        (401, {"sent": '{"task": 1}'}),
        (401, {"ago": timedelta(minutes=6)}),
        (401, {"ago": timedelta(minutes=-6)}),
        (401, {"webhook-signature": ""}),
        (401, {"webhook-signature": "v1,ü v2,x"}),
        (401, {"webhook-timestamp": "now"}),
        (401, {"webhook-timestamp": "9" * 400}),
        (401, {"webhook-id": ""}),
        (401, {"path": others.format(10**15)}),
        (401, {"path": others.format(10**30)}),
        (404, {"path": others.format(WebhookEndpoint.objects.get(key="other").pk), "secret": other_secret}),
        (404, {"said": {"task": 10**15}}),
        (400, {"body": "[]"}),
        (400, {"body": '{"task": 1, "task": 1}'}),
        (400, {"said": {"status": "done"}}),
        (400, {"said": {"more": 1}}),
        (409, {"said": {"fencing_token": 0}}),
        (409, {"said": {"fencing_token": 2}}),
        (413, {"said": {"evidence": "x" * 2_000_000}}),
    ]
    for status, options in wrong:
        answer = receiver.call_back(got, **options)
        assert (answer.status_code, options) == (status, options)
        assert problem(answer)["status"] == status
    assert (picture(plan), list(WebhookCall.objects.values())) == (before, calls_before)
    assert problem(post_signed(path, "{}", secret=other_secret))["code"] == "not_authenticated"


def test_what_is_not_taken_is_sent_again_as_the_same_message_then_the_task_fails(
    plan: DeploymentPlan, receiver: Receiver
) -> None:
    receiver.statuses = [503, 302, 404, 500, 429, 400]
    now, waits = at(60), []
    for _ in range(SENDS - 1):
        assert call_webhooks(now=now) == 1
        again = call_of(plan).next_attempt_at
        assert again and call_webhooks(now=again - timedelta(seconds=1)) == 0
        waits.append(again - now)
        now = again
    assert waits == [BACK_OFF * 2**n for n in range(SENDS - 1)]
    assert (call_of(plan).error, task(plan, SWAP).state) == ("it answered 429", "in_progress")
    assert call_webhooks(now=now) == 1
    assert (call_of(plan).state, task(plan, SWAP).state) == ("given_up", "failed")
    assert task(plan, SWAP).reason == "deployer was called 6 times without success: it answered 400."
    assert len({(got.path, got.headers["webhook-id"], got.body) for got in receiver.got}) == 1, "and no redirect"
    assert call_webhooks(now=now + HOUR) == 0
    assert problem(receiver.call_back(receiver.got[0]))["code"] == "stale_fencing_token"


def test_no_callback_in_time_fails_the_task(plan: DeploymentPlan, receiver: Receiver) -> None:
    call_webhooks(now=at(60))
    call_webhooks(now=at(90) - timedelta(seconds=1))
    assert task(plan, SWAP).state == "in_progress"
    for _ in range(3):
        call_webhooks(now=at(90))
    swap = task(plan, SWAP)
    assert (swap.state, swap.reason) == ("failed", "Timed out: deployer did not call back within 30 minutes.")
    assert (kinds(plan)[:2], len(receiver.got)) == (["fail", "accept"], 1)
    assert problem(receiver.call_back(receiver.got[0]))["status"] == 409


def test_a_sender_that_died_is_followed_by_another_with_the_same_message(
    plan: DeploymentPlan, receiver: Receiver
) -> None:
    calls._begin(at(60))
    calls._claim(at(60))
    assert call_webhooks(now=at(60) + LEASE / 2) == 0
    assert call_webhooks(now=at(60) + LEASE) == 1
    assert (call_of(plan).state, call_of(plan).sends) == ("accepted", 2)
    assert receiver.got[0].headers["webhook-id"] == call_of(plan).message_id


def test_a_sender_that_slept_past_its_lease_can_not_act(plan: DeploymentPlan, receiver: Receiver) -> None:
    calls._begin(at(60))
    (slept,) = calls._claim(at(60))
    call_webhooks(now=at(60) + LEASE)
    before, row = picture(plan), WebhookCall.objects.values().get()
    for error in ("", "no answer"):
        calls._settle(slept, error, at(90))
    slept.sends = SENDS
    calls._settle(slept, "no answer", at(90))
    assert (picture(plan), WebhookCall.objects.values().get()) == (before, row)
    assert tasks.call_webhooks.time_limit and tasks.call_webhooks.time_limit < LEASE.total_seconds()


def test_a_callback_that_comes_before_the_answer_counts(plan: DeploymentPlan, receiver: Receiver) -> None:
    calls._begin(at(60))
    claimed = calls._claim(at(60))
    webhook.send(claimed, now=at(60))
    assert receiver.call_back(receiver.got[0]).json()["state"] == "done"
    calls._settle(claimed[0], "", at(60))
    assert (call_of(plan).state, kinds(plan)[0]) == ("succeeded", "done")


def by_hand(shop: Shop, plan: DeploymentPlan) -> None:
    finish_task(task(plan, SWAP), actor=shop.deployer, now=at(62), evidence="by hand")


def as_failed(shop: Shop, plan: DeploymentPlan) -> None:
    fail_task(task(plan, SWAP), actor=shop.deployer, now=at(62), reason="smoke")


def tried_again(shop: Shop, plan: DeploymentPlan) -> None:
    as_failed(shop, plan)
    retry_task(task(plan, SWAP), actor=shop.deployer, now=at(62))


def given_up(shop: Shop, plan: DeploymentPlan) -> None:
    fail(plan, actor=shop.deployer, now=at(62), reason="smoke")


def begun_anew(shop: Shop, plan: DeploymentPlan) -> None:
    given_up(shop, plan)
    again = fire(reschedule(plan, actor=shop.manager, now=at(63)), "prepare", actor=shop.manager, now=at(63))
    start(fire(again, "schedule", actor=shop.manager, now=at(63)), actor=shop.deployer, now=at(64))


@pytest.mark.parametrize("ended", [by_hand, as_failed, tried_again, given_up, begun_anew])
def test_an_outstanding_call_of_a_turn_that_is_over_is_fenced_off(
    shop: Shop, plan: DeploymentPlan, receiver: Receiver, ended: Any
) -> None:
    """At once for its callback, and for a sender that was at it; from the next tick on the call itself says so."""
    calls._begin(at(60))
    claimed = calls._claim(at(60))
    webhook.send(claimed, now=at(60))
    ended(shop, plan)
    before = picture(plan)
    assert problem(receiver.call_back(receiver.got[0]))["code"] == "stale_fencing_token"
    calls._settle(claimed[0], "", at(65))
    assert picture(plan) == before
    call_webhooks(now=at(65))
    assert WebhookCall.objects.get(fencing_token=1).state == "fenced_off"
    is_called = ended in (tried_again, begun_anew)
    assert [got.data["fencing_token"] for got in receiver.got] == ([1, 2] if is_called else [1])


def test_no_call_is_sent_while_the_line_is_stopped(shop: Shop, plan: DeploymentPlan, receiver: Receiver) -> None:
    stop, _new = stop_line(product=shop.product, environment=None, reason="Restored.", actor=shop.manager, now=at(60))
    assert call_webhooks(now=at(61)) == 0 == len(receiver.got)
    for _ in range(2):
        agree_to_resume(stop, actor=someone("deployer", team=shop.product.team), now=at(62))
    assert call_webhooks(now=at(62)) == 1


def test_the_way_back_is_called_with_what_ran_before_even_while_the_line_is_stopped(
    shop: Shop, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    shop.deployed(shop.release("1.0"))
    back = [TaskDraft("Swap it back", kind="webhook", endpoint="deployer")]
    times: dict[str, Any] = {"planned_start": at(180), "latest_start": at(240)}
    plan = shop.started(shop.release("2.0"), tasks=DRAFTS, backout_tasks=back, **times)
    call_webhooks(now=at(180))
    plan = back_out(plan, reason="It smokes.", actor=shop.deployer, now=at(210))
    stop_line(product=shop.product, environment=None, reason="Smoke.", actor=shop.manager, now=at(210))
    call_webhooks(now=at(211))
    there, backwards = receiver.got
    before = {build.digest for build in shop.product.releases.get(version="1.0").builds.all()}
    assert {build["digest"] for build in backwards.data["builds"]} == before
    assert (there.data["is_backout"], backwards.data["is_backout"]) == (False, True)
    assert problem(receiver.call_back(there))["code"] == "stale_fencing_token"
    assert receiver.call_back(backwards).json()["state"] == "done"
    finish_plans(at(212))
    assert fresh(plan).state == "rolled_back"
    states = WebhookCall.objects.order_by("task__is_backout").values_list("state", flat=True)
    assert [*states] == ["fenced_off", "succeeded"]


def test_an_endpoint_that_is_switched_off_is_not_called(
    shop: Shop, plan: DeploymentPlan, endpoint: WebhookEndpoint, receiver: Receiver, settings: Any
) -> None:
    administrator = someone("administrator", team=shop.product.team)
    edit_endpoint(endpoint, changes={"is_active": False}, actor=administrator)
    call_webhooks(now=at(60))
    assert (call_of(plan).error, receiver.got) == ("it is switched off", [])
    edit_endpoint(endpoint, changes={"is_active": True}, actor=administrator)
    settings.SECRET_KEY = "another-key" * 9
    call_webhooks(now=at(61))
    assert "SECRET_KEY was changed" in call_of(plan).error and receiver.got == []


def test_one_that_does_not_answer_keeps_nobody_else_waiting(
    shop: Shop, endpoint: WebhookEndpoint, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "WHOLE", 0.3)
    administrator = someone("administrator", team=shop.product.team)
    released = threading.Event()
    with Receiver(hangs=released).open() as slow:
        create_endpoint(shop.product, key="slow", url=slow.url, secret=SECRET, actor=administrator)
        drafts = [TaskDraft(key, kind="webhook", endpoint=key) for key in ("slow", "deployer")]
        plan = shop.started(shop.release("1.0"), tasks=drafts)
        assert call_webhooks(now=at(60)) == 2
        released.set()
    found = WebhookCall.objects.order_by("task__position").values_list("state", "error")
    assert [*found] == [("pending", "no answer within 0 seconds"), ("accepted", "")]
    assert len(receiver.got) == len(slow.got) == plan.tasks.filter(title="slow").count() == 1
