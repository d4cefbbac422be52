# The commands of this project; `make` alone lists them. Each one first sets up what it needs (bin/setup), which
# is quick when it is there already, so nothing has to be installed or remembered beforehand.
#
#   PORT    of `make run` (8000)
#   PYTHON  that .venv is made with (python3; 3.11 or newer)
#   ARGS    more arguments for pytest: make test ARGS="tests/unit -k queue"; for `make bench`: ARGS="bubblewrap"
#   JOBS    processes that run the tests, besides one for those that need a container engine (2; bin/run-tests)
#   OUT     where `make package` puts the zip and its template (build/package)

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PORT ?= 8000
ARGS ?=
OUT ?= build/package
export PYTHON

BIN := .venv/bin
# What mypy reads: the parts that are there.
SOURCES := $(wildcard app.py bench chalicelib runner infra tests tools)

.PHONY: help run test lint format docs bench package clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## serve the API and the page on http://127.0.0.1:8000 (PORT=9000 for another port)
	@bin/setup run
	@exec $(BIN)/chalice local --port $(PORT) --no-autoreload

test: ## check style and types, then run all the tests (what CI runs)
	@bin/setup test
	@$(MAKE) lint-only
	@$(if $(strip $(ARGS)),$(BIN)/pytest $(ARGS),bin/run-tests)

lint: ## check style (ruff) and types (mypy) only
	@bin/setup lint
	@$(MAKE) lint-only

.PHONY: lint-only
lint-only:
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo 'ruff format: run `make format`' >&2; exit 1; }
	@$(BIN)/mypy $(SOURCES)

format: ## format the code, and mend what ruff can mend
	@bin/setup lint
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: ## write the generated tables of the documents, and .env.example
	@bin/setup lint
	@$(BIN)/python -m tools.reference

bench: ## what each sandbox costs beside the bare command, as a ratio
	@bin/setup test
	@$(BIN)/python -m bench.overhead $(ARGS)

# chalice bundles whatever lies in chalicelib/, so Python's caches go first. pip takes the wheels from .wheels
# and nowhere else: the zip of one commit is the same with a network and without. chalice asks for a region even
# where nothing depends on it.
package: ## build the Lambda function's zip, without network, into build/package (OUT=…)
	@bin/setup package
	@find chalicelib -name __pycache__ -prune -exec rm -rf {} +
	@export AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} PYTHONDONTWRITEBYTECODE=1; \
		export PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_FIND_LINKS=$(CURDIR)/.wheels; \
		$(BIN)/chalice package $(OUT)

clean: ## remove everything that the other commands made
	rm -rf .venv .wheels .setup build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .chalice/deployments
	find . -name __pycache__ -prune -exec rm -rf {} +
