# Every target sets itself up on a machine that has python3 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REPORTS := build/reports
PYTESTS := 8.4.* 9.0.*

.PHONY: help demo test check test-pytests test-real-examples bench dist clean
.DEFAULT_GOAL := help

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 28

$(VENV)/.runtime: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

demo: $(VENV)/.runtime ## run examples/ on the in-process servers, with reports in build/reports
	@mkdir -p $(REPORTS)
	$(BIN)/python -m pytest examples -v --html=$(REPORTS)/demo.html --self-contained-html --junit-xml=$(REPORTS)/demo.xml

test: $(VENV)/.dev ## the whole suite, with branch coverage
	@rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/python -m coverage run -m pytest -n 2 --junit-xml=$(REPORTS)/tests.xml
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

check: $(VENV)/.dev ## style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

test-pytests: $(VENV)/.dev ## the plugin's tests on the other pytest versions that it supports
	@for version in $(PYTESTS); do \
		venv=build/pytest-$${version%%.\*}; \
		test -e $$venv/.done || { $(PYTHON) -m venv $$venv && \
			$$venv/bin/python -m pip install --quiet --upgrade pip && \
			$$venv/bin/python -m pip install --quiet --editable . --group test "pytest==$$version" && touch $$venv/.done; } || exit 1; \
		$$venv/bin/python -m pytest tests/plugin tests/reports -q -n 2 || exit 1; \
	done

test-real-examples: $(VENV)/.dev ## examples/ against Postfix and Dovecot, which this starts (as root)
	$(BIN)/python -m tests.realservers run -- $(BIN)/python -m pytest examples --mailtrip-env=real

bench: $(VENV)/.dev ## all benchmarks into docs/performance.md; ONLY="latency arrival" runs some, SMALL=1 tiny ones
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(SMALL),--small)

dist: $(VENV)/.dev ## wheel and source distribution in dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
