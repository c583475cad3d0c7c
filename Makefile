# make demo   runs the main job on the sample photos     make lint   style and types
# make test   runs the tests (no GPU, no network)        make slow   the longer proofs
# Each sets up .venv by itself, once.

SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
DEMO := demo

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint slow faults lock clean

help:  ## say what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup: $(READY)  ## make .venv from requirements.lock (once; about 5 minutes and 7 GB)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "image-narrator needs Python 3.11, 3.12 or 3.13; name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "Setting up .venv with $$($(PYTHON) --version): about 5 minutes and 7 GB, once."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "Set up."

demo: $(READY)  ## narrate the sample photos: captions, alt text, clips and a manifest under demo/out
	@$(BIN)/narrate samples $(DEMO)/photos
	@$(BIN)/narrate run $(DEMO)/photos $(DEMO)/out --show

test: $(READY)  ## run the tests that need no GPU and no network, two files at a time
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not faults" -n 2 --dist loadfile

slow: $(READY)  ## run the proofs that take longer than a minute each
	@$(BIN)/python -m pytest -m slow

faults: $(READY)  ## run the real faults, many times over
	@$(BIN)/python -m pytest -m faults

lint: $(READY)  ## check style and types
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy

lock: $(READY)  ## write requirements.lock anew from pyproject.toml
	@$(BIN)/python -m uv pip compile pyproject.toml --group dev --universal --generate-hashes --no-header --no-annotate \
	  --python-version 3.11 --quiet --upgrade --output-file requirements.lock

clean:  ## remove .venv, caches and the demo's folder
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist $(DEMO)
