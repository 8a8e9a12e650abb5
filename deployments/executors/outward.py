"""One exchange with a server that somebody named: at the very address that was checked, with little time to answer.

Whoever calls this is in no transaction.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from ipaddress import ip_address

import httpx
from django.conf import settings

from deployments.policies import may_reach

#: Seconds for each step of an exchange.
STEP = 5.0


class NotSent(Exception):
    """Why an exchange did not come about, in words for people; nothing of what the other side wrote."""


@asynccontextmanager
async def exchange(
    method: str, address: str, *, networks: str, headers: Mapping[str, str], body: bytes = b""
) -> AsyncIterator[httpx.Response]:
    """The answer, whose body is still to be read; `networks` names the setting that lets it reach more than the public.

    No proxy and no redirect: either would connect to an address that nobody has checked.
    """
    url = httpx.URL(address)
    checked = await _checked_address(url, networks)
    async with httpx.AsyncClient(trust_env=False, follow_redirects=False, verify=_trust(), timeout=STEP) as client:
        request = client.build_request(
            method,
            url.copy_with(host=checked),
            content=body,
            headers={**headers, "Host": url.netloc.decode(), "User-Agent": "releasemgmt"},
            extensions={"sni_hostname": url.host},
        )
        answer = await client.send(request, stream=True)
        try:
            yield answer
        finally:
            await answer.aclose()


def in_words(error: Exception, *, seconds: float) -> str:
    """Why it did not come about; what a stranger's server can make of a connection has no end."""
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return f"no answer within {seconds:.0f} seconds"
    return str(error) if isinstance(error, NotSent) else f"no connection ({type(error).__name__})"


async def _checked_address(url: httpx.URL, networks: str) -> str:
    """An address of the host to which an exchange may go; a name that leads elsewhere is not asked at all."""
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise NotSent("its name leads to no address") from error
    addresses = [str(each[4][0]).partition("%")[0] for each in found]
    for address in addresses:
        if not may_reach(ip_address(address), scheme=url.scheme, networks=getattr(settings, networks)):
            raise NotSent(f"its address is not public, nor in {networks}")
    return addresses[0]


@cache
def _trust() -> ssl.SSLContext:
    """The authorities that are known everywhere, and those of this machine (SSL_CERT_FILE names a company's own)."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context
