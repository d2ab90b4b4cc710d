# The two commands: `make demo` ranks exit policies on a real model, `make test` checks everything.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test setup weights lint types unit families benchmarks tasks studies joint board site clean

# SmolLM2 as it comes, and trained for early exit by an adapter that comes with EEBench.
demo: setup weights
	$(BIN)/eebench run -m smollm2-135m,smollm2-135m-joint
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

# A process per core, up to four: each holds torch, and some real weights.
unit: setup
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

# Checks every causal-LM type that transformers knows, and writes the table of docs/models.md.
families: setup
	$(BIN)/python -m tests.families --write docs/models.md

benchmarks: setup weights
	$(BIN)/python -m benchmarks.trace_once

# What lies in docs/studies, from scratch: an hour and a half on two cores. DATASETS is a folder in the hub's layout that holds
# WikiText-2.
PAIR := smollm2-135m --against smollm2-135m-joint
studies: setup weights
	$(BIN)/eebench models pull gemma3-270m
	$(BIN)/eebench study $(PAIR) --kv-tasks eebench_records --kv-limit 10 -o docs/studies/smollm2-135m
	$(BIN)/eebench study $(PAIR) -t wikitext --limit 6 --no-half-layers --kv-tasks none --datasets-dir $(DATASETS) \
		-o docs/studies/smollm2-135m-running-text
	$(BIN)/eebench study gemma3-270m --limit 100 --kv-tasks eebench_edits --kv-limit 10 -o docs/studies/gemma3-270m

# The adapter smollm2-135m-joint, from scratch: about two hours on two cores. DATASETS as above. Most is learnt on shorter
# texts, which are quicker; then, on longer ones, the full model is brought back to what it was, and early layers count less.
JOINT := --data build/wikitext-pages.jsonl --data build/sampled.jsonl --batch-size 1 --layer-weights uniform --layers 8 \
	--temperature 0.5 --anchor 0.5
joint: setup weights
	mkdir -p build
	$(BIN)/python docs/studies/wikitext_pages.py $(DATASETS) build/wikitext-pages.jsonl
	$(BIN)/python docs/studies/sampled_text.py smollm2-135m build/sampled.jsonl --texts 192
	$(BIN)/eebench tune smollm2-135m $(JOINT) -o build/joint-1 --rank 18 --steps 400 --length 1024 --learning-rate 6e-4 \
		--early-weight 0.6 --measure-every 100
	$(BIN)/eebench tune smollm2-135m+build/joint-1 $(JOINT) -o build/joint-2 --steps 120 --length 2048 \
		--learning-rate 3e-4 --warmup 10 --early-weight 0.5 --measure-every 30
	$(BIN)/eebench tune smollm2-135m+build/joint-2 $(JOINT) -o build/smollm2-135m-joint --steps 110 --length 2048 \
		--learning-rate 4e-4 --warmup 10 --early-weight 0.25 --measure-every 22 --seed 1235

# The first board, measured anew into build/leaderboard: over three hours on two cores. DATASETS as above.
board: setup weights
	$(BIN)/eebench models pull gemma3-270m
	EEBENCH=$(BIN)/eebench leaderboard/measure.sh $(DATASETS) build/leaderboard

# The site of the leaderboard that comes with EEBench.
site: setup
	$(BIN)/eebench site build build/site --leaderboard leaderboard

tasks: setup
	$(BIN)/python -m eebench.tasks.generate

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
