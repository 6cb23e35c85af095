# Needs git, make and a Python of at least 3.11 with its venv module; everything else goes into .venv.

PYTHON ?= python3
DIR ?=
PYTEST_ARGS ?=
# Files of tests side by side; a later `-n0` in PYTEST_ARGS says one after the other.
SIDE_BY_SIDE := -n auto --maxprocesses=4 --dist=loadfile
BENCH_ARGS ?=

VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-hermes test-faults check bench bench-docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## Take, destroy and restore a scratch copy of DIR (default: these files)
	@$(RUN) -m hermes_checkpoints.cli.demo $(if $(DIR),"$(DIR)")

test: $(INSTALLED) ## Run the whole suite; as root on Linux also on ext4, XFS and Btrfs (PYTEST_ARGS=…)
	@$(RUN) -m pytest --ignore=tests/real_hermes $(SIDE_BY_SIDE) $(PYTEST_ARGS)

test-hermes: $(INSTALLED) ## Run the drop-in inside the real Hermes Agent, which is installed into a venv of its own
	@$(RUN) -m pytest tests/hermes tests/real_hermes $(PYTEST_ARGS)

test-faults: $(INSTALLED) ## Strike takes, restores and reclaims at every system call, as root on Linux; `make test` tries some
	@$(RUN) -m pytest tests/faults tests/test_crowds.py tests/test_moving_workspace.py --faults=all $(PYTEST_ARGS)

check: $(INSTALLED) ## Lint, formatting, types, import rules
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: $(INSTALLED) ## Time the scenarios over every installed backend, with pytest-benchmark
	@$(RUN) -m pytest benchmarks --benchmark-only $(PYTEST_ARGS)

bench-docs: $(INSTALLED) ## Measure what docs/benchmarks.md says, as root on Linux, and write it (BENCH_ARGS=…)
	@$(RUN) benchmarks/targets.py $(BENCH_ARGS)
	@$(RUN) benchmarks/report.py

clean: ## Remove .venv, built packages and caches
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	find src backends tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Made anew when pyproject.toml changes: an editable install follows everything else by itself.
$(INSTALLED): pyproject.toml
	@command -v $(PYTHON) >/dev/null || \
		{ echo "make: $(PYTHON) was not found; install Python 3.11 or newer, or say PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $$($(PYTHON) --version) is too old; 3.11 or newer is needed: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "make: $(PYTHON) has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "make: installing into $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
