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
# Test processes at once: three for two cores, since they wait much; each may start a JVM of about 1 GB.
WORKERS ?= 3

BIN := .venv/bin
UV := .tools/bin/uv
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
JARS := $(or $(LAKELOOP_SPARK_JARS_FOLDER),$(CACHE)/lakeloop/jars)
SYNCED := .venv/.synced
FETCHED := $(JARS)/.fetched
ARCHIVED := .venv/.class-archive
WORKBENCH := .venv/.workbench-client
# What has a target of its own.
APART := not e2e and not every_fault and not old_mlflow and not kserve_sdk
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
test: ready ## Lint, types, layers, then unit, contract, golden, integration and fault tests
	@$(MAKE) --no-print-directory -j2 setup lint
	@$(BIN)/pytest $(TESTS) -m "not crash and $(APART)" -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

.PHONY: test-fast
test-fast: setup ## Unit, contract and golden tests that need no JVM
	@$(BIN)/pytest tests/unit tests/contract tests/golden -m "not spark and $(APART)" $(PYTEST_ARGS)

.PHONY: test-e2e
test-e2e: setup ## The cluster tests; brings the cluster up if it is not, removes it if it did (KEEP_CLUSTER=1 keeps it)
	@$(BIN)/pytest tests/e2e -m e2e $(PYTEST_ARGS)

.PHONY: test-e2e-long
test-e2e-long: setup ## ... with the long ones: loads, crashes, conformance, replay, the deployer's contract on KServe
	@LAKELOOP_E2E_LONG=1 $(BIN)/pytest tests/e2e tests/contract/test_deployer.py -m e2e $(PYTEST_ARGS)

.PHONY: test-scorecard
test-scorecard: setup ## The scorecard as a test: twenty of twenty caught, as the committed page says
	@$(BIN)/pytest tests/scorecard $(PYTEST_ARGS)

.PHONY: crash-matrix
crash-matrix: setup ## Kill every step around every commit and rerun; rewrites the tables in docs/reliability.md
	@LAKELOOP_PUBLISH_CRASH_MATRIX=1 $(BIN)/pytest tests/faults -m crash $(PYTEST_ARGS)

.PHONY: histories
histories: setup ## Three random histories of 200 operations on Spark and Iceberg against a model of the truth (15 minutes)
	@$(BIN)/pytest tests/integration/test_random_histories.py -m crash $(PYTEST_ARGS)

.PHONY: test-workbench-faults
test-workbench-faults: setup ## Every fault at every call of a Cloudera AI redeploy, both strategies (minutes; `make test` has a part)
	@$(BIN)/pytest tests/faults/test_workbench_calls.py -m every_fault $(PYTEST_ARGS)

.PHONY: test-old-mlflow
test-old-mlflow: setup ## Runs and versions on a real MLflow 2.19 server, as workbenches have it (installs it once)
	@$(BIN)/pytest tests/contract/test_models.py -m old_mlflow $(PYTEST_ARGS)

.PHONY: test-kserve-sdk
test-kserve-sdk: setup ## The kserve SDK's own clients against a predictor: v1, v2 and gRPC (installs the SDK once)
	@$(BIN)/pytest tests/contract/test_kserve_sdk.py -m kserve_sdk $(PYTEST_ARGS)

.PHONY: lint
lint: ready ## Ruff, formatting, mypy --strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: bench
bench: setup ## Ratios: loop overhead, 1x and 50x history, Iceberg to booster against toPandas
	@$(BIN)/python -m tests.bench $(ARGS)

.PHONY: bench-features
bench-features: setup ## Five features of 777,715 loans in six ways, all giving the same values (minutes)
	@$(BIN)/python -m tests.bench.features $(ARGS)

.PHONY: bench-serving
bench-serving: setup ## Predictor against mlflow models serve, MLServer and the kserve SDK (needs wrk; installs the peers once)
	@$(BIN)/python -m tests.bench.serving $(ARGS)

.PHONY: bench-cluster
bench-cluster: setup ## A second retrain on the cluster of `make kind-up`: end-to-end time, and the share of pods' starts
	@$(BIN)/python -m tests.bench.on_cluster $(ARGS)

.PHONY: bench-cai
bench-cai: setup ## 200 requests a second through the gateway of an emulated Cloudera AI workbench during ten redeploys (ARGS="--rate 400")
	@$(BIN)/python -m tests.bench.workbench_traffic $(ARGS)

.PHONY: scorecard
scorecard: setup ## Twenty ways to a silent wrong model, played on the labs' way and on lakeloop; rewrites docs/scorecard.*
	@$(BIN)/python -m tests.scorecard $(ARGS)

##@ Change it

.PHONY: fmt
fmt: setup ## Format, and fix what ruff can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: compile
compile: setup ## Recompile every pipelines/*/pipeline.py to the pipeline.yaml beside it
	@$(BIN)/python -m scripts.golden pipelines

.PHONY: golden
golden: compile ## Rewrite all that is generated and committed: pipelines, the use case's JSON schema, messages of gRPC, manifests, images/tools.txt
	@$(BIN)/python -m scripts.golden schema
	@$(BIN)/python -m scripts.golden messages
	@$(BIN)/python -m scripts.golden manifests
	@$(BIN)/python -m scripts.golden platform

.PHONY: clean
clean: stop ## Remove caches and the embedded set-up (LAKELOOP_HOME or .lakeloop); keeps .venv and .tools
	@home="$${LAKELOOP_HOME:-.lakeloop}"; if [ -e "$$home/runs" ] || [ -e "$$home/catalog.db" ]; then rm -rf "$$home"; fi
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path "./.venv/*" -not -path "./.tools/*" -prune -exec rm -rf {} +

##@ Help

.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
