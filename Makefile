# train: one command from a fresh clone to a trained policy. check, test, test-slow: what continuous integration runs.
# test-slow: the tests that take many processes, compilers, notebooks, a cluster or much learning.
# test-newest: the tests that are not slow, without tests/faults, on another Python and in another virtual environment:
# make test-newest VENV=.venv-newest PYTHON=python3.13
# test-gpu: the tests and the benchmark that need a CUDA GPU, in six minutes; on a machine without a network, copy the
# folder there after gpu-wheels, and run: sh tests/gpu/run.sh FOLDER
# bench: speed compared with other libraries, each in its own virtual environment (10 GB); an hour on two idle cores.
# learning: scores of the presets over five seeds; some hours on two cores. If stopped, it continues where it was.
# faults: all fault tests (`test` runs a sample of them); writes the table of docs/guarantees.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: train test test-slow test-newest test-gpu gpu-wheels check faults learning bench format clean

train: $(VENV)/.installed
	$(BIN)/python main.py

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

test-newest: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" --ignore=tests/faults

test-gpu: $(VENV)/.installed-dev
	PYTHON=$(BIN)/python sh tests/gpu/run.sh build/gpu

gpu-wheels:
	rm -rf build/wheels
	$(PYTHON) -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
	    $(foreach libc,2_28 2_27 2_24 2_17,--platform manylinux_$(libc)_x86_64) --platform manylinux2014_x86_64 \
	    --platform manylinux1_x86_64 --dest build/wheels --requirement tests/gpu/wheels.txt

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

faults: $(VENV)/.installed-dev
	rm -rf build/faults
	FAULTS=1 $(BIN)/python -m pytest -n 2 tests/faults tests/odd tests/environments/functional tests/launching
	$(BIN)/python -m tests.faults.table

learning: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[box2d,minatar,minigrid]'
	$(BIN)/python -m benchmarks.learning

bench: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[box2d,minatar]'
	$(BIN)/python -m benchmarks.peers.install
	$(BIN)/python -m benchmarks.speed.scaling
	$(BIN)/python -m benchmarks.speed.profile
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.speed --target
	$(BIN)/python -m benchmarks.speed --learning

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/.installed: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make train PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
