# Two commands matter: `make run` and `make test`. `make help` lists the rest.
PORT ?= 8000
PY := .venv/bin/python
DEMO_REPORT := releasemgmt/portal/demo/junit.xml
SCHEMA := docs/reference/openapi.yaml
ARGS ?=
# What the checks write goes where it is ignored.
CHECK := RELEASEMGMT_VAR=$(CURDIR)/var/check DJANGO_SETTINGS_MODULE=tests.settings
# An installation as an operator makes it, for `check --deploy`; nothing connects to anything.
PRODUCTION := RELEASEMGMT_VAR=$(CURDIR)/var/check DATABASE_URL=postgres://127.0.0.1/none REDIS_URL=redis://127.0.0.1/0 \
	ALLOWED_HOSTS=releases.example.org CSRF_TRUSTED_ORIGINS=https://releases.example.org HTTPS=1 PROXY_COUNT=1

.PHONY: help run test check faults bench lock format schema docs demo-report clean env dev-env
.NOTPARALLEL:

help: ## List what make can do
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

run: env ## Run the service with its demo world on http://127.0.0.1:8000 (another port: make run PORT=8001)
	@PUBLIC_URL=$${PUBLIC_URL:-http://127.0.0.1:$(PORT)} exec $(PY) manage.py serve --port $(PORT)

test: dev-env ## Run all tests; with DATABASE_URL and REDIS_URL set, on PostgreSQL and Redis (some: make test ARGS="-k vote")
	$(PY) -m pytest $(ARGS)

check: dev-env ## Format, lint, types, import contracts, migrations, deployment settings, API snapshot, generated pages
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	RELEASEMGMT_VAR=$(CURDIR)/var/check .venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	$(CHECK) $(PY) manage.py makemigrations --check --dry-run
	$(PRODUCTION) SECRET_KEY=$$($(PY) -c 'import secrets; print(secrets.token_urlsafe(50))') \
		$(PY) manage.py check --deploy --fail-level WARNING
	@mkdir -p var/check
	$(CHECK) $(PY) manage.py spectacular --validate --fail-on-warn --file var/check/openapi.yaml
	@diff -u $(SCHEMA) var/check/openapi.yaml || { echo "$(SCHEMA) is not what the code says: make schema"; exit 1; }
	$(CHECK) $(PY) manage.py reference --check

faults: dev-env ## The long forms of the proofs, on PostgreSQL and SQLite, with a report (some: make faults ARGS="races kills")
	$(PY) -m tests.faults $(ARGS)

bench: dev-env ## Measure the service against its floor and its limit, on PostgreSQL
	$(PY) -m tests.bench $(ARGS)

lock: dev-env ## Write both lock files anew from pyproject.toml (newer versions: make lock ARGS=--upgrade)
	.venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate $(ARGS) \
		pyproject.toml -o requirements.lock
	.venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate $(ARGS) \
		pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock

format: dev-env ## Format the code and mend what ruff can
	.venv/bin/ruff check --fix-only
	.venv/bin/ruff format

schema: dev-env ## Write the OpenAPI snapshot anew
	$(CHECK) $(PY) manage.py spectacular --validate --fail-on-warn --file $(SCHEMA)

docs: dev-env ## Write the generated reference pages anew
	$(CHECK) $(PY) manage.py reference

demo-report: dev-env ## Write the demo world's JUnit report anew, from a real run of the tests
	@mkdir -p var $(dir $(DEMO_REPORT))
	$(PY) -m pytest --junitxml=var/junit.xml
	@sed -e 's/ hostname="[^"]*"//g' -e 's|$(CURDIR)/||g' var/junit.xml > $(DEMO_REPORT)

clean: ## Remove what was built; the data in var/ stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov var/check
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

env:
	@.ci/setup requirements.lock

dev-env:
	@.ci/setup requirements-dev.lock
