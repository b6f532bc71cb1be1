# Everything a fresh clone needs installs itself into .venv; PYTHON picks the interpreter.
PYTHON ?= python3
BIN := .venv/bin
# Python compiles what is imported; compiling all of torch takes longer than installing it.
INSTALL := --quiet --no-compile --constraint constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test coverage lint bench clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install $(INSTALL) --editable . --group test --group lint
	touch $@

demo: .venv/installed  ## analyze the H200 traces of this repository and show where the report is
	$(BIN)/traceana demo

test: .venv/installed lint  ## lint, types and every test that this machine can run
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

coverage: .venv/installed  ## what the tests reach, which takes several times as long as the tests alone
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal --cov --cov-report=term

lint: .venv/installed  ## style, types, and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

bench: .venv/installed  ## speed and memory beside peers, on TRACES=folder
	$(BIN)/pip install $(INSTALL) --group bench
	$(BIN)/python -m tests.bench $(TRACES)

clean:
	rm -rf .venv build dist *.egg-info
