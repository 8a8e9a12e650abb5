"""E-mail: plain text to the server that EMAIL_URL names, one connection for a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from smtplib import SMTPRecipientsRefused, SMTPResponseException
from urllib.parse import urlsplit

from django.conf import settings
from django.core import mail

from releasemgmt.notifications.models import Delivery
from releasemgmt.notifications.transports import Rejected


@contextmanager
def connection() -> Iterator[Callable[[Delivery], None]]:
    """A function that sends; it raises Rejected for one mail, and OSError where the server or the network is away."""
    with mail.get_connection() as server:

        def send(delivery: Delivery) -> None:
            try:
                server.send_messages([message(delivery)])
            except (SMTPRecipientsRefused, SMTPResponseException, ValueError) as error:
                raise Rejected(reason(error)) from error

        yield send


def message(delivery: Delivery) -> mail.EmailMessage:
    """The mail that a delivery is. Its Message-ID is fixed, so that one sent twice shows as one."""
    name = f"delivery-{delivery.pk}.{delivery.event.hash[:16]}"
    return mail.EmailMessage(
        subject=delivery.subject,
        body=f"{delivery.body}\n\n{settings.PUBLIC_URL}{delivery.url}\n",
        to=[delivery.recipient.email],
        headers={
            "Message-ID": f"<{name}@{urlsplit(settings.PUBLIC_URL).hostname}>",
            "Auto-Submitted": "auto-generated",
        },
    )


def reason(error: Exception) -> str:
    """What went wrong, without what the other side wrote: that may hold addresses and more."""
    code = getattr(error, "smtp_code", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__
