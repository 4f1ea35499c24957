# Two commands matter: make run (sets everything up and plays a day) and make test.
# The others are for people who change the code.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: run test check lint types floors setup clean
.DEFAULT_GOAL := run

run: setup
	$(BIN)/python -m local.play $(ARGS)

test: setup
	$(BIN)/python -m pytest $(ARGS)

check: lint types floors test

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

floors: setup
	$(BIN)/lint-imports

setup: $(VENV)/.installed

# Installed anew whenever a pinned version changes.
$(VENV)/.installed: requirements.txt requirements-dev.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; name it with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is needed (Debian: apt-get install python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV) .run local/node_modules .mypy_cache .ruff_cache .hypothesis .import_linter_cache
