# Two commands on a fresh machine with Python 3.11: `make demo` and `make test`.
# The first call sets everything up in .venv; later ones only what has changed.

PYTHON ?= python3.11
# pip takes the CPU build where it finds one
TORCH ?= torch==2.13.0

BIN := .venv/bin
# Python compiles what it imports: compiling all of torch and the rest takes minutes
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-compile

.PHONY: demo test docs lock

demo: .venv/ready
	$(BIN)/unstained demo

test: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python -m pytest

docs: .venv/ready
	$(BIN)/mkdocs serve

lock:
	$(BIN)/python tools/lock.py

.venv/torch:
	@echo "Setting up .venv; this takes some minutes, once: first $(TORCH)"
	$(PYTHON) -m venv .venv
	$(PIP) $(TORCH)
	@touch $@

.venv/ready: .venv/torch pyproject.toml requirements.lock
	@echo "then the packages of requirements.lock"
	$(PIP) --no-deps --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
