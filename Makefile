# Sluice: one command for each thing that a person wants. `make` alone lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

PYTHON ?= python3
CACHE := $(or $(SLUICE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sluice)
BIN := .venv/bin
CLUSTER := $(BIN)/python k8s/local/cluster.py
READY := .venv/.ready
E2E := tests/e2e

.PHONY: help setup demo test test-unit test-go test-e2e lint format generate bench-server bench-peers bench-overload soak fuzz cluster-up cluster-down cluster-status clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## install everything that Python needs into .venv (uv too, when it is missing)

$(READY): pyproject.toml .constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Sluice needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
	  echo "Install one, or name it: make setup PYTHON=/path/to/python3.12"; exit 1; }
	@UV=$$(command -v uv || echo $(CACHE)/uv/bin/uv); \
	if [ ! -x "$$UV" ]; then \
	  echo "== setup: installing uv into $(CACHE)/uv"; \
	  $(PYTHON) -m venv $(CACHE)/uv && $(CACHE)/uv/bin/python -m pip install -q 'uv>=0.5' || { \
	    echo "Could not install uv. On Debian: apt install python3-venv. Or install uv yourself."; exit 1; }; \
	fi; \
	echo "== setup: installing the Python packages (about 6 GB with torch; the first time takes minutes)"; \
	[ -x $(BIN)/python ] || "$$UV" venv -q --python $(PYTHON) .venv; \
	"$$UV" pip install -q --python $(BIN)/python -c .constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY) ## show the main job on real photographs (KEEP=1 leaves it running)
	@PYTHONPATH=k8s/local:tests $(BIN)/python -m demo

test: $(READY) ## every check: lint, Go tests, unit tests, end to end on a real control plane
	@$(MAKE) lint
	@$(MAKE) test-go
	@$(MAKE) test-unit
	@$(MAKE) test-e2e

test-unit: $(READY) ## the tests that need no cluster (minutes on two cores)
	@$(BIN)/python -m pytest -q tests --ignore=$(E2E)

test-go: $(READY) ## the tests of the local cluster's Go part
	@$(CLUSTER) test

# A cluster that was up before stays up. pytest's closing line stays the last one.
test-e2e: $(READY) ## end to end on the local cluster
	@had=0; $(CLUSTER) status >/dev/null 2>&1 || had=$$?; \
	$(CLUSTER) up || exit 1; \
	status=0; $(CLUSTER) run $(BIN)/python -m pytest -q $(E2E) || status=$$?; \
	[ $$had -ne 3 ] || $(CLUSTER) down >/dev/null 2>&1; \
	exit $$status

lint: $(READY) ## ruff, mypy strict, the laws of the architecture, generated files
	@echo "== lint"
	@$(BIN)/ruff format --check -q . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(READY) ## put every file into the house style
	@$(BIN)/ruff check -q --fix-only .
	@$(BIN)/ruff format -q .

generate: $(READY) ## write the generated files again (the CRD and the chart's copy of it)
	@$(BIN)/python -m embedding_operator.api.crd > k8s/crd/.new && \
	mv k8s/crd/.new k8s/crd/embeddingservices.yaml && \
	cp k8s/crd/embeddingservices.yaml charts/sluice/files/embeddingservices.yaml

bench-server: $(READY) ## measure the server against the origin's design (reports/server.md; ARGS=--quick for a try)
	@PYTHONPATH=tests $(BIN)/python -m bench.server $(ARGS)

bench-peers: $(READY) ## measure the server against infinity-emb and LitServe (reports/peers.md)
	@PYTHONPATH=tests $(BIN)/python -m bench.against_peers $(ARGS)

# atheris has its own environment, which looks into this one for everything else.
fuzz: $(READY) ## hostile input for minutes (FUZZ_SECONDS=120; reports/fuzz.json)
	@UV=$$(command -v uv || echo $(CACHE)/uv/bin/uv); \
	[ -x $(CACHE)/fuzz/bin/python ] || "$$UV" venv -q --python $(BIN)/python $(CACHE)/fuzz; \
	"$$UV" pip install -q --python $(CACHE)/fuzz/bin/python 'atheris>=3' || \
	  echo "== fuzz: atheris does not install here"; \
	PYTHONPATH=k8s/local:tests $(BIN)/python -m fuzz $(CACHE)/fuzz/bin/python

bench-overload: $(READY) ## hold the server at 3 x its capacity (DURATION=300; reports/overload.json)
	@PYTHONPATH=tests $(BIN)/python -m endurance overload --seconds $(or $(DURATION),300)

soak: $(READY) ## live settings, slow clients and SIGTERM under load (CHANGES=200; reports/soak.json)
	@PYTHONPATH=tests $(BIN)/python -m endurance soak --changes $(or $(CHANGES),200)

cluster-up: $(READY) ## start a real control plane on this machine, without root
	@$(CLUSTER) up

cluster-down: $(READY) ## stop it
	@$(CLUSTER) down

cluster-status: $(READY) ## say what runs
	@$(CLUSTER) status

clean: ## remove what was made in this folder (the build cache stays)
	@[ ! -x $(BIN)/python ] || $(CLUSTER) down
	@rm -rf .venv .sluice reports dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
