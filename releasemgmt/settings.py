"""Django settings, one file: what differs between installations comes from the environment (env.py)."""

from datetime import timedelta
from email.utils import parseaddr
from typing import Any

import dj_database_url
import dj_email_url
from csp.constants import NONE, SELF

from releasemgmt import env
from releasemgmt.audiences import AUDIENCES
from releasemgmt.portal.theme import THEME
from releasemgmt.web import logs

ENV = env.read()
BASE_DIR = env.ROOT
SECRET_KEY = ENV.secret_key
DEBUG = False
EMBEDDED = ENV.embedded
ALLOWED_HOSTS = ENV.allowed_hosts
CSRF_TRUSTED_ORIGINS = ENV.csrf_trusted_origins
PUBLIC_URL = ENV.public_url
WEBHOOK_NETWORKS = ENV.webhook_networks
ARTIFACT_NETWORKS = ENV.artifact_networks

INSTALLED_APPS = [
    "releasemgmt.portal",
    "deployments",
    "approvals",
    "releasemgmt.releases",
    "releasemgmt.notifications",
    "releasemgmt.catalog",
    "releasemgmt.accounts",
    "releasemgmt.web",
    "releasemgmt.workflow",
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "releasemgmt.portal.apps.SiteConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.mfa",
    "csp",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "releasemgmt.web.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "releasemgmt.web.middleware.TimeZoneMiddleware",
]

ROOT_URLCONF = "releasemgmt.urls"
WSGI_APPLICATION = "releasemgmt.wsgi.application"
APPEND_SLASH = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- databases -------------------------------------------------------------------------------------------------------
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=134217728; "
        "PRAGMA cache_size=-20000; PRAGMA journal_size_limit=67108864;"
    ),
}
DATABASES: dict[str, dict[str, Any]]
if EMBEDDED:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(ENV.var / "releasemgmt.sqlite3"),
            "OPTIONS": SQLITE_OPTIONS,
        }
    }
else:
    DATABASES = {"default": dict(dj_database_url.parse(ENV.database_url))}
    DATABASES["default"] |= {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
    DATABASES["default"]["OPTIONS"] = {
        # Figures sort and group a year of commits in memory; compiling a query pays for none that we ask.
        "options": "-c idle_in_transaction_session_timeout=60000 -c work_mem=32MB -c jit=off",
        "connect_timeout": 5,
        # The server plans a statement once for a connection: most of what a short one costs is its plan.
        "server_side_binding": True,
        "prepare_threshold": 3,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# The table survives every worker and a Redis outage; a local-memory cache would double each limit over two workers.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "web_cache"}}

# --- people ----------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "admin:index"
ACCOUNT_ADAPTER = "releasemgmt.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_RATE_LIMITS = {"login": "30/m/ip", "login_failed": "10/m/ip,5/5m/key"}
ALLAUTH_TRUSTED_PROXY_COUNT = ENV.proxy_count
# The second factor is everybody's own choice: an authenticator app, and codes to print.
MFA_ADAPTER = "releasemgmt.accounts.adapter.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_ALLOW_UNVERIFIED_EMAIL = True
# Sign-in by an OpenID Connect provider: an account is found by provider and subject alone (accounts.commands).
SOCIALACCOUNT_ADAPTER = "releasemgmt.accounts.adapter.ProviderAdapter"
SOCIALACCOUNT_LOGIN_ON_GET = True  # a link: a form may not lead to another site, and linking asks on a page of its own
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {}
if ENV.provider:
    SOCIALACCOUNT_PROVIDERS["openid_connect"] = {
        "OAUTH_PKCE_ENABLED": True,
        "SCOPE": ENV.provider.scopes,
        "APP": {
            "provider_id": ENV.provider.key,
            "name": ENV.provider.name,
            "client_id": ENV.provider.client_id,
            "secret": ENV.provider.client_secret,
            "settings": {"server_url": ENV.provider.server_url},
        },
    }
# From then on what weighs much asks for the password again; allauth's own pages too.
STEP_UP_AFTER = timedelta(minutes=ENV.step_up_after)
ACCOUNT_REAUTHENTICATION_TIMEOUT = int(STEP_UP_AFTER.total_seconds())
SESSION_COOKIE_AGE = int(timedelta(hours=12).total_seconds())

# --- transport -------------------------------------------------------------------------------------------------------
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ENV.https
SECURE_SSL_REDIRECT = ENV.https
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds()) if ENV.https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = ENV.https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.https and ENV.proxy_count else None
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {"default-src": [SELF], "img-src": [SELF, "data:"], "form-action": [SELF]}
    | dict.fromkeys(("object-src", "base-uri", "frame-ancestors"), [NONE])
}

# --- pages -----------------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = "releasemgmt.web.formats"
STATIC_URL = "/static/"
STATIC_ROOT = None if EMBEDDED else ENV.var / "static"
WHITENOISE_USE_FINDERS = EMBEDDED
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if EMBEDDED
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

UNFOLD = THEME

# --- mail ------------------------------------------------------------------------------------------------------------
_mail = dj_email_url.parse(ENV.email_url)
EMAIL_BACKEND = _mail["EMAIL_BACKEND"]
EMAIL_HOST = _mail.get("EMAIL_HOST", "")
EMAIL_PORT = _mail.get("EMAIL_PORT") or 25
EMAIL_HOST_USER = _mail.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = _mail.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = _mail.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = _mail.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = ENV.email_from
SERVER_EMAIL = parseaddr(ENV.email_from)[1]

# --- REST API --------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "releasemgmt.accounts.authentication.TokenAuthentication",
        "releasemgmt.accounts.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["releasemgmt.web.access.ScopedAccess"],
    "DEFAULT_PARSER_CLASSES": ["releasemgmt.web.parsing.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "releasemgmt.web.pagination.CursorPagination",
    "DEFAULT_FILTER_BACKENDS": ["releasemgmt.web.access.StrictFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "releasemgmt.web.schema.AutoSchema",
    "DEFAULT_METADATA_CLASS": None,
    "URL_FORMAT_OVERRIDE": None,
    "EXCEPTION_HANDLER": "releasemgmt.web.errors.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Release management",
    "DESCRIPTION": "Plan, gate, approve, schedule and record releases and deployments.",
    "VERSION": "v1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "ReleaseType": [(name, name.capitalize()) for name in ("major", "minor", "patch", "emergency")],
        "ChangeType": [(name, name.capitalize()) for name in ("standard", "normal", "emergency")],
        "IncidentKind": "deployments.api.incident.KINDS",
        "IncidentSeverity": [(name, name.capitalize()) for name in ("critical", "major", "minor")],
        "DefectSeverity": [(n, n.capitalize()) for n in ("blocker", "critical", "major", "minor", "trivial")],
        "PreparationKind": "deployments.models.PreparationKind.choices",
        "CallbackStatus": [(name, name.capitalize()) for name in ("succeeded", "failed")],
        "Tier": "releasemgmt.catalog.models.Tier.choices",
    },
}

# --- background work: ticks only, the database is the truth (docs/architecture.md) -----------------------------------
CELERY_BROKER_URL = ENV.redis_url or "memory://localhost/"
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {
        "visibility_timeout": 600,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 5,
        "socket_keepalive": True,
    }
    if ENV.redis_url
    else {"polling_interval": 0.05}
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    name: {"task": task, "schedule": seconds, "options": {"expires": seconds * 0.9}}
    for name, task, seconds in [
        ("drain", "releasemgmt.notifications.tasks.drain", 1.0),
        ("deliver", "releasemgmt.notifications.tasks.deliver", 1.0),
        ("start due plans", "deployments.tasks.start_due_plans", 1.0),
        ("finish plans", "deployments.tasks.finish_plans", 1.0),
        ("call webhooks", "deployments.tasks.call_webhooks", 1.0),
        ("look up artifacts", "deployments.tasks.look_up_artifacts", 1.0),
        ("advance", "releasemgmt.releases.tasks.advance", 1.0),
        ("lay out windows", "deployments.tasks.lay_out_windows", 60.0),
        ("withdraw rounds", "approvals.tasks.withdraw_rounds", 60.0),
        ("run boards", "approvals.tasks.run_boards", 60.0),
        ("follow up rounds", "approvals.tasks.follow_up", 60.0),
        ("watch quorums", "approvals.tasks.watch_quorums", 60.0),
        ("watch retrospectives", "approvals.tasks.watch_retrospectives", 60.0),
        ("forget keys", "releasemgmt.web.tasks.forget_idempotency_keys", 60.0),
        ("checkpoint", "releasemgmt.web.tasks.write_checkpoint", 60.0),
    ]
}

# --- the audit trail: what a database's administrator can't rewrite (docs/guide/evidence.md) --------------------------
CHECKPOINT_KEY = ENV.checkpoint_key
CHECKPOINT_FILE = ENV.checkpoint_file
CHECKPOINT_EVERY = timedelta(hours=1)

# --- the workflow: who supplies what to the apps below it (docs/architecture.md) -------------------------------------
WORKFLOW_GATES: dict[str, list[str]] = {
    "releases.Release.build": ["releasemgmt.releases.gates.not_on_hold", "releasemgmt.releases.gates.builds_complete"],
    "releases.Release.pass_integration": [
        "releasemgmt.releases.gates.not_on_hold",
        "releasemgmt.releases.gates.integration_suites_passed",
    ],
    "releases.Release.accept": [
        "releasemgmt.releases.gates.not_on_hold",
        "releasemgmt.releases.gates.acceptance_suites_passed",
        "releasemgmt.releases.gates.documents_complete",
        "releasemgmt.releases.gates.no_blocking_defect",
        "approvals.gates.linked_changes_authorised",
        "approvals.gates.release_signed_off",
        "approvals.gates.no_overdue_retrospective",
    ],
    "releases.Release.close": [
        "releasemgmt.releases.gates.not_on_hold",
        "releasemgmt.releases.gates.late_documents_complete",
        "releasemgmt.releases.gates.review_recorded",
        "releasemgmt.releases.gates.exposure_settled",
    ],
    "releases.Release.rework": ["deployments.gates.no_production_deployment_running"],
    "releases.Release.cancel": ["deployments.gates.no_production_deployment_running"],
    "approvals.ChangeRequest.submit": ["approvals.gates.change_complete", "approvals.gates.follows_model"],
    "approvals.ChangeRequest.record": ["approvals.gates.incident_named"],
    "approvals.ChangeRequest.implement": [
        "approvals.gates.change_approved",
        "approvals.gates.conditions_met",
        "approvals.gates.inside_approved_interval",
        "deployments.gates.change_window_open",
    ],
    "approvals.ChangeRequest.close": ["approvals.gates.change_reviewed", "approvals.gates.retrospective_approved"],
    "deployments.DeploymentPlan.prepare": [
        "deployments.gates.has_tasks",
        "deployments.gates.irreversible_change_secured",
        "deployments.gates.preparation_complete",
    ],
    "deployments.DeploymentPlan.schedule": [
        "deployments.gates.release_may_reach_production",
        "deployments.gates.latest_start_ahead",
        "deployments.gates.irreversible_change_secured",
        "deployments.gates.preparation_holds",
        "deployments.gates.no_conflict",
        "deployments.gates.window_open",
        "deployments.gates.backout_fits",
    ],
    "deployments.DeploymentPlan.start": [
        "deployments.gates.scheduled_where_controlled",
        "deployments.gates.release_may_reach_production",
        "deployments.gates.release_deployable",
        "deployments.gates.sign_off_holds",
        "deployments.gates.conditions_met",
        "deployments.gates.no_blocking_defect",
        "deployments.gates.changes_ready",
        "deployments.gates.irreversible_change_secured",
        "deployments.gates.preparation_holds",
        "deployments.gates.between_planned_and_latest_start",
        "deployments.gates.no_conflict",
        "deployments.gates.line_runs",
        "deployments.gates.window_open",
        "deployments.gates.backout_fits",
        "deployments.gates.promoted",
        "deployments.gates.environment_free",
    ],
    "deployments.DeploymentPlan.succeed": ["deployments.gates.tasks_done"],
    "deployments.DeploymentPlan.back_out": [
        "deployments.gates.way_back_written",
        "deployments.gates.environment_held",
        "deployments.gates.nothing_newer_there",
    ],
    "deployments.DeploymentPlan.roll_back": ["deployments.gates.tasks_done"],
}
# Who hears of an event.
NOTIFICATION_AUDIENCES = AUDIENCES
# Facts from above that raise a release's risk: callables(release) giving reasons of high risk.
RISK_FACTS: list[str] = ["deployments.queries.risk_facts"]
# When a release is to go to production, as those above know it: callables(release) -> an instant or None.
PLANNED_STARTS: list[str] = ["deployments.queries.planned_start"]
# How long a round waits for its votes, at most: reminded at half time, then escalated, expired after the grace.
ROUND_DUE, ROUND_GRACE = timedelta(days=3), timedelta(days=3)
RETROSPECTIVE_DUE = timedelta(hours=48)
# Which votes count for a record's present content: callable(record) -> their JSON; edits ask it before and after.
SIGN_OFFS = "approvals.queries.live_votes"
# How the last deployments under a release model went: callable(model) -> how many are known, how many went wrong.
PRE_APPROVAL_FACTS = "deployments.queries.track_record"
# The round that stands behind a release now: callable(release, now) -> facts for the event of `accept`.
SIGNED_OFF_BY = "approvals.queries.signed_off_by"
# What waits for a person's vote: callable(user, now) -> rounds with a subject, a digest and an opened_at, for `me/`.
OPEN_APPROVALS = "approvals.queries.waiting_for"

# --- logging ---------------------------------------------------------------------------------------------------------
LOGGING = logs.configure(for_people=EMBEDDED)
