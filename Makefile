# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
# Without a GPU this release of torch comes as a CPU build; with one, pip chooses by the range in pyproject.toml.
TORCH_CPU := torch==2.13.0
TEST_PROCESSES ?= 2

.PHONY: demo editors test lint types format docs pictures vsix benchmark clean
.DEFAULT_GOAL := test

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/torch: | $(BIN)/python
	@command -v nvidia-smi >/dev/null 2>&1 || $(PIP) "$(TORCH_CPU)"
	@touch $@

$(VENV)/worker: pyproject.toml $(VENV)/torch
	$(PIP) -e ".[worker]"
	@touch $@

$(VENV)/dev: pyproject.toml $(VENV)/torch
	$(PIP) -e ".[worker,dev,editors]"
	@touch $@

demo: $(VENV)/worker
	$(BIN)/dw-lsp run workflows/shapes.dw.json

# What the tests in Visual Studio Code need; where it cannot be installed, it says why and they are skipped.
editors: $(VENV)/dev
	$(BIN)/python tests/end_to_end/vscode/install.py $(VENV)/editors

# A file of tests stays in one process: its tests share a worker.
test: $(VENV)/dev editors
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

lint: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/dev
	$(BIN)/mypy

format: $(VENV)/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/dev
	$(BIN)/python docs/generate.py

# The pictures of the documentation, from the real editor.
pictures: $(VENV)/dev editors
	$(BIN)/python docs/take_pictures.py

vsix:
	cd vscode-extension && npm ci --no-audit --no-fund && PYTHON=$(PYTHON) npm run package

benchmark: $(VENV)/dev
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file; done

clean:
	rm -rf $(VENV) build dist outputs
