"""Standard Webhooks: the reference implementation verifies what we sign and signs what we verify."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from releasemgmt.integrations.standard_webhooks import TOLERANCE, Forged, key_of, new_secret, signed, verify
from tests.conftest import NOW

SECRET = new_secret()
TEXTS = st.text(st.characters(codec="utf-8"), max_size=50)


@given(TEXTS, st.text("abc_0", min_size=1, max_size=9))
def test_both_sides_agree(body: str, message_id: str) -> None:
    now = datetime.now(UTC)
    ours = signed(body.encode(), message_id=message_id, secret=SECRET, now=now)
    Webhook(SECRET).verify(body, ours, json_parse=False)
    assert ours["webhook-signature"] == Webhook(SECRET).sign(message_id, now, body)
    verify(body.encode(), ours, secret=SECRET, now=now)


def test_one_signature_of_several_is_enough() -> None:
    ours = signed(b"{}", message_id="m", secret=SECRET, now=NOW)
    several = {**ours, "webhook-signature": f"v1a,x v1, v1,é {ours['webhook-signature']}"}
    verify(b"{}", several, secret=SECRET, now=NOW + TOLERANCE)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "n"},
        {"webhook-id": ""},
        {"webhook-timestamp": str(int(NOW.timestamp()) + 1)},
        {"webhook-timestamp": "٣"},
        {"webhook-timestamp": ""},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v2,x"},
    ],
)
def test_whatever_is_changed_is_forged(changed: dict[str, str]) -> None:
    ours = signed(b"{}", message_id="m", secret=SECRET, now=NOW)
    with pytest.raises(Forged):
        verify(b"{}", {**ours, **changed}, secret=SECRET, now=NOW)


@pytest.mark.parametrize(
    "otherwise",
    [
        {"body": b"{} "},
        {"secret": new_secret()},
        {"now": NOW + TOLERANCE + timedelta(seconds=1)},
        {"now": NOW - TOLERANCE - timedelta(seconds=1)},
    ],
)
def test_another_body_secret_or_time_is_forged(otherwise: dict[str, Any]) -> None:
    ours = signed(b"{}", message_id="m", secret=SECRET, now=NOW)
    with pytest.raises(Forged):
        verify(otherwise.pop("body", b"{}"), ours, **{"secret": SECRET, "now": NOW, **otherwise})


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "A" * 40, "whsec_" + "A" * 200, "whsec_" + "!" * 40])
def test_what_is_no_secret(secret: str) -> None:
    with pytest.raises(ValueError, match="It "):
        key_of(secret)
