# The commands for users and developers. On a new machine, `make run` and `make test` install all they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help run dev seed install hooks test test-all check bench bench-seed fmt fuzz lock settings openapi clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 14

run: install  ## Start everything, with embedded servers, on http://127.0.0.1:8080
	@$(BIN)/trailgate up

dev: install  ## Start everything, and again whenever a source file changes
	@$(BIN)/watchfiles --filter python --sigint-timeout 20 "$(BIN)/trailgate up" api cli domain integrations storage workers

seed: install  ## Create an organisation with flows, trails and results to look at; prints its key
	@$(BIN)/trailgate seed

hooks: install  ## Check lint, types and wording rules before each commit
	@$(BIN)/pre-commit install

install: $(STAMP)  ## Create the virtual environment only

$(STAMP): requirements.lock cli/launcher.py
	@echo "Installing into $(VENV) (once, about a minute) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Trailgate needs Python 3.11 or newer")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@sed "1s|.*|#!$(CURDIR)/$(BIN)/python|" cli/launcher.py > $(BIN)/trailgate
	@chmod +x $(BIN)/trailgate
	@touch $@

test: install  ## Run the tests except the slow ones (3 to 4 minutes on two cores)
	@$(BIN)/python -m pytest -n auto -m "not slow"

test-all: install  ## Run also the slow tests: killed processes, whole user journeys, query plans (10 minutes)
	@$(BIN)/python -m pytest -n auto -p tests.plans.plugin

fuzz: install  ## Send 200 generated requests to each operation; FUZZ_REQUESTS=n sets another number
	@FUZZ_REQUESTS=$${FUZZ_REQUESTS:-200} $(BIN)/python -m pytest -n auto tests/fuzz

check: install  ## Check lint rules, formatting, types and the structure of the repository
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -n 0 tests/structure -m "not slow"

bench: install  ## Compare with minimal baselines and write docs/benchmarks.md (needs wrk; BENCH_PEERS_PYTHON adds peers)
	@$(BIN)/python -m tests.bench

bench-seed: install  ## Create a million attestations in ./bench-data for measurements
	@$(BIN)/python -m tests.bench.seed

fmt: install  ## Format the code and fix lint errors
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

settings: install  ## Write docs/settings.md
	@{ printf '# Settings\n\nWritten by \140make settings\140 out of storage/settings.py; read once, when a process starts.\n\n'; $(BIN)/trailgate settings; } > docs/settings.md

openapi: install  ## Write docs/openapi.json
	@$(BIN)/trailgate openapi --output docs/openapi.json

lock:  ## Pin all dependencies again (needs uv)
	uv pip compile --universal --python-version 3.11 --all-extras --generate-hashes --no-header pyproject.toml -o requirements.lock

clean:  ## Remove the virtual environment and caches, not the data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
