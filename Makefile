# Everything a developer or a user runs. `make run` and `make test` are all that a fresh machine needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run install test test-all check bench bench-seed fmt fuzz lock settings openapi clean

run: install  ## Start everything embedded on http://127.0.0.1:8080
	@$(BIN)/trailgate up

install: $(STAMP)  ## Make the virtual environment, and nothing else

$(STAMP): requirements.lock cli/launcher.py
	@echo "Installing into $(VENV) (once, about a minute) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Trailgate needs Python 3.11 or newer")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@sed "1s|.*|#!$(CURDIR)/$(BIN)/python|" cli/launcher.py > $(BIN)/trailgate
	@chmod +x $(BIN)/trailgate
	@touch $@

test: install  ## The suite, in under 10 minutes on two cores
	@$(BIN)/python -m pytest -n auto -m "not slow"

test-all: install  ## The suite with kills, whole journeys and every slow case
	@$(BIN)/python -m pytest -n auto -p tests.plans.plugin

fuzz: install  ## Two hundred requests to each operation that nobody thought of; FUZZ_REQUESTS=n for others
	@FUZZ_REQUESTS=$${FUZZ_REQUESTS:-200} $(BIN)/python -m pytest -n auto tests/fuzz

check: install  ## Lint, types and the structure of the house
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -n 0 tests/structure -m "not slow"

bench: install  ## Ratios against a bare baseline; writes docs/benchmarks.md (needs wrk)
	@$(BIN)/python -m tests.bench

bench-seed: install  ## A million attestations in ./bench-data, to look at and to measure
	@$(BIN)/python -m tests.bench.seed

fmt: install  ## Format, and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

settings: install  ## Write docs/settings.md
	@{ printf '# Settings\n\nWritten by \140make settings\140 out of storage/settings.py; read once, when a process starts.\n\n'; $(BIN)/trailgate settings; } > docs/settings.md

openapi: install  ## Write docs/openapi.json
	@$(BIN)/trailgate openapi --output docs/openapi.json

lock:  ## Pin every dependency anew (needs uv)
	uv pip compile --universal --python-version 3.11 --all-extras --generate-hashes --no-header pyproject.toml -o requirements.lock

clean:  ## Remove the virtual environment and caches; data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
