# The commands for users and developers. On a new machine, `make run` and `make test` install all they need: `make run`
# what Trailgate runs with, `make test` and the other targets for developers also their tools.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TOOLS := $(VENV)/.tools
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes

.PHONY: help run dev seed install hooks test test-all check bench bench-seed fmt fuzz lock settings openapi clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 14

run: $(INSTALLED)  ## Start everything, with embedded servers, on http://127.0.0.1:8080
	@$(BIN)/trailgate up

dev: $(TOOLS)  ## Start everything, and again whenever a source file changes
	@$(BIN)/watchfiles --filter python --sigint-timeout 20 "$(BIN)/trailgate up" api cli domain integrations storage workers

seed: $(INSTALLED)  ## Create an organisation with flows, trails and results to look at; prints its key
	@$(BIN)/trailgate seed

hooks: $(TOOLS)  ## Check lint, types and wording rules before each commit
	@$(BIN)/pre-commit install

install: $(INSTALLED)  ## Create the virtual environment only

$(INSTALLED): requirements-embedded.lock cli/launcher.py
	@echo "Installing into $(VENV) (once, about a minute) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Trailgate needs Python 3.11 or newer")'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) -r requirements-embedded.lock
	@sed "1s|.*|#!$(CURDIR)/$(BIN)/python|" cli/launcher.py > $(BIN)/trailgate
	@chmod +x $(BIN)/trailgate
	@touch $@

$(TOOLS): requirements-dev.lock $(INSTALLED)
	@echo "Installing the tools for developers into $(VENV) (once, about a minute) ..."
	@$(PIP_INSTALL) -r requirements-dev.lock
	@touch $@

test: $(TOOLS)  ## Run the tests except the slow ones (6 to 8 minutes on two cores)
	@$(BIN)/python -m pytest -n auto -m "not slow"

test-all: $(TOOLS)  ## Run also the slow tests: killed processes, whole user journeys, query plans (10 minutes)
	@$(BIN)/python -m pytest -n auto -p tests.plans.plugin

fuzz: $(TOOLS)  ## Send 200 generated requests to each operation; FUZZ_REQUESTS=n sets another number
	@FUZZ_REQUESTS=$${FUZZ_REQUESTS:-200} $(BIN)/python -m pytest -n auto tests/fuzz

check: $(TOOLS)  ## Check lint rules, formatting, types and the structure of the repository
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -n 0 tests/structure -m "not slow"

bench: $(TOOLS)  ## Compare with minimal baselines and write docs/benchmarks.md (needs wrk; BENCH_PEERS_PYTHON adds peers)
	@$(BIN)/python -m tests.bench

bench-seed: $(TOOLS)  ## Create a million attestations in a data directory of their own, for measurements
	@$(BIN)/python -m tests.bench.seed

fmt: $(TOOLS)  ## Format the code and fix lint errors
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

settings: $(INSTALLED)  ## Write docs/settings.md
	@{ printf '# Settings\n\nWritten by \140make settings\140 out of storage/settings.py; read once, when a process starts.\n\n'; $(BIN)/trailgate settings; } > docs/settings.md

openapi: $(INSTALLED)  ## Write docs/openapi.json
	@$(BIN)/trailgate openapi --output docs/openapi.json

UV_COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml

lock:  ## Pin all dependencies again (needs uv)
	$(UV_COMPILE) --all-extras -o requirements-dev.lock
	$(UV_COMPILE) --extra embedded -c requirements-dev.lock -o requirements-embedded.lock
	$(UV_COMPILE) -c requirements-dev.lock -o requirements.lock

clean:  ## Remove the virtual environment and caches, not the data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
