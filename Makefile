# Everything a fresh clone needs installs itself into .venv; PYTHON picks the interpreter.
PYTHON ?= python3
BIN := .venv/bin
# Compiling all of torch takes longer than installing it; Python compiles what is imported, and has to keep that.
INSTALL := --quiet --no-compile --constraint constraints.txt
unexport PYTHONDONTWRITEBYTECODE
# On two cores: many tests wait more than they work, so a third process has what to do meanwhile.
PROCESSES := --numprocesses 3 --dist worksteal
# Where both are asked for, mypy works on one core and the tests begin on the other.
MAKEFLAGS += --jobs=2
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test judge coverage lint docs dist example bench matrix newest figures fuzz clean

# Without JupyterLab, which HolisticTraceAnalysis names and does not import: 70 packages, and a third of all files.
# Without its own pip, which Python would compile in whole to have it replaced at once, but where PYTHON has no other.
.venv/installed: pyproject.toml setup.py constraints.txt traceana/trace/scan.c
	$(PYTHON) -m venv --without-pip .venv
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --no-compile --upgrade 'pip>=25.1' \
	  || { $(BIN)/python -m ensurepip && $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'; }
	$(BIN)/pip install $(INSTALL) --editable . --group test
	$(BIN)/pip install $(INSTALL) --no-deps 'holistictraceanalysis>=0.5'
	touch $@

# Apart, so that tests need not wait for it.
.venv/linting: .venv/installed
	$(BIN)/pip install $(INSTALL) --group lint
	touch $@

demo: .venv/installed  ## capture two small sides here, analyze them, show where the report is
	$(BIN)/traceana demo

test: .venv/installed  ## every test that this machine can run, but for what judge counts
	$(BIN)/python -m pytest $(PROCESSES)

judge: .venv/installed  ## what takes hundreds of draws: how often verdicts are right, and that any damage is survived
	$(BIN)/python -m pytest tests/judge

coverage: .venv/installed  ## what the tests reach, which takes several times as long as the tests alone
	$(BIN)/python -m pytest $(PROCESSES) --cov --cov-report=term

lint: .venv/linting  ## style, types, and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

matrix:  ## capture's tests with torch 2.5 to the newest on Python 3.10 to 3.14, for a night: gigabytes of downloads
	$(PYTHON) -m tests.matrix

newest: .venv/installed  ## whether the newest sglang, vLLM and diffusers have what adapters need: half a gigabyte of downloads
	$(BIN)/python -m tests.newest

docs: .venv/installed  ## the documentation as a site in site/, where a broken link is an error
	$(BIN)/pip install $(INSTALL) --group docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

dist: .venv/installed  ## an sdist and the wheel that is built from it, in dist/, with metadata that an index takes
	$(BIN)/pip install $(INSTALL) --group release
	rm -rf dist
	$(BIN)/python -m build --no-isolation .
	$(BIN)/twine check --strict dist/*

example: .venv/installed  ## docs' examples and docs/report.png, drawn anew from the reports that docs/ keeps
	$(BIN)/python -m tests.example
	$(BIN)/python -m tests.example_sweep

bench: .venv/installed  ## speed and memory beside peers, on TRACES=folder
	$(BIN)/pip install $(INSTALL) --group bench
	$(BIN)/python -m tests.bench $(TRACES)

figures: .venv/installed  ## every number that README.md and docs/ state; what capture costs takes a quarter of an hour
	$(BIN)/python -m tests.bench.figures --benches

fuzz: .venv/installed  ## fuzz every reader for SECONDS each; needs CPython 3.11 to 3.13 on Linux
	$(BIN)/pip install $(INSTALL) --group fuzz
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),600) --keep

clean:
	rm -rf .venv build dist site *.egg-info
