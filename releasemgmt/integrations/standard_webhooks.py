"""Standard Webhooks 1.0: secrets, and the signature over id, time and raw body that both sides make and check."""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_bytes

PREFIX = "whsec_"
#: How many bytes a secret has.
SHORTEST, LONGEST = 24, 64
#: A message that is older than this, or that far ahead, is a replay or comes from a wrong clock.
TOLERANCE = timedelta(minutes=5)
SECONDS = re.compile(r"[0-9]{1,12}")


class Forged(Exception):
    """The message is not signed with the secret, or not now; says which of these, for the one who sent it."""


def new_secret() -> str:
    """A secret of 32 random bytes, as both sides write it down."""
    return PREFIX + b64encode(token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The bytes of a secret; raises ValueError where it is none."""
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except NotBase64 as error:
        raise ValueError("It is not base64.") from error
    if not secret.startswith(PREFIX) or not SHORTEST <= len(key) <= LONGEST:
        raise ValueError("It does not begin with whsec_, or is too short or too long.")
    return key


def signed(body: bytes, *, message_id: str, secret: str, now: datetime) -> dict[str, str]:
    """The three headers of a message."""
    seconds = str(int(now.timestamp()))
    signature = _signature(body, message_id=message_id, seconds=seconds, key=key_of(secret))
    return {"webhook-id": message_id, "webhook-timestamp": seconds, "webhook-signature": f"v1,{signature}"}


def verify(body: bytes, headers: Mapping[str, str], *, secret: str, now: datetime) -> None:
    """Raise Forged unless one of the signatures fits the raw body and the time is now, more or less."""
    message_id, seconds = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not SECONDS.fullmatch(seconds):
        raise Forged("The headers webhook-id and webhook-timestamp are missing, or not what they should be.")
    if abs(now.timestamp() - int(seconds)) > TOLERANCE.total_seconds():
        raise Forged("The message is older than five minutes, or from the future.")
    wanted = _signature(body, message_id=message_id, seconds=seconds, key=key_of(secret)).encode()
    given = [each.removeprefix("v1,") for each in headers.get("webhook-signature", "").split() if each[:3] == "v1,"]
    if not any(hmac.compare_digest(wanted, each.encode()) for each in given):
        raise Forged("The signature does not fit.")


def _signature(body: bytes, *, message_id: str, seconds: str, key: bytes) -> str:
    content = b".".join((message_id.encode(), seconds.encode(), body))
    return b64encode(hmac.digest(key, content, sha256)).decode()
