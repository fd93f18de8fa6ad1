# Everything that a newcomer and CI type. Needs Python 3.11, node 20.19 or newer, npm, make.

VENV := .venv
PYTHON := $(VENV)/bin/python
# jupyter-builder, which npm calls, lives in the virtual environment.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# Where JupyterLab looks for the extension.
EXTENSION := $(VENV)/share/jupyter/labextensions/qsession-widget

JS_SOURCES := $(shell find js/src js/build.mjs js/package.json js/tsconfig.json -type f)
PY_SOURCES := $(shell find qsession_widget examples -type f -not -path '*/__pycache__/*')

.PHONY: bench conformance docs demo soak test lint python-tests js-tests wheel-tests build clean

demo: $(VENV)/.installed ## run a real session, live in the terminal, then open JupyterLab
	$(VENV)/bin/qsession demo

test: lint docs js-tests python-tests wheel-tests ## everything that CI runs

lint: $(VENV)/.dev dist/.built
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports
	npm --prefix js run lint
	$(PYTHON) -m pytest --quiet tests/wheel/test_contents.py

js-tests: js/node_modules/.installed $(VENV)/.chromium
	CHROMIUM_PATH="$$($(PYTHON) -m tests.browser.chromium)" npm --prefix js test

python-tests: $(VENV)/.dev $(VENV)/.chromium
	$(PYTHON) -m pytest --ignore tests/wheel --ignore tests/conformance

wheel-tests: $(VENV)/.dev $(VENV)/.chromium dist/.built
	$(PYTHON) -m pytest tests/wheel/test_installed.py

conformance: $(VENV)/.conformance ## the official client's own tests, against local runtimes
	$(PYTHON) -m pytest tests/conformance
	$(PYTHON) -m tests.conformance.official

soak: $(VENV)/.conformance ## by hand: what takes too long for every change
	$(PYTHON) -m tests.conformance.official --everything
	$(PYTHON) -m tests.conformance.older
	QSESSION_HISTORIES=10000 $(PYTHON) -m pytest tests/runtime/test_histories.py tests/runtime/test_lifecycle.py
	QSESSION_EXAMPLES=300 $(PYTHON) -m pytest tests/runtime/test_openapi.py
	QSESSION_MUTATIONS=10000 $(PYTHON) -m pytest tests/faults/test_mutations.py
	QSESSION_LARGE_JOBS=200 $(PYTHON) -m pytest tests/runtime/test_caching.py
	QSESSION_ALL_SIZES=1 $(PYTHON) -m pytest tests/runtime/test_same_shots.py
	QSESSION_KILLS=200 $(PYTHON) -m pytest -s tests/faults/test_soak.py
	$(PYTHON) -m tests.browser.matrix

docs: $(VENV)/.dev ## the API's pages; every warning is an error
	$(PYTHON) -m sphinx -W --keep-going -q -b html docs docs/_build/html

bench: $(VENV)/.dev ## ratios against peers, each in its short form
	$(PYTHON) benchmarks/imports.py
	$(PYTHON) -m benchmarks.encoding --short
	$(PYTHON) -m benchmarks.iterate --short
	$(PYTHON) -m benchmarks.official_client --short
	$(PYTHON) -m benchmarks.first_job --short
	$(PYTHON) -m benchmarks.stall --short
	$(PYTHON) -m benchmarks.dispatch --short
	$(PYTHON) -m benchmarks.coldstart --short
	$(PYTHON) -m benchmarks.panel --short
	$(PYTHON) -m benchmarks.scheduler --short
	$(PYTHON) -m benchmarks.poll --short
	$(PYTHON) -m benchmarks.server --short

build: $(VENV)/.built

$(PYTHON):
	python3 -m venv $(VENV)

js/node_modules/.installed: js/package-lock.json
	npm --prefix js ci --no-audit --no-fund
	touch $@

$(VENV)/.built: js/node_modules/.installed $(JS_SOURCES) | $(VENV)/.builder
	npm --prefix js run build
	touch $@

# The tool that makes the JupyterLab extension comes from PyPI, and npm calls it.
$(VENV)/.builder: | $(PYTHON)
	$(PYTHON) -m pip install --quiet "jupyter-builder>=1.2,<2"
	touch $@

# pip copies the extension, which JupyterLab would then load until the next installation. With a
# link in the copy's place it loads what was built last, and a build needs no installation.
$(VENV)/.installed: pyproject.toml install.json | $(VENV)/.built
	rm -rf $(EXTENSION)
	$(PYTHON) -m pip install --quiet --editable ".[lab]"
	rm -rf $(EXTENSION)
	ln -s $(CURDIR)/qsession_widget/labextension $(EXTENSION)
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PYTHON) -m pip install --quiet "pip>=25.1"
	$(PYTHON) -m pip install --quiet --group dev
	touch $@

dist/.built: $(VENV)/.dev $(VENV)/.built $(PY_SOURCES)
	rm -rf dist && $(PYTHON) -m build --wheel --outdir dist
	touch $@

# The client at the release whose tests are run, and what they need.
$(VENV)/.conformance: $(VENV)/.dev
	$(PYTHON) -m pip install --quiet --group conformance
	touch $@

# A browser for the tests: the one that is there, else Debian's, else Playwright's own.
$(VENV)/.chromium: $(VENV)/.dev
	$(PYTHON) -m tests.browser.chromium
	touch $@

clean:
	rm -rf $(VENV) dist js/node_modules qsession_widget/panel/static qsession_widget/labextension
