"""Looking artifacts up where they are kept: the bytes of a file, or of an image's manifest, are hashed again.

What a registry says of itself is not taken for its word. No credentials are sent but the token that a registry gives to
everybody who asks.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from urllib.parse import urljoin

import httpx
from django.conf import settings

from deployments.executors.outward import NotSent, exchange, in_words
from deployments.policies import Kept, kept, url_error

#: Seconds for all that is looked up at once, and how many exchanges go on at the same time.
WHOLE, AT_ONCE = 20.0, 8
#: Bytes of a file, of a manifest, and of what a registry says with a token.
FILE, MANIFEST, TOKEN = 2**30, 2**22, 2**16
REDIRECTS = 3
NETWORKS = "ARTIFACT_NETWORKS"
MANIFESTS = ", ".join(
    f"application/vnd.{each}+json"
    for each in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)


@dataclass(frozen=True)
class Artifact:
    """What is looked up: a component's build, its address and its digest."""

    component: str
    uri: str
    digest: str


@dataclass(frozen=True)
class Found:
    """What was found of a component at an address: a digest, or why there is none."""

    component: str
    address: str
    digest: str = ""
    problem: str = ""

    def as_row(self) -> dict[str, str]:
        return asdict(self)


def look_up(artifacts: Sequence[Artifact]) -> list[Found]:
    """What is found of each, in their order, all within one time limit."""
    return asyncio.run(_look_all_up(artifacts))


async def _look_all_up(artifacts: Sequence[Artifact]) -> list[Found]:
    until, turns = asyncio.get_running_loop().time() + WHOLE, asyncio.Semaphore(AT_ONCE)
    return await asyncio.gather(*(_look_up(each, until, turns) for each in artifacts))


async def _look_up(artifact: Artifact, until: float, turns: asyncio.Semaphore) -> Found:
    """Whatever goes wrong with one is its own."""
    place = kept(artifact.uri, digest=artifact.digest, networks=getattr(settings, NETWORKS))
    if place is None:
        return Found(artifact.component, artifact.uri, problem="its address names neither a file nor an image")
    try:
        async with asyncio.timeout_at(until), turns:
            return Found(artifact.component, place.url, digest=await _digest(place))
    except Exception as error:
        return Found(artifact.component, place.url, problem=in_words(error, seconds=WHOLE))


async def _digest(place: Kept) -> str:
    """The digest of what is there, over redirects, each to an address that is checked as the first one was."""
    url, headers = place.url, {"Accept-Encoding": "identity"}
    if place.is_manifest:
        headers["Accept"] = MANIFESTS
    for _ in range(REDIRECTS + 1):
        async with exchange("GET", url, networks=NETWORKS, headers=headers) as answer:
            if answer.has_redirect_location:
                url = urljoin(url, answer.headers["Location"])
                headers.pop("Authorization", None)
            elif (
                answer.status_code == httpx.codes.UNAUTHORIZED and place.is_manifest and "Authorization" not in headers
            ):
                headers["Authorization"] = f"Bearer {await _token(answer.headers.get('WWW-Authenticate', ''))}"
            else:
                return await _hashed(answer, most=MANIFEST if place.is_manifest else FILE)
        if url_error(url, networks=getattr(settings, NETWORKS)):
            raise NotSent("it leads to an address that is none")
    raise NotSent("it leads from one address to another without end")


async def _token(challenge: str) -> str:
    """The token that a registry gives to whoever asks, where it says that it does."""
    said = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = said.pop("realm", "")
    if not challenge.startswith("Bearer ") or url_error(realm, networks=getattr(settings, NETWORKS)):
        raise NotSent("it asks who we are")
    url = str(httpx.URL(realm).copy_merge_params({name: said[name] for name in ("service", "scope") if name in said}))
    async with exchange("GET", url, networks=NETWORKS, headers={"Accept-Encoding": "identity"}) as answer:
        body = b"".join([chunk async for chunk in _body(answer, most=TOKEN)])
    try:
        given = json.loads(body)
        return str(given.get("token") or given["access_token"])
    except (ValueError, KeyError, AttributeError) as error:
        raise NotSent("it asks who we are") from error


async def _hashed(answer: httpx.Response, *, most: int) -> str:
    digest = sha256()
    async for chunk in _body(answer, most=most):
        digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


async def _body(answer: httpx.Response, *, most: int) -> AsyncIterator[bytes]:
    """What it answers, as it is kept and no more than that."""
    if answer.status_code != httpx.codes.OK:
        raise NotSent(f"it answered {answer.status_code}")
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise NotSent("it answered with packed bytes")
    size = 0
    async for chunk in answer.aiter_raw():
        size += len(chunk)
        if size > most:
            raise NotSent(f"it is larger than {most // 2**20 or 1} MiB")
        yield chunk
