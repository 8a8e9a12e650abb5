"""Where an artifact is kept: a build's address, read as a file or as an image in a registry."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from deployments.policies.webhooks import Network, url_error

#: As containers are named: registry, repository, tag, digest.
IMAGE = re.compile(
    r"(?P<registry>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?)"
    r"/(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
#: Where the registry of that name answers.
ANSWERS_AT = {"docker.io": "registry-1.docker.io"}
THIS_MACHINE = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Kept:
    """An address whose bytes have the digest of the artifact: those of a file, or of an image's manifest."""

    url: str
    is_manifest: bool = False


def kept(uri: str, *, digest: str, networks: Sequence[Network]) -> Kept | None:
    """Where the bytes of a build are kept, if its address says it; an image without tag is asked for by its digest.

    A registry is asked by HTTPS, one on this machine by HTTP, as everybody does.
    """
    if uri.startswith(("https://", "http://")):
        return None if url_error(uri, networks=networks) else Kept(uri)
    found = IMAGE.fullmatch(uri.removeprefix("oci://"))
    if found is None:
        return None
    registry, host = found["registry"], found["registry"].partition(":")[0]
    if not (uri.startswith("oci://") or "." in registry or ":" in registry or host in THIS_MACHINE):
        return None
    scheme = "http" if host in THIS_MACHINE else "https"
    reference = found["digest"] or found["tag"] or digest
    return Kept(f"{scheme}://{ANSWERS_AT.get(registry, registry)}/v2/{found['name']}/manifests/{reference}", True)
