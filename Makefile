# Two targets matter: `make demo` sets everything up and runs the main job on this machine; `make test` sets everything
# up and runs every check and test, on the testbed: a private Docker, registry and Kubernetes with gVisor.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
STAMP := $(VENV)/.installed

.PHONY: help demo demo-cluster test check format pytest reference engine-check bench bench-compare testbed testbed-down clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

$(RUNS): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[local]'
	@touch $@

$(STAMP): $(RUNS)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

demo: $(RUNS) ## set up what is missing, then run examples/ on this machine, without Docker and cluster
	$(BIN)/pdwatch run --target local examples

demo-cluster: testbed ## set up what is missing, then run examples/ on the testbed
	$(BIN)/python -m tests.testbed exec -- $(BIN)/pdwatch run examples

test: check engine-check pytest ## set up what is missing, then run every check and test

check: $(STAMP) ## ruff, mypy and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## put the format of Python and TypeScript files right
	$(BIN)/ruff format .
	cd pdwatch/engine && "$(CURDIR)/$(BIN)/deno" fmt
	for each in examples tests/e2e/workflows benchmarks/engine; do (cd $$each && "$(CURDIR)/$(BIN)/deno" fmt); done

reference: $(STAMP) ## write the man pages and completion scripts anew, from the commands
	$(BIN)/python -m pdwatch.cli.reference

engine-check: $(STAMP) ## deno fmt, lint, check, test and coverage (95 %) of the engine; fmt, lint, check of other TypeScript
	cd pdwatch/engine && PATH="$(CURDIR)/$(BIN):$$PATH" && \
	  coverage=$$(mktemp -d) && trap 'rm -rf "$$coverage"' EXIT && \
	  deno fmt --check && deno lint && deno check . && \
	  deno task test --coverage="$$coverage" --coverage-raw-data-only && \
	  deno coverage --threshold=95 --include="^file://$$PWD/" --exclude='/testing/|_test\.ts$$' "$$coverage" && \
	  for each in examples tests/e2e/workflows benchmarks/engine; do \
	    (cd "$(CURDIR)/$$each" && deno fmt --check && deno lint && deno check .) || exit 1; done

pytest: $(STAMP) ## the Python tests; bring up the testbed and take it down
	$(BIN)/python -m pytest $(PYTEST_ARGS)

bench: $(STAMP) ## measure pdwatch on the testbed, 25 minutes; ONLY=loop,growth SAVES=5 QUICK=1 BENCH_ARGS=… take less
	$(BIN)/python -m benchmarks $(ONLY:%=--only=%) $(SAVES:%=--saves=%) $(if $(QUICK),--quick) $(BENCH_ARGS)

bench-compare: $(STAMP) ## compare two runs: BASE=old.json, and NEW=new.json unless it is the latest
	$(BIN)/python -m benchmarks.compare $(BASE) $(NEW)

testbed: $(STAMP) ## bring up a private Docker, registry and Kubernetes with gVisor
	$(BIN)/python -m tests.testbed up

testbed-down: $(STAMP) ## take the testbed down
	$(BIN)/python -m tests.testbed down

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache
