"""Ed25519 signatures over texts; keys travel as base64 of their 32 bytes."""

from __future__ import annotations

from base64 import b64decode, b64encode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def new_key() -> str:
    """A private key, of which nobody else knows."""
    return b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()


def public_key(key: str) -> str:
    """What everybody may know of a private key."""
    return b64encode(_private(key).public_key().public_bytes_raw()).decode()


def sign(message: bytes, *, key: str) -> str:
    """The signature, as base64."""
    return b64encode(_private(key).sign(message)).decode()


def is_signed(message: bytes, signature: str, *, public_key: str) -> bool:
    """Whether the holder of the key signed just this."""
    try:
        Ed25519PublicKey.from_public_bytes(b64decode(public_key, validate=True)).verify(
            b64decode(signature, validate=True), message
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def _private(key: str) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(b64decode(key, validate=True))
    except ValueError:
        raise ValueError("CHECKPOINT_KEY is no Ed25519 key; `manage.py checkpoint --new-key` makes one.") from None
