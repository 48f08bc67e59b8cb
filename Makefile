# Two commands do everything: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST_ARGS ?=

.PHONY: demo test test-realdata test-emulator coverage lint bench clean

# The main job on real data: fetch, train, prune, export, quantize, profile, judge.
demo: $(VENV)/.demo
	$(BIN)/edgekit run mnist-cnn --download

# Everything that needs neither a download nor the ARM emulator. The tests of a file stay
# together, for they share what is slow to make; the long files come first.
test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# What reads real data sets and packages; downloads what is not there yet.
test-realdata: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --maxschedchunk 1 -m realdata $(PYTEST_ARGS)

# What runs the real ARM libraries; sets the emulator up, in the user's cache, first.
test-emulator: $(VENV)/.test
	$(BIN)/edgekit emulator setup
	$(BIN)/python -m pytest -m emulator $(PYTEST_ARGS)

# What the tests reached that ran with PYTEST_ARGS="--cov --cov-append --cov-fail-under=0".
coverage: $(VENV)/.test
	$(BIN)/python -m coverage report --skip-covered

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.test
	$(BIN)/python benchmarks/startup.py

clean:
	rm -rf $(VENV) .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt -e '.[all]'
	touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt -e '.[all,dev]'
	touch $@ $(VENV)/.demo
