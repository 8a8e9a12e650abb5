# The image of web, worker and beat alike; compose.yaml says which it is. Configured by environment variables alone
# (docs/reference/settings.md).
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
COPY requirements.lock .
RUN /opt/venv/bin/pip install --require-hashes --only-binary :all: -r requirements.lock
WORKDIR /app
COPY manage.py ./
COPY releasemgmt releasemgmt
COPY approvals approvals
COPY deployments deployments
# collectstatic asks for complete settings and uses none of these.
RUN DATABASE_URL=postgres://none REDIS_URL=redis://none SECRET_KEY=none ALLOWED_HOSTS=none CSRF_TRUSTED_ORIGINS=http://none \
    /opt/venv/bin/python manage.py collectstatic --no-input && /opt/venv/bin/python -m compileall -q /app

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --user-group --no-create-home releasemgmt \
    && install -d -o releasemgmt -g releasemgmt -m 0700 /var/lib/releasemgmt
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER releasemgmt
EXPOSE 8000
# 127.0.0.1 must be among ALLOWED_HOSTS, as in compose.yaml.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", "--blocking-threads", "2", \
     "--no-ws", "--respawn-failed-workers", "--workers-kill-timeout", "20", "releasemgmt.wsgi:application"]
