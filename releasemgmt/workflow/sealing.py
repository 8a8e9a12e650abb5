"""Secrets that the service itself has to read again: encrypted, so that a copy of the database does not tell them."""

from __future__ import annotations

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken
from django.utils.crypto import salted_hmac


class Unreadable(Exception):
    """It was sealed under another SECRET_KEY."""


def seal(text: str, *, purpose: str) -> str:
    """The text encrypted under a key that follows from SECRET_KEY and the purpose."""
    return _cipher(purpose).encrypt(text.encode()).decode()


def unseal(sealed: str, *, purpose: str) -> str:
    """The text again; raises Unreadable where the installation's key is another one now."""
    try:
        return _cipher(purpose).decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise Unreadable(purpose) from error


def _cipher(purpose: str) -> Fernet:
    return Fernet(urlsafe_b64encode(salted_hmac(f"releasemgmt.{purpose}", "", algorithm="sha256").digest()))
