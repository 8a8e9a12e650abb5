"""Guessing passwords is throttled for an account and for an address, whatever a header says."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from releasemgmt.accounts import commands

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def people() -> None:
    cache.clear()
    for n in range(12):
        commands.create_user(username=f"person-{n}", password=PASSWORD, actor=commands.system())


def lets_in(service: str, name: str, password: str, *, forwarded: str = "", address: str = "127.0.0.1") -> bool:
    """One attempt by a browser at this address of the machine; the header is what the last hop passes on."""
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    with httpx.Client(transport=httpx.HTTPTransport(local_address=address), headers=headers) as http:
        http.get(f"{service}/accounts/login/")
        sent = {"login": name, "password": password, "csrfmiddlewaretoken": http.cookies["csrftoken"]}
        answer = http.post(f"{service}/accounts/login/", data=sent)
        assert answer.status_code < 500
        return answer.status_code == 302


def guess(service: str, forwarded: str, *, times: int = 10) -> None:
    """One wrong password for each of several accounts, so that only the address can be what is counted."""
    for n in range(times):
        assert not lets_in(service, f"person-{n}", "wrong", forwarded=forwarded.format(n=n))


def test_without_a_proxy_the_header_means_nothing(live_server: Any) -> None:
    guess(live_server.url, "192.0.2.{n}")
    assert not lets_in(live_server.url, "person-11", PASSWORD, forwarded="198.51.100.7")
    assert lets_in(live_server.url, "person-11", PASSWORD, address="127.0.0.2")


def test_behind_a_proxy_what_the_proxy_saw_counts_and_nothing_before_it(live_server: Any, settings: Any) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    guess(live_server.url, "192.0.2.{n}, 203.0.113.9")
    assert not lets_in(live_server.url, "person-11", PASSWORD, forwarded="198.51.100.7, 203.0.113.9")
    assert lets_in(live_server.url, "person-11", PASSWORD, forwarded="203.0.113.9, 198.51.100.7")


def test_an_account_is_protected_from_many_addresses(live_server: Any, settings: Any) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    for n in range(5):
        assert not lets_in(live_server.url, "person-1", "wrong", forwarded=f"192.0.2.{n}")
    assert not lets_in(live_server.url, "person-1", PASSWORD, forwarded="192.0.2.99")
    assert lets_in(live_server.url, "person-2", PASSWORD, forwarded="192.0.2.99")


@pytest.mark.parametrize("forwarded", ["203.0.113.9", "not an address", ",", "1.2.3.4:80", "x" * 5000])
def test_a_request_that_came_round_the_proxies_counts_for_its_own_address(forwarded: str, settings: Any) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 2
    sent = {"login": "person-1", "password": PASSWORD}
    answer = Client().post(reverse("account_login"), sent, headers={"X-Forwarded-For": forwarded})
    assert answer.status_code in (302, 400, 403)
