# The commands of developers and CI. Needs Python 3.11, node 20.19 or newer, npm, make.

VENV := .venv
OLDEST := .venv-oldest
NEWEST := .venv-newest
PYTHON := $(VENV)/bin/python
# jupyter-builder, which npm calls, lives in the virtual environment.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# The releases that CI installs, in the environment of developers too; `make LOCK=` takes the newest.
LOCK := requirements.lock
LOCKED := $(if $(LOCK),--constraint $(LOCK))

# Errors only: the warnings of both are about things that a newcomer cannot change.
PIP_INSTALL := -m pip install --quiet --quiet
NPM := npm --loglevel=error --no-audit --no-fund --no-update-notifier --prefix js

# Where JupyterLab looks for the extension.
EXTENSION := $(VENV)/share/jupyter/labextensions/qsession-widget

JS_SOURCES := $(shell find js/src js/replay js/schema js/style js/build.mjs js/sbom.mjs js/rspack.config.cjs \
	js/package.json js/tsconfig.json examples -type f)
# Without what is built, whose names change with each build.
PY_SOURCES := $(shell find qsession_widget examples -type f -not -path '*/__pycache__/*' \
	-not -path '*/labextension/*' -not -path '*/static/*')

.PHONY: bench browser-tests check chromium conformance docs demo examples lock newest-tests oldest-tests postgresql soak test lint process-tests python-tests js-tests replay static wheel-tests build clean release-check watch

demo: $(VENV)/.installed ## run a real session, then open JupyterLab, with its options in ARGS
	@$(VENV)/bin/qsession demo $(ARGS)

test: lint docs js-tests python-tests wheel-tests ## everything that CI runs

check: static ## before each commit: what needs no other process, no browser and no minute
	$(PYTHON) -m pytest --quiet --numprocesses 2 -m "not process and not browser and not minute"

lint: static dist/.built
	$(PYTHON) -m pytest --quiet tests/wheel/test_contents.py

static: $(VENV)/.dev js/node_modules/.installed
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports
	$(NPM) run lint

js-tests: js/node_modules/.installed $(VENV)/.chromium
	CHROMIUM_PATH="$$($(PYTHON) -m tests.browser.chromium)" $(NPM) test

PARTS := --ignore tests/wheel --ignore tests/conformance

python-tests: $(VENV)/.dev $(VENV)/.chromium $(VENV)/.postgresql
	$(PYTHON) -m pytest --quiet --numprocesses 2 $(PARTS) -m "not process and not browser and not minute"
	@# Those with processes of their own wait most of the time: two halves at once.
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target browser-tests process-tests

browser-tests: $(VENV)/.dev $(VENV)/.chromium
	$(PYTHON) -m pytest $(PARTS) -m browser

process-tests: $(VENV)/.dev $(VENV)/.chromium $(VENV)/.postgresql
	$(PYTHON) -m pytest $(PARTS) -m "(process or minute) and not browser"

wheel-tests: $(VENV)/.dev $(VENV)/.chromium dist/.built
	$(PYTHON) -m pytest tests/wheel/test_installed.py tests/wheel/test_two_installs.py

SAMPLE := tests/wire tests/client/test_session.py tests/cli/test_cli.py \
	tests/panel/test_snapshot.py tests/panel/test_renderings.py tests/runtime/test_devices.py

# A sample that needs nothing but the package's own requirements. Targets are not compared, which
# needs the newest client, nor circuits: an old Qiskit tells a delay of 132 from one of 132.0.
oldest-tests: $(OLDEST)/.installed ## on the oldest Python and packages that pyproject.toml names
	$(OLDEST)/bin/python -m pytest -p no:cacheprovider $(SAMPLE) \
		--ignore tests/wire/test_target.py --ignore tests/wire/test_portable.py

newest-tests: $(NEWEST)/.installed ## on the newest Python of this machine, and the newest of every package
	$(NEWEST)/bin/python -m pytest -p no:cacheprovider $(SAMPLE) tests/test_official.py

conformance: $(VENV)/.conformance ## the official client's own tests, against local runtimes
	$(PYTHON) -m pytest tests/conformance
	$(PYTHON) -m tests.conformance.official

soak: $(VENV)/.conformance dist/.built ## by hand: what takes too long for every change
	$(MAKE) oldest-tests newest-tests
	$(PYTHON) -m tests.conformance.official --everything
	$(PYTHON) -m tests.conformance.older
	QSESSION_HISTORIES=10000 $(PYTHON) -m pytest tests/runtime/test_histories.py tests/runtime/test_lifecycle.py
	QSESSION_EXAMPLES=300 $(PYTHON) -m pytest tests/runtime/http/test_openapi.py
	QSESSION_MUTATIONS=10000 $(PYTHON) -m pytest tests/faults/test_mutations.py
	QSESSION_ALL_CUTS=1 $(PYTHON) -m pytest tests/client/test_cut_answers.py
	QSESSION_ROWS=100000 $(PYTHON) -m pytest -s tests/runtime/http/test_every_endpoint.py
	QSESSION_HOSTILE_ROUNDS=50 $(PYTHON) -m pytest tests/runtime/http/test_large_texts.py
	QSESSION_LARGE_JOBS=200 $(PYTHON) -m pytest tests/runtime/worker/test_lru_cache.py
	QSESSION_ALL_SIZES=1 $(PYTHON) -m pytest tests/runtime/worker/noise/test_device_noise_shots.py tests/statistics
	QSESSION_SOAK_SECONDS=3600 $(PYTHON) -m pytest -s tests/faults/test_memory_soak.py
	QSESSION_KILLS=200 $(PYTHON) -m pytest -s tests/faults/test_soak.py
	QSESSION_HOST_KILLS=200 $(PYTHON) -m pytest tests/runtime/dask/test_executor.py -k killed
	$(PYTHON) -m tests.browser.matrix
	QSESSION_LAB=$(OLDEST)/bin/python $(PYTHON) -m pytest tests/browser/test_side_panel.py
	$(PYTHON) -m tests.browser.firefox
	QSESSION_ALL_INSTALLS=1 $(PYTHON) -m pytest tests/wheel/test_two_installs.py

docs: $(VENV)/.dev ## the pages; every warning and every link that leads nowhere is an error
	$(PYTHON) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	$(PYTHON) -m docs._ext.links docs/_build/html

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
	$(PYTHON) -m benchmarks.growth --short

examples: $(VENV)/.dev ## executes the notebooks, and writes the outputs that have changed
	$(PYTHON) -m tests.examples.notebooks

replay: $(VENV)/.dev ## records the sessions anew that the documentation's page replays
	$(PYTHON) -m docs.replay.record

build: $(VENV)/.built

watch: $(VENV)/.dev ## build the panel and the JupyterLab extension again at each change
	@# What it leaves is for development: the next make builds the extension anew.
	@rm -f $(VENV)/.built
	@# With it, ANYWIDGET_HMR=1 lets a kernel send each build to the panels that are on the screen.
	@$(PYTHON) $(PIP_INSTALL) "watchfiles>=1,<2"
	$(NPM) run watch

lock: $(VENV)/.dev ## resolve pyproject.toml anew: what CI and developers install from then on
	$(PYTHON) -m tests.wheel.lock

release-check: $(VENV)/.dev dist/.built ## before a release: build it twice and compare, install it without node
	$(PYTHON) -m pytest tests/wheel/test_release.py tests/wheel/test_contents.py

$(PYTHON):
	@echo "Making the virtual environment $(VENV) ..."
	@python3 -m venv $(VENV)

# The stamp is a copy of the lock file. npm, git and pip touch the lock file without changing it; then
# its old time is restored, and nothing is built.
js/node_modules/.installed: js/package-lock.json
	@if cmp -s $< $@; then touch -r $@ $<; else \
		echo "Installing what the panel's front end is built with ..." \
		&& $(NPM) ci >/dev/null && cp $< $@; fi

$(VENV)/.built: js/node_modules/.installed $(JS_SOURCES) | $(VENV)/.builder
	@echo "Building the panel and the JupyterLab extension ..."
	@log=$$(mktemp) && { $(NPM) run build >"$$log" 2>&1 || { cat "$$log" >&2; false; }; } \
		&& rm "$$log"
	@touch $@

# The tool that builds the JupyterLab extension comes from PyPI, and npm calls it.
$(VENV)/.builder: | $(PYTHON)
	@$(PYTHON) $(PIP_INSTALL) "jupyter-builder>=1.2,<2"
	@touch $@

# pip copies the extension, and JupyterLab would load that copy until the next installation. With a
# link in its place it loads the last build, and a build needs no installation.
$(VENV)/.installed: pyproject.toml install.json server-extension.json $(LOCK) | $(VENV)/.built
	@echo "Installing qsession-widget with Qiskit, Aer and JupyterLab, about a minute ..."
	@rm -rf $(EXTENSION)
	@SKIP_JUPYTER_BUILDER=1 $(PYTHON) $(PIP_INSTALL) $(LOCKED) --editable ".[lab]"
	@rm -rf $(EXTENSION)
	@ln -s $(CURDIR)/qsession_widget/labextension $(EXTENSION)
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@echo "Installing what the tests need, about two minutes ..."
	@$(PYTHON) $(PIP_INSTALL) "pip>=25.1"
	@$(PYTHON) $(PIP_INSTALL) $(LOCKED) --group dev
	@touch $@

dist/.built: $(VENV)/.dev $(VENV)/.built $(PY_SOURCES)
	@echo "Building the wheel ..."
	@rm -rf dist
	@log=$$(mktemp) && { $(PYTHON) -m build --wheel --outdir dist >"$$log" 2>&1 \
		|| { cat "$$log" >&2; false; }; } && rm "$$log"
	@touch $@

$(OLDEST)/.installed: pyproject.toml | $(VENV)/.dev
	@echo "Making an environment of the oldest packages, about a minute ..."
	@rm -rf $(OLDEST)
	@$$($(PYTHON) -m tests.oldest python) -m venv $(OLDEST)
	@$(PYTHON) -m tests.oldest constraints >$(OLDEST)/constraints.txt
	@SKIP_JUPYTER_BUILDER=1 $(OLDEST)/bin/python $(PIP_INSTALL) \
		--constraint $(OLDEST)/constraints.txt \
		--editable ".[lab]" pytest hypothesis psutil cryptography
	@rm -rf $(OLDEST)/share/jupyter/labextensions/qsession-widget
	@ln -s $(CURDIR)/qsession_widget/labextension $(OLDEST)/share/jupyter/labextensions/qsession-widget
	@touch $@

# Anew each time: what is newest changes without any change here.
.PHONY: $(NEWEST)/.installed
$(NEWEST)/.installed: | $(VENV)/.dev
	@echo "Making an environment of the newest packages, about a minute ..."
	@rm -rf $(NEWEST)
	@$$($(PYTHON) -m tests.oldest newest-python) -m venv $(NEWEST)
	@SKIP_JUPYTER_BUILDER=1 $(NEWEST)/bin/python $(PIP_INSTALL) --upgrade --upgrade-strategy eager \
		--editable ".[lab]" pytest hypothesis psutil cryptography anyio packaging
	@$(NEWEST)/bin/python -m pip list --outdated --quiet --quiet

# The client in the release whose tests are run, and what they need.
$(VENV)/.conformance: $(VENV)/.dev
	@$(PYTHON) $(PIP_INSTALL) $(LOCKED) --group conformance
	@touch $@

chromium: $(VENV)/.chromium ## a browser for the tests and for benchmarks.panel

# A browser for the tests: an installed one, else Debian's, else Playwright's own.
$(VENV)/.chromium: $(VENV)/.dev
	@echo "Looking for a Chromium; where there is none it is installed ..."
	@$(PYTHON) -m tests.browser.chromium
	@touch $@

postgresql: $(VENV)/.postgresql ## a server for the tests of the store in PostgreSQL

# The tests start it, each time with files of its own; without one, those tests are skipped.
$(VENV)/.postgresql: $(VENV)/.dev
	@echo "Looking for PostgreSQL; where there is none it is installed ..."
	@$(PYTHON) -m tests.postgresql
	@touch $@

clean:
	rm -rf $(VENV) $(OLDEST) $(NEWEST) dist js/node_modules qsession_widget/panel/static qsession_widget/labextension
