# The commands of this project; `make` alone lists them. Each one first sets up what it needs (bin/setup), which
# is quick when it is there already, so nothing has to be installed or remembered beforehand.
#
#   PORT     of `make run` (8000)
#   PYTHON   the interpreter for .venv (python3; 3.11 or newer)
#   TIER     of `make test`: fast (the default) or all; tests/support/tiers.py says what is in which
#   ARGS     arguments for pytest: make test ARGS="tests/unit -k queue"; for `make bench`: ARGS="bubblewrap"
#   JOBS     processes that run the tests, without the one for those that need a container engine (2; bin/run-tests)
#   UPGRADE  1 for `make lock` to take newer versions
#   IMAGE    the image of `make sbom` (will-it-compile-runner)
#   OUT      where `make package` puts the zip and its template (build/package)

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PORT ?= 8000
TIER ?= fast
ARGS ?=
OUT ?= build/package
IMAGE ?= will-it-compile-runner
export PYTHON TIER UPGRADE

BIN := .venv/bin
# What mypy reads: the parts that are there.
SOURCES := $(wildcard app.py bench chalicelib runner infra tests tools)

.PHONY: help run test lint format lock docs bench package sbom audit clean

# The times were measured on two cores, with everything set up; the first time, set-up comes on top.
help: ## list the commands (less than a second)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'The first time, each also sets up what it needs (1 to 4 minutes; 10 to 20 for TIER=all).'
	@echo 'What a change touches:  make test ARGS="tests/unit/test_worker.py tests/contract"'
	@echo 'Everything, as in CI:   make test TIER=all  (35 minutes; needs root and a container engine)'

run: ## serve the API and the page on http://127.0.0.1:8000, PORT=9000 for another port (3 seconds until it answers)
	@bin/setup run
	@exec $(BIN)/chalice local --port $(PORT) --no-autoreload

# With ARGS the tests that they select all run, whatever their tier.
test: ## check style and types, then run the fast tier of the tests; TIER=all for all of them (6 minutes)
	@bin/setup $(if $(filter all,$(TIER)),test-all,test)
	@$(MAKE) lint-only
	@$(if $(strip $(ARGS)),env -u TIER $(BIN)/pytest $(ARGS),bin/run-tests)

lint: ## check style (ruff) and types (mypy) only (15 seconds)
	@bin/setup lint
	@$(MAKE) lint-only

.PHONY: lint-only
lint-only:
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo 'ruff format: run `make format`' >&2; exit 1; }
	@$(BIN)/mypy $(SOURCES)

format: ## format the code, and fix what ruff can fix (2 seconds)
	@bin/setup lint
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## write requirements*.txt from pyproject.toml, UPGRADE=1 for newer versions (10 seconds)
	@bin/setup lint
	@bin/lock

docs: ## write the generated tables of the documents, and .env.example (2 seconds)
	@bin/setup lint
	@$(BIN)/python -m tools.reference

bench: ## what each sandbox costs, as a ratio to the bare command (2 minutes)
	@bin/setup test-all
	@$(BIN)/python -m bench.overhead $(ARGS)

# chalice bundles every file in chalicelib/, so it gets a copy without Python's caches. pip takes the wheels from
# .wheels and nowhere else: the zip of one commit is the same with a network and without. chalice asks for a region
# even where nothing depends on it.
package: ## build the Lambda function's zip, the same for each commit, into build/package (10 seconds)
	@bin/setup package
	@source=$$(mktemp -d) && trap 'rm -rf "$$source"' EXIT; \
		tar --exclude=__pycache__ -cf - .chalice/config.json app.py chalicelib requirements.txt | tar -xf - -C "$$source"; \
		export AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} PYTHONDONTWRITEBYTECODE=1; \
		export PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_FIND_LINKS=$(CURDIR)/.wheels; \
		$(BIN)/chalice --project-dir "$$source" package $(abspath $(OUT))
	@$(BIN)/python -m tools.lambda_zip $(abspath $(OUT))/deployment.zip

sbom: ## what the runner's image consists of, for scanners, IMAGE=name for another one (2 seconds)
	@bin/setup lint
	@$(BIN)/python -m tools.bill_of_materials $(IMAGE)

# The packages of each requirements file against the advisories of PyPI, and of npm for the tests' own tools.
audit: ## look for known weaknesses in what we depend on; needs a network (20 seconds)
	@bin/setup audit
	@for file in requirements-local.txt requirements-dev.txt; do \
		echo "$$file:"; .setup/audit/bin/pip-audit --strict --require-hashes --disable-pip -r $$file || exit 1; done
	@npm audit --prefix tests/sarif --audit-level=low

clean: ## remove everything that the other commands made (2 seconds)
	rm -rf .venv .wheels .setup build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .chalice/deployments
	find . -name __pycache__ -prune -exec rm -rf {} +
