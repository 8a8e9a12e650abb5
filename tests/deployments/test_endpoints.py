"""Endpoints: administrators say who is called and by which secret; calls reach public addresses and named networks."""

from __future__ import annotations

import json
import socket
import ssl
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from deployments.commands import call_webhooks, create_endpoint, edit_endpoint, renew_secret
from deployments.executors import outward
from deployments.models import DeploymentPlan, WebhookCall, WebhookEndpoint
from deployments.policies import may_reach, url_error
from releasemgmt.accounts.models import User
from releasemgmt.workflow.errors import Conflict, Invalid, NotPermitted
from releasemgmt.workflow.models import Event
from releasemgmt.workflow.sealing import Unreadable, seal, unseal
from tests.conftest import NOW
from tests.deployments.receiver import SECRET, Receiver
from tests.deployments.test_api import PLANS, Caller
from tests.deployments.test_calls import DRAFTS, SWAP
from tests.deployments.test_calls import receiver as receiver
from tests.deployments.world import Shop, at, kinds, refused, task
from tests.factories import ProductFactory, someone

ENDPOINTS = "/api/v1/webhook-endpoints/"
URL = "https://deploy.example.org/hooks/shop?x=1"
ANY = {"If-Match": "*"}
NET = [ip_network("10.1.0.0/16"), ip_network("fd00::/8")]


@pytest.fixture
def administrator(shop: Shop) -> User:
    return someone("administrator", team=shop.product.team)


@pytest.fixture
def endpoint(shop: Shop, administrator: User) -> WebhookEndpoint:
    return create_endpoint(shop.product, key="deployer", url=URL, secret=SECRET, actor=administrator)


def test_a_secret_goes_in_and_never_comes_out(shop: Shop, administrator: User) -> None:
    caller = Caller(administrator)
    body = {"product": "shop", "key": "deployer", "url": URL, "secret": SECRET, "time_limit_minutes": 5}
    made = caller.post(ENDPOINTS, body, expect=201)
    where = f"{ENDPOINTS}{made['id']}/"
    assert made == caller.get(where) == caller.get(ENDPOINTS, product="shop")["results"][0]
    assert (made["key"], made["time_limit_minutes"], made["is_active"]) == ("deployer", 5, True)
    edited = caller.patch(where, {"url": f"{URL}&y=2", "is_active": False}, 200, **ANY)
    assert (edited["url"], edited["is_active"]) == (f"{URL}&y=2", False)
    assert caller.get(ENDPOINTS, is_active="true")["results"] == []
    caller.post(f"{where}secret/", {"secret": "whsec_" + "B" * 40})
    assert kinds(shop.product)[:3] == ["renew_secret", "edit", "create"]
    told = json.dumps([event.data for event in Event.objects.all()]) + str(made) + str(edited)
    row = WebhookEndpoint.objects.get()
    assert "canary" not in told + row.sealed_secret and "BBBB" not in told + row.sealed_secret
    assert unseal(row.sealed_secret, purpose="webhook_endpoint") == "whsec_" + "B" * 40


def test_administrators_alone_say_who_is_called(shop: Shop, endpoint: WebhookEndpoint) -> None:
    elsewhere = someone("administrator", team=ProductFactory().team)
    for actor in (shop.manager, shop.deployer, shop.ci, elsewhere):
        with refused(NotPermitted, shop.product):
            create_endpoint(shop.product, key="new", url=URL, secret=SECRET, actor=actor)
        with refused(NotPermitted, shop.product):
            edit_endpoint(endpoint, changes={"url": URL + "&z"}, actor=actor)
        with refused(NotPermitted, shop.product):
            renew_secret(endpoint, secret="whsec_" + "B" * 40, actor=actor)
    assert WebhookEndpoint.objects.values_list("url", "sealed_secret").get() == (URL, endpoint.sealed_secret)


@pytest.mark.parametrize(
    ("error", "changed"),
    [
        (Conflict, {}),
        (Invalid, {"key": "Über"}),
        (Invalid, {"key": "new", "secret": "hunter2"}),
        (Invalid, {"key": "new", "url": "http://deploy.example.org/"}),
        (Invalid, {"key": "new", "time_limit_minutes": 0}),
    ],
)
def test_an_endpoint_that_can_not_be(
    shop: Shop, endpoint: WebhookEndpoint, administrator: User, error: Any, changed: dict[str, Any]
) -> None:
    with refused(error, shop.product) as caught:
        create_endpoint(
            shop.product, **{"key": "deployer", "url": URL, "secret": SECRET} | changed, actor=administrator
        )
    assert WebhookEndpoint.objects.count() == 1 and "hunter2" not in str(caught.value)
    if "url" in changed:
        with refused(Invalid, shop.product):
            edit_endpoint(endpoint, changes={"url": changed["url"]}, actor=administrator)


def test_what_was_sealed_for_something_else_or_under_another_key_is_unreadable(settings: Any) -> None:
    sealed = seal("text", purpose="one")
    with pytest.raises(Unreadable):
        unseal(sealed, purpose="another")
    settings.SECRET_KEY = "another" * 10
    with pytest.raises(Unreadable):
        unseal(sealed, purpose="one")


def test_a_plan_names_the_endpoints_of_its_tasks(shop: Shop, endpoint: WebhookEndpoint) -> None:
    release, caller = shop.release("1.0"), Caller(shop.manager)
    times = {"planned_start": "2030-03-02T10:00:00Z", "latest_start": "2030-03-02T11:00:00Z"}
    plan = {"release": release.number, "environment": "production", **times}
    swap = {"title": "Swap", "kind": "webhook", "endpoint": "deployer"}
    made = caller.post(PLANS, {**plan, "tasks": [swap, {"title": "Look"}], "backout_tasks": [swap]}, expect=201)
    found = [(each["kind"], each["endpoint"], each["call"]) for each in made["tasks"] + made["backout_tasks"]]
    assert found == [("webhook", "deployer", None), ("manual", None, None), ("webhook", "deployer", None)]
    where, before = f"{PLANS}{made['number']}/", kinds(DeploymentPlan.objects.get())
    caller.patch(where, {"tasks": [swap, {"title": "Look"}]}, 200, **ANY)
    assert kinds(DeploymentPlan.objects.get()) == before, "the same tasks"
    WebhookEndpoint.objects.create(product=ProductFactory(), key="elsewhere", url=URL, sealed_secret="x")
    for wrong in ({"endpoint": "elsewhere"}, {"endpoint": ""}, {"kind": "manual"}):
        problem = caller.patch(where, {"tasks": [{"title": "x"}, swap | wrong]}, 400, **ANY)
        assert [each["pointer"] for each in problem["errors"]] == ["/tasks/1/endpoint"]
    assert kinds(DeploymentPlan.objects.get()) == before


@pytest.mark.parametrize(
    ("url", "networks"),
    [
        ("", []),
        ("ftp://a.example.org/", []),
        ("//a.example.org/", []),
        ("https://", []),
        ("https:///x", []),
        ("https://user:secret@a.example.org/", []),
        ("https://a.example.org@b.example.org/", []),
        ("https://a.example.org\\@b.example.org/", []),
        ("https://a.example.org/#x", []),
        ("https://a.example.org/a b", []),
        ("https://a.example.org/\r\nHost: b", []),
        ("https://a.example.org\n", []),
        ("https://a.example.org:99999/", []),
        ("https://a.example.org:0/", []),
        ("https://ä.example.org/", []),
        ("http://a.example.org/", []),
    ],
)
def test_an_address_that_is_none(url: str, networks: list[Any]) -> None:
    assert url_error(url, networks=networks)


@pytest.mark.parametrize("url", [URL, "https://a", "https://[2606:4700::1111]:8443/x", "http://deployer:8080/hooks"])
def test_an_address_that_can_be_called(url: str) -> None:
    assert url_error(url, networks=NET) == ""


INSIDE = [
    *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),  # noqa: S104
    *("192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "::127.0.0.1", "100::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("2002:7f00:1::", "2002:a00:1::", "2001:0:7f00:1::", "fe80::1", "fc00::1", "fd12::1", "fec0::1", "ff02::1"),
    "2001:db8::1",
]


def test_addresses_that_are_not_public_are_not_reached() -> None:
    reached = [each for each in INSIDE if may_reach(ip_address(each), scheme="https", networks=[])]
    assert reached == []


def test_public_addresses_by_https_and_the_operators_networks_are_reached() -> None:
    for public in ("93.184.215.14", "2606:4700::1111", "::ffff:93.184.215.14"):
        assert may_reach(ip_address(public), scheme="https", networks=[])
        assert not may_reach(ip_address(public), scheme="http", networks=NET)
    for own in ("10.1.2.3", "::ffff:10.1.2.3", "fd12::1"):
        assert may_reach(ip_address(own), scheme="http", networks=NET)
    assert not may_reach(ip_address("10.2.0.1"), scheme="https", networks=NET)


class Names:
    """A resolver whose answers a stranger chooses, one after the other; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *_: Any) -> list[Any]:
        self.asked.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


def called(shop: Shop, administrator: User, url: str) -> WebhookCall:
    create_endpoint(shop.product, key="deployer", url=url, secret=SECRET, actor=administrator)
    plan = shop.started(shop.release("1.0"), tasks=DRAFTS)
    call_webhooks(now=at(60))
    assert task(plan, SWAP).state == "in_progress"
    return WebhookCall.objects.get()


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["127.0.0.1", "93.184.215.14"]])
def test_a_name_that_leads_inside_is_not_called(
    shop: Shop, administrator: User, receiver: Receiver, settings: Any, monkeypatch: Any, answers: list[str]
) -> None:
    """Not even where it leads outside, too."""
    settings.WEBHOOK_NETWORKS = []
    monkeypatch.setattr(socket, "getaddrinfo", Names(answers))
    call = called(shop, administrator, f"https://inside.example.org:{receiver.port}/")
    assert (call.error, receiver.got) == ("its address is not public, nor in WEBHOOK_NETWORKS", [])


def test_the_address_that_was_checked_is_the_one_that_is_called(
    shop: Shop, administrator: User, receiver: Receiver, monkeypatch: Any
) -> None:
    """A name that leads elsewhere when it is asked again is asked once."""
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    monkeypatch.setattr(socket, "getaddrinfo", names)
    call = called(shop, administrator, f"http://rebinding.example.org:{receiver.port}/hook")
    (got,) = receiver.got
    assert (call.state, names.asked) == ("accepted", ["rebinding.example.org"])
    assert (got.headers["host"], got.path) == (f"rebinding.example.org:{receiver.port}", "/hook")


def test_no_proxy_comes_between(shop: Shop, administrator: User, receiver: Receiver, monkeypatch: Any) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    assert called(shop, administrator, receiver.url).state == "accepted"


@pytest.mark.parametrize(
    ("host", "trusted", "state"),
    [
        ("deploy.example.org", True, "accepted"),
        ("evil.example.org", True, "pending"),
        ("deploy.example.org", False, "pending"),
    ],
)
def test_the_certificate_must_be_trusted_and_name_the_host(
    shop: Shop,
    administrator: User,
    receiver: Receiver,
    monkeypatch: Any,
    tmp_path: Path,
    host: str,
    trusted: bool,
    state: str,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(["127.0.0.1"]))
    pem = certificate(tmp_path / "server.pem", name="deploy.example.org")
    if trusted:
        monkeypatch.setattr(outward, "_trust", lambda: ssl.create_default_context(cafile=pem))
    with Receiver().open(certificate=pem) as secured:
        call = called(shop, administrator, f"https://{host}:{secured.port}/")
    assert (call.state, len(secured.got)) == (state, state == "accepted")
    assert call.error == ("" if state == "accepted" else "no connection (ConnectError)")


def certificate(path: Path, *, name: str) -> Path:
    """A certificate that vouches for itself, and its key, in one file."""
    key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW - timedelta(days=3650)).not_valid_after(NOW + timedelta(days=3650))
    made = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False).sign(key, SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path
