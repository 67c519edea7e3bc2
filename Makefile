# What a developer, CI and a person who tries it out type. Needs python3 (3.11 or newer, with venv) and make.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
INSTALLED := $(VENV)/.installed
DYNALITE_VERSION := 4.0.0
PEERS := .cache/peers-venv/.installed .cache/aiobotocore-venv/.installed
DYNALITE := .cache/npm/.dynalite-$(DYNALITE_VERSION)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test check conformance soak bench lock format docs pictures wheel image install dynalite browser tools clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

install: $(INSTALLED) ## Make .venv with everything pinned in requirements.lock

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "migrator needs Python 3.11 or newer; name one: make PYTHON=python3.12 …")'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --require-hashes -r requirements.lock
	@# The build backend is pinned in the lock too, so nothing is fetched for building.
	$(RUN) pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(INSTALLED) ## Migrate the sample database into an embedded DynamoDB and look at the result
	@sh demo/demo.sh $(VENV)/bin

test: $(INSTALLED) dynalite browser tools ## Run the tests, on every DynamoDB engine that can be had
	$(RUN) pytest

conformance: $(INSTALLED) dynalite ## Run only the engine tests; DYNAMODB_ENDPOINT=URL adds that engine
	$(RUN) pytest tests/conformance

soak: $(INSTALLED) dynalite ## Kill two hundred runs, throttle for a minute, and more; takes most of an hour
	$(RUN) pytest tests/faults -m soak -n auto

check: $(INSTALLED) ## Format, lint, types, import order, generated pages
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) mypy
	$(VENV)/bin/lint-imports
	$(RUN) docs.build_cli --check
	$(RUN) docs.build_scale --check

format: $(INSTALLED) ## Format, and mend what the linter can mend
	$(RUN) ruff check --fix
	$(RUN) ruff format

docs: $(INSTALLED) ## Write the generated pages anew
	$(RUN) docs.build_cli
	$(RUN) docs.build_scale

pictures: $(INSTALLED) browser ## Take the pictures of docs/pages.md anew
	PYTHONPATH=tests $(RUN) docs.build_pictures

bench: $(INSTALLED) $(PEERS) ## Measure migrator beside its peers; QUICK=1 takes three minutes and writes no page
	$(RUN) benchmarks $(if $(QUICK),--quick)

# The peers' environments: .cache/NAME-venv from benchmarks/NAME-requirements.txt. aiobotocore pins another botocore than the rest.
.cache/%-venv/.installed: benchmarks/%-requirements.txt
	$(PYTHON) -m venv $(dir $@)
	$(dir $@)bin/python -m pip install --quiet -r $<
	@touch $@

lock: $(INSTALLED) ## Pin the newest versions that pyproject.toml allows
	$(RUN) uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	    --upgrade --no-header --no-emit-index-url --no-emit-find-links --quiet -o requirements.lock
	@# The same versions once more, of what a scheduled run needs and no tool of development.
	$(RUN) uv pip compile pyproject.toml --extra metrics --universal --python-version 3.11 --generate-hashes \
	    --constraint requirements.lock --no-header --no-emit-index-url --no-emit-find-links --quiet -o deploy/requirements.lock

wheel: $(INSTALLED) ## Build dist/migrator-*.whl
	rm -rf dist
	$(RUN) pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

image: wheel ## Build the image of deploy/Dockerfile; needs docker
	docker build --file deploy/Dockerfile --tag migrator .

# The second engine of the engine tests. Without it they are skipped, so a missing npm stops nothing.
dynalite: $(DYNALITE)

$(DYNALITE):
	@if ! command -v npm >/dev/null; then echo "npm is not here: the tests on dynalite are skipped"; \
	elif npm install --prefix .cache/npm --no-save --no-audit --no-fund --loglevel=error dynalite@$(DYNALITE_VERSION); then touch $@; \
	else echo "dynalite could not be installed: the tests on it are skipped"; fi

# What looks at the HTML pages. Without it those tests are skipped, so a missing browser stops nothing. The font is the
# one that pictures are taken with.
browser:
	@if { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; then :; \
	elif ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then echo "Chromium is not here: the tests on pages are skipped"; \
	elif apt-get update -qq && apt-get install -qq --no-install-recommends chromium fonts-liberation >/dev/null; then :; \
	else echo "Chromium could not be installed: the tests on pages are skipped"; fi

# What watches the system calls of a run, and what makes a file system whose files share blocks. Without them their tests
# are skipped.
tools:
	@if command -v strace >/dev/null && command -v mkfs.xfs >/dev/null; then :; \
	elif ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then echo "strace or mkfs.xfs is not here: their tests are skipped"; \
	elif apt-get update -qq && apt-get install -qq --no-install-recommends strace xfsprogs >/dev/null; then :; \
	else echo "strace and xfsprogs could not be installed: their tests are skipped"; fi

clean: ## Remove what make has made
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
