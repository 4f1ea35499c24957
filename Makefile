# Two commands matter: make run (sets everything up and plays a day) and make test.
# The others are for people who change the code.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
WORKERS ?= 3
# What checks infra/: a Python program that takes the folder, or a command that takes main.bicep (bicep build --stdout).
CHECK_BICEP ?= $(wildcard ../shared/check_bicep/check.py)

.PHONY: run test endure check lint types floors bicep package setup clean
.DEFAULT_GOAL := run

run: setup
	$(BIN)/python -m local.play $(ARGS)

# By files, on more workers than cores: much of it waits for a host, an emulator or a clock.
test: setup
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

# The attack in its long form: docs/reliability.md. ARGS="--part siege --faults 1000 --seeds 1 2 3"
endure: setup
	$(BIN)/python -m tests.endurance $(ARGS)

check: lint types floors bicep test

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

floors: setup
	$(BIN)/lint-imports

# The Bicep compiler is no part of a development machine. tests/unit/infra reads the files with or without it.
bicep: setup
	@case "$(CHECK_BICEP)" in \
	"") echo "bicep: skipped, CHECK_BICEP names nothing to check infra/ with" ;; \
	*.py) $(BIN)/python "$(CHECK_BICEP)" --strict infra ;; \
	*) $(CHECK_BICEP) infra/main.bicep >/dev/null ;; \
	esac

# dist/app.zip: what is deployed. Needs nothing but Python.
package:
	$(PYTHON) -m local.package $(ARGS)

setup: $(VENV)/.installed

# Installed anew whenever a pinned version changes.
$(VENV)/.installed: requirements.txt requirements-dev.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; name it with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is needed (Debian: apt-get install python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV) .run dist local/node_modules .mypy_cache .ruff_cache .hypothesis .import_linter_cache
