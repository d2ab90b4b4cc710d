# The two commands: `make demo` ranks exit policies on a real model, `make test` checks everything.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test setup weights lint types unit families benchmarks tasks clean

demo: setup weights
	$(BIN)/eebench run
	$(BIN)/eebench report

test: setup weights lint types unit

setup: $(VENV)/.installed

# Pinned by constraints.txt: an unpinned torch brings gigabytes of another build.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

weights: setup
	$(BIN)/eebench models pull smollm2-135m

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

unit: setup
	$(BIN)/python -m pytest

# Checks every causal-LM type that transformers knows, and writes the table of docs/models.md.
families: setup
	$(BIN)/python -m tests.families --write docs/models.md

benchmarks: setup weights
	$(BIN)/python -m benchmarks.trace_once

tasks: setup
	$(BIN)/python -m eebench.tasks.generate

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
