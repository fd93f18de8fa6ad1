# Everything that a newcomer and CI type. Needs Python 3.11, node 20.19 or newer, npm, make.

VENV := .venv
PYTHON := $(VENV)/bin/python
# jupyter-builder, which npm calls, lives in the virtual environment.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

JS_SOURCES := $(shell find js/src js/build.mjs js/package.json js/tsconfig.json -type f)
BUILT := qsession_widget/panel/static/widget.js qsession_widget/labextension/package.json

.PHONY: demo test lint python-tests js-tests wheel-tests bench build clean

demo: $(VENV)/.installed ## run a real session, live in the terminal, then open JupyterLab
	$(VENV)/bin/qsession demo

test: lint js-tests python-tests wheel-tests ## everything that CI runs

lint: $(VENV)/.dev
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports
	npm --prefix js run lint

js-tests: js/node_modules/.installed $(VENV)/.chromium
	npm --prefix js test

python-tests: $(VENV)/.dev $(VENV)/.chromium
	$(PYTHON) -m pytest --ignore tests/wheel

wheel-tests: $(VENV)/.dev $(VENV)/.chromium
	rm -rf dist && $(PYTHON) -m build --wheel --outdir dist
	$(PYTHON) -m pytest tests/wheel

bench: $(VENV)/.dev ## every benchmark in its short form
	$(PYTHON) -m benchmarks.iterate --short

build: $(BUILT)

$(PYTHON):
	python3 -m venv $(VENV)

js/node_modules/.installed: js/package-lock.json
	npm --prefix js ci --no-audit --no-fund
	touch $@

$(BUILT) &: js/node_modules/.installed $(JS_SOURCES) | $(VENV)/.builder
	npm --prefix js run build

# The tool that makes the JupyterLab extension comes from PyPI, and npm calls it.
$(VENV)/.builder: | $(PYTHON)
	$(PYTHON) -m pip install --quiet "jupyter-builder>=1.2,<2"
	touch $@

$(VENV)/.installed: pyproject.toml install.json $(BUILT)
	$(PYTHON) -m pip install --quiet --editable ".[lab]"
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PYTHON) -m pip install --quiet "pip>=25.1"
	$(PYTHON) -m pip install --quiet --group dev
	touch $@

# A browser for the tests: the one that is there, else Debian's, else Playwright's own.
$(VENV)/.chromium: $(VENV)/.dev
	$(PYTHON) -m tests.browser.chromium
	touch $@

clean:
	rm -rf $(VENV) dist js/node_modules qsession_widget/panel/static qsession_widget/labextension
