# Everything a person or CI does here. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

UV_VERSION := 0.13.8
PYTHON ?= python3
USE_CASE ?= card_fraud
ARGS ?=
PYTEST_ARGS ?=
# Test processes at once; each may start a JVM of about 1 GB.
WORKERS ?= 2

BIN := .venv/bin
UV := .tools/bin/uv
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
JARS := $(or $(LAKELOOP_SPARK_JARS_FOLDER),$(CACHE)/lakeloop/jars)
SYNCED := .venv/.synced
FETCHED := $(JARS)/.fetched
ARCHIVED := .venv/.class-archive
WORKBENCH := .venv/.workbench-client
# Long files first, so that the short ones fill up the end.
TESTS := tests/integration tests/faults tests/contract tests/golden tests/unit

##@ Use it

.PHONY: run
run: ready ## Land the next batch, train, judge, redeploy (USE_CASE=card_fraud, ARGS="--rows 50000")
	@$(BIN)/lakeloop run $(USE_CASE) $(ARGS)

.PHONY: stop
stop: ## End every local endpoint
	@if [ -x $(BIN)/lakeloop ]; then $(BIN)/lakeloop stop --all; else echo "nothing is set up, nothing runs"; fi

.PHONY: demo-cai
demo-cai: setup ## Cloudera AI on an emulated workbench: jobs as code, two redeploys, and one whose build fails
	@$(BIN)/python scripts/demo_cai.py $(ARGS)

.PHONY: demo-flights
demo-flights: ready ## Second walk-through: the flights of 2013, twelve monthly batches, table and plot
	@$(BIN)/python scripts/demo_flights.py $(ARGS)

##@ Set it up

.PHONY: setup
setup: ready $(ARCHIVED) $(WORKBENCH) ## Environment from the lock file, Java, Spark's jars, what tests need; instant when there is nothing to do

.PHONY: ready
ready: $(SYNCED) java $(FETCHED)

.PHONY: java
java:
	@bash scripts/ensure_java.sh

$(UV):
	@echo "== uv $(UV_VERSION), into .tools"
	@bash scripts/install_uv.sh "$(PYTHON)" "$(UV_VERSION)"

$(SYNCED): uv.lock pyproject.toml | $(UV)
	@echo "== Python environment from uv.lock, into .venv (about 1 GB the first time)"
	@$(UV) sync --locked --extra all --compile-bytecode
	@touch $@

$(FETCHED): $(SYNCED)
	@echo "== Spark's Iceberg and SQLite jars, into $(JARS)"
	@$(BIN)/python -m lakeloop.adapters.spark.jars | sed -u 's/^::progress:://'
	@mkdir -p $(JARS) && touch $@

$(ARCHIVED): $(FETCHED)
	@echo "== An archive of Spark's classes, so that it starts in less time"
	@$(BIN)/python -m lakeloop.adapters.spark.class_archive
	@touch $@

##@ A cluster

.PHONY: images
images: setup ## Build the images that changed and print their sizes (IMAGES="train serve", INDEX_URL=, CA_BUNDLE=, BASE_IMAGE=)
	@INDEX_URL="$(INDEX_URL)" CA_BUNDLE="$(CA_BUNDLE)" BASE_IMAGE="$(BASE_IMAGE)" $(BIN)/python -m scripts.images $(IMAGES)

.PHONY: kind-up
kind-up: setup ## From nothing to a kind cluster with pipelines, KServe, MLflow and the stores; again is quick
	@$(BIN)/python -m scripts.cluster.kind_up

.PHONY: kind-down
kind-down: setup ## Remove that cluster and all it holds
	@$(BIN)/python -m scripts.cluster.kind_down

$(WORKBENCH): $(FETCHED) tests/emulators/cai/description.py tests/emulators/cai/client_package.py
	@echo "== The client of the emulated Cloudera AI workbench, by swagger-codegen"
	@$(BIN)/python -m tests.emulators.cai.client_package | sed -u 's/^::progress:://'
	@touch $@

##@ Check it

.PHONY: test
test: lint ## Lint, types, layers, then unit, contract, golden, integration and fault tests
