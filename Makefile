# `make run` and `make test` set up their own environment in .venv and need Python >= 3.11 and git, nothing else.
PYTHON ?= python3
BIN = .venv/bin
LOWEST = .venv-lowest/bin
PYTEST = -m pytest -n auto --dist loadfile --no-loadscope-reorder
EXTRAS = dev,showdown,sweep,mujoco,atari,minari,video,mlflow,trackio,export

.PHONY: run test test-slow test-quick test-lowest coverage check docs showdown release clean

run: .venv/run.stamp
	$(BIN)/python -m poke.train algo=bc

test: check
	$(BIN)/python $(PYTEST) -m "not slow"

# What `make test` leaves out for its length; continuous integration runs both.
test-slow: .venv/dev.stamp
	$(BIN)/python $(PYTEST) -m slow

# The folders whose tests stay in one process, without the exports of graphs, and one run, begun and resumed.
QUICK = $(addprefix tests/,architecture algorithms comparison config networks policies spaces) \
	--ignore=tests/policies/test_export.py \
	tests/e2e/test_first_run.py::test_a_first_run_says_what_to_type_and_it_can_be_typed

test-quick: .venv/dev.stamp
	$(BIN)/python $(PYTEST) -m "not slow" $(QUICK)

# All tests, about twice as long. Files of processes that are killed as they write them are left out, which is said.
coverage: .venv/dev.stamp
	$(BIN)/coverage erase
	$(BIN)/coverage run $(PYTEST) -m "not unmeasured"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# The tests with the lowest version of everything that pyproject.toml allows, in an environment of their own.
test-lowest: .venv-lowest/stamp
	$(LOWEST)/python $(PYTEST)

check: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, in site/: no network is needed, and a link that leads nowhere fails it (--quiet would hide it from that).
docs: .venv/dev.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

# Installed anew whenever pyproject.toml changed.
.venv/run.stamp: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/dev.stamp: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS)]'
	touch $@ .venv/run.stamp

# uv takes the lowest; torch comes by pip and first, so that both environments have the same build of it.
.venv-lowest/stamp: pyproject.toml
	$(PYTHON) -m venv --clear .venv-lowest
	$(LOWEST)/pip install --quiet --disable-pip-version-check uv
	$(LOWEST)/pip install --quiet --disable-pip-version-check --no-deps $$(grep -o 'torch==[0-9.]*' pyproject.toml)
	$(LOWEST)/uv pip install --quiet --python $(LOWEST)/python --resolution lowest-direct -e '.[$(EXTRAS)]'
	touch $@

# The Pokemon Showdown server that recording and some tests need.
showdown: .venv/dev.stamp
	$(BIN)/python -m poke.envs.showdown install

# Wheel and sdist in dist/, tried where nothing else is installed, and a tag; nothing is pushed.
release: .venv/dev.stamp
	PYTHON=$(PYTHON) .ci/release

clean:
	rm -rf .venv .venv-lowest .mypy_cache .ruff_cache .pytest_cache site .coverage .coverage.*
