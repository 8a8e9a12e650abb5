"""What the environment says: read once, typed, with a message that names what is missing."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from environs import Env

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Environment:
    """The settings an operator makes by environment variables; docs/reference/settings.md explains each."""

    embedded: bool
    var: Path
    database_url: str
    redis_url: str
    secret_key: str
    allowed_hosts: list[str]
    csrf_trusted_origins: list[str]
    https: bool
    email_url: str
    email_from: str
    proxy_count: int


def read() -> Environment:
    """Read the environment; without DATABASE_URL it is the embedded installation, which needs nothing set."""
    env = Env()
    embedded = not env.str("DATABASE_URL", "")
    var = Path(env.str("RELEASEMGMT_VAR", str(ROOT / "var")))
    if not embedded:
        required = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS")
        if missing := [name for name in required if not env.str(name, "")]:
            raise ImproperlyConfigured(f"Set these environment variables: {', '.join(missing)}.")
    return Environment(
        embedded=embedded,
        var=var,
        database_url=env.str("DATABASE_URL", ""),
        redis_url=env.str("REDIS_URL", ""),
        secret_key=env.str("SECRET_KEY", "") or _own_secret_key(var),
        allowed_hosts=env.list("ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"]),
        csrf_trusted_origins=env.list("CSRF_TRUSTED_ORIGINS", []),
        https=env.bool("HTTPS", False),
        email_url=env.str("EMAIL_URL", "console:"),
        email_from=env.str("EMAIL_FROM", "Release management <releasemgmt@localhost>"),
        proxy_count=env.int("PROXY_COUNT", 0),
    )


def _own_secret_key(var: Path) -> str:
    """The embedded installation's key: made once, readable by its owner alone, shared by web and worker."""
    var.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = var / "secret_key"
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        return path.read_text()
    path.write_text(secrets.token_urlsafe(50))
    return path.read_text()
