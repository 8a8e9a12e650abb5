"""What the environment says: read once, typed, with a message that names what is missing."""

import re
import secrets
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from environs import Env

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Variable:
    """One environment variable, as docs/reference/settings.md lists it."""

    name: str
    meaning: str
    default: str = ""
    required: bool = False


VARIABLES = (
    Variable(
        "DATABASE_URL",
        "`postgres://user:password@host:5432/name`. Unset means the embedded installation: SQLite in "
        "`RELEASEMGMT_VAR`, and none of the others is needed.",
        required=True,
    ),
    Variable("REDIS_URL", "The broker of the background work, `redis://host:6379/0`.", required=True),
    Variable("SECRET_KEY", "50 random characters or more, the same for web, worker and beat.", required=True),
    Variable("ALLOWED_HOSTS", "The names under which the service is reached, separated by commas.", required=True),
    Variable(
        "CSRF_TRUSTED_ORIGINS", "The same with their scheme, for instance `https://release.example.org`.", required=True
    ),
    Variable(
        "PUBLIC_URL",
        "Where people reach the service; links in e-mail begin with it. By default the first of "
        "`CSRF_TRUSTED_ORIGINS`, or `http://127.0.0.1:8000`.",
    ),
    Variable("HTTPS", "`1`: redirect to HTTPS, HSTS, secure cookies.", "0"),
    Variable("PROXY_COUNT", "How many proxies stand before the service; `X-Forwarded-For` is believed that far.", "0"),
    Variable(
        "STEP_UP_AFTER",
        "Minutes after a sign-in from which on a vote on high risk, or a token that may vote, asks for it again.",
        "15",
    ),
    Variable("OIDC_SERVER_URL", "The issuer of an OpenID Connect provider; unset: sign-in by password alone."),
    Variable("OIDC_CLIENT_ID", "Our name at the provider."),
    Variable("OIDC_CLIENT_SECRET", "Our secret at the provider."),
    Variable("OIDC_NAME", "What the button on the sign-in page calls the provider.", "Single sign-on"),
    Variable("OIDC_SCOPES", "What we ask the provider for; some want `groups` in it.", "openid profile email"),
    Variable(
        "WEBHOOK_NETWORKS",
        "Networks beside the public addresses to which tasks of plans may be sent, and by plain HTTP too: "
        "`10.20.0.0/16,fd00::/8`.",
    ),
    Variable(
        "ARTIFACT_NETWORKS",
        "Networks beside the public addresses in which artifacts are looked up, and by plain HTTP too: `10.30.0.0/16`.",
    ),
    Variable("EMAIL_URL", "`smtp://user:password@host:25`, `smtps://…`, or `console:`.", "console:"),
    Variable("EMAIL_FROM", "The sender of e-mail.", "Release management <releasemgmt@localhost>"),
    Variable(
        "CHECKPOINT_KEY",
        "The Ed25519 key that signs checkpoints and evidence; `manage.py checkpoint --new-key` makes one.",
    ),
    Variable(
        "CHECKPOINT_FILE",
        "Where a checkpoint of the audit trail is written every hour, outside the database: best a place to which can "
        "only be appended.",
    ),
    Variable("RELEASEMGMT_VAR", "Where the embedded installation keeps its database and key.", "var"),
)


@dataclass(frozen=True)
class Provider:
    """An OpenID Connect provider by which people sign in."""

    server_url: str
    client_id: str
    client_secret: str
    name: str
    scopes: list[str]

    @property
    def key(self) -> str:
        """What stands in its addresses and beside each subject: another issuer is another provider."""
        return re.sub(r"[^a-z0-9]+", "-", self.server_url.partition("://")[2].lower()).strip("-")


@dataclass(frozen=True)
class Environment:
    """The settings an operator makes by environment variables, typed."""

    embedded: bool
    var: Path
    database_url: str
    redis_url: str
    secret_key: str
    allowed_hosts: list[str]
    csrf_trusted_origins: list[str]
    public_url: str
    https: bool
    email_url: str
    email_from: str
    proxy_count: int
    checkpoint_key: str
    checkpoint_file: Path | None
    step_up_after: int
    webhook_networks: list[IPv4Network | IPv6Network]
    artifact_networks: list[IPv4Network | IPv6Network]
    provider: Provider | None


def read() -> Environment:
    """Read the environment; without DATABASE_URL it is the embedded installation, which needs nothing set."""
    env = Env()
    embedded = not env.str("DATABASE_URL", "")
    var = Path(env.str("RELEASEMGMT_VAR", str(ROOT / "var")))
    missing = [variable.name for variable in VARIABLES if variable.required and not env.str(variable.name, "")]
    if missing and not embedded:
        raise ImproperlyConfigured(f"Set these environment variables: {', '.join(missing)}.")
    origins: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])
    return Environment(
        embedded=embedded,
        var=var,
        database_url=env.str("DATABASE_URL", ""),
        redis_url=env.str("REDIS_URL", ""),
        secret_key=env.str("SECRET_KEY", "") or _own_secret_key(var),
        allowed_hosts=env.list("ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"]),
        csrf_trusted_origins=origins,
        public_url=(env.str("PUBLIC_URL", "") or [*origins, "http://127.0.0.1:8000"][0]).rstrip("/"),
        https=env.bool("HTTPS", False),
        email_url=env.str("EMAIL_URL", "console:"),
        email_from=env.str("EMAIL_FROM", "Release management <releasemgmt@localhost>"),
        proxy_count=env.int("PROXY_COUNT", 0),
        checkpoint_key=env.str("CHECKPOINT_KEY", ""),
        checkpoint_file=Path(file) if (file := env.str("CHECKPOINT_FILE", "")) else None,
        step_up_after=env.int("STEP_UP_AFTER", 15),
        webhook_networks=_networks(env, "WEBHOOK_NETWORKS"),
        artifact_networks=_networks(env, "ARTIFACT_NETWORKS"),
        provider=_provider(env),
    )


def _networks(env: Env, name: str) -> list[IPv4Network | IPv6Network]:
    try:
        names: list[str] = env.list(name, [])
        return [ip_network(each.strip()) for each in names if each.strip()]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}.") from error


def _provider(env: Env) -> Provider | None:
    needed = ("OIDC_SERVER_URL", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET")
    missing = [name for name in needed if not env.str(name, "")]
    if len(missing) == len(needed):
        return None
    if missing:
        raise ImproperlyConfigured(f"For sign-in by OpenID Connect set these too: {', '.join(missing)}.")
    return Provider(
        server_url=env.str("OIDC_SERVER_URL"),
        client_id=env.str("OIDC_CLIENT_ID"),
        client_secret=env.str("OIDC_CLIENT_SECRET"),
        name=env.str("OIDC_NAME", "Single sign-on"),
        scopes=env.str("OIDC_SCOPES", "openid profile email").split(),
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
