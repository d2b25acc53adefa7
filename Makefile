# `make dev` installs and starts a working gateway. `make ci` installs and runs the quality gate.

# The fastest that fits, looked for once; or say one: make PYTHON=python3.12 …
PYTHON ?= $(shell python3 scripts/interpreter.py)
VENV   := .venv
BIN    := $(VENV)/bin
PORT   ?= 8000
SRC    := src tests bench scripts examples

.DEFAULT_GOAL := help
.PHONY: help bootstrap doctor dev run ci gate nightly quality lint format format-check types typecheck \
        layers compile test test-contracts sdk sdk-python sdk-js fidelity bench smoke smoke-journey \
        requirements lock build start test-mock clean

# List the targets
help:
	@grep -B1 -E '^[a-z][a-z-]*:' $(MAKEFILE_LIST) | grep -E '^#|^[a-z]' | sed 'N;s/^# \(.*\)\n\([a-z-]*\):.*/\2	\1/' | grep '	' | sort | awk -F'	' '{printf "  %-16s %s\n", $$1, $$2}'

$(VENV)/.base: requirements.txt pyproject.toml
	@test -x $(BIN)/python || { python=$(PYTHON); test -n "$$python" && $$python -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Python 3.11 to 3.13 is needed, this is {v.major}.{v.minor}: make PYTHON=python3.12 …")' && $$python -m venv $(VENV); }
	@echo "Installing into $(VENV), once: this takes up to a minute or two." >&2
	@$(BIN)/python scripts/install.py --editable requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.base
	@$(BIN)/python scripts/install.py requirements-dev.txt
	@touch $@

$(VENV)/.programs: requirements-programs.txt $(VENV)/.dev
	@$(BIN)/python scripts/install.py requirements-programs.txt
	@touch $@

# Install everything that working on the project needs
bootstrap: $(VENV)/.dev

# Look over this machine and the installation, as for `make dev`
doctor: $(VENV)/.base
	@DRAGOMAN_HOME="$${DRAGOMAN_HOME:-$(CURDIR)/.dev}" $(BIN)/dragoman doctor --local --port $(PORT)

# Install, start a gateway on 127.0.0.1:8000 and say how to talk to it
dev: $(VENV)/.base
	@$(BIN)/python scripts/dev.py --port $(PORT)

# The same as dev
run: dev

# Start the gateway as installed, without the talk
start: $(VENV)/.base
	@$(BIN)/dragoman serve --local --port $(PORT)

# The quality gate: everything that must hold for every change
ci: bootstrap
	@$(BIN)/python scripts/gate.py ci

# The long gate: everything that must hold before a release
gate: bootstrap $(VENV)/.programs
	@$(BIN)/python scripts/gate.py gate

# The long runs
nightly: gate

# Lint, types, layers
quality: lint format-check types layers

# Look for mistakes of style and substance
lint: bootstrap
	@$(BIN)/ruff check $(SRC)

# Format the code
format: bootstrap
	@$(BIN)/ruff format $(SRC)

# Check the format
format-check: bootstrap
	@$(BIN)/ruff format --check $(SRC)

# Check the types of the package, strictly
types: bootstrap
	@$(BIN)/mypy

# The same as types
typecheck: types

# Check who imports whom
layers: bootstrap
	@$(BIN)/lint-imports

# Compile every module
compile: bootstrap
	@$(BIN)/python -m compileall -q src

# Run the tests with branch coverage
test: bootstrap
	@$(BIN)/python scripts/gate.py test

# Run the promises that the repository makes about itself
test-contracts: bootstrap
	@$(BIN)/python -m pytest -q tests/house

# Check the SDKs that are there
sdk: sdk-python sdk-js

# Check the Python SDK
sdk-python: bootstrap
	@$(BIN)/python scripts/sdk.py python

# Check the JavaScript SDK
sdk-js: bootstrap
	@$(BIN)/python scripts/sdk.py typescript

# Replay recorded traffic through the running gateway, where the referee and the recordings are
fidelity: bootstrap
	@$(BIN)/python scripts/fidelity.py --sample 200

# Measure: requests, streams, latency, memory, start; PEERS=1 adds LiteLLM and Portkey
bench: bootstrap
	@$(BIN)/python bench/run.py $(if $(PEERS),--peers)

# A short test over real HTTP
smoke: bootstrap
	@$(BIN)/python -m pytest -q tests/flow/test_smoke.py

# Start a server and walk through it as a user would
smoke-journey: bootstrap
	@$(BIN)/python scripts/smoke_journey.py

# Start the mock provider
test-mock: $(VENV)/.base
	@$(BIN)/dragoman mock

# Print which requirements a test names, and which are left
requirements: bootstrap
	@$(BIN)/python scripts/requirements.py

# Renew the lock files from pyproject.toml
lock: bootstrap
	@$(BIN)/python scripts/lock.py

# Build the wheel and the source archive
build: bootstrap
	@$(BIN)/python -m build

# Remove what was made, the environment included
clean:
	@rm -rf $(VENV) .dev .coverage .coverage.* htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
