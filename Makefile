# `make run` and `make test` set up their own environment in .venv and need Python >= 3.11 and git, nothing else.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: run test test-quick coverage check showdown release clean

run: .venv/run.stamp
	$(BIN)/python -m poke.train algo=bc

test: check
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# The folders whose tests stay in one process, without the exports of graphs, and one run, begun and resumed.
QUICK = $(addprefix tests/,architecture algorithms comparison config networks policies spaces) \
	--ignore=tests/policies/test_export.py \
	tests/e2e/test_first_run.py::test_a_first_run_says_what_to_type_and_it_can_be_typed

test-quick: .venv/dev.stamp
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(QUICK)

# Takes about twice as long as `make test`. A process that is killed as it writes leaves an empty file.
coverage: .venv/dev.stamp
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto --dist loadfile --no-loadscope-reorder
	find . -maxdepth 1 -name '.coverage.*' -empty -delete
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Installed anew whenever pyproject.toml changed.
.venv/run.stamp: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/dev.stamp: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,showdown,sweep,mujoco,atari,minari,video,mlflow,trackio,export]'
	touch $@ .venv/run.stamp

# The Pokemon Showdown server that recording and some tests need.
showdown: .venv/dev.stamp
	$(BIN)/python -m poke.envs.showdown install

# Wheel and sdist in dist/, tried where nothing else is installed, and a tag; nothing is pushed.
release: .venv/dev.stamp
	PYTHON=$(PYTHON) .ci/release

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
