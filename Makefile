# make help   what there is

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help
help: ## Print this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: host
host: ## Install what this machine lacks (Debian, as root)
	@scripts/host-setup

# Installed anew when what is to be installed changes.
$(VENV)/.example: pyproject.toml example_project/pyproject.toml | host
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --use-pep517 --editable . --editable example_project
	@touch $@

.PHONY: example
example: $(VENV)/.example ## Run the example project's tests with the plugin
	scripts/with-registry $(BIN)/python -m pytest example_project

# Interpreters of pyenv, where there is one, beside the host's own: tox takes those it finds.
PYENV := $(or $(PYENV_ROOT),$(HOME)/.pyenv)
INTERPRETERS := $(wildcard $(PYENV)/versions/3.1[0-3].*/bin)
empty :=
space := $(empty) $(empty)
SEARCH = $(subst $(space),:,$(INTERPRETERS) $(PATH))
TOX = PATH="$(SEARCH)" $(BIN)/tox --quiet

# $(call tox-if-there,MINOR,ENVIRONMENT,ARGUMENTS): tox fails where every environment it is to run lacks its Python.
tox-if-there = $(if $(shell PATH="$(SEARCH)" command -v python3.$(1)),\
	$(TOX) -e $(2) -- $(3),@echo "no python3.$(1) here, so $(2) is left out")

$(VENV)/.tox: Makefile | host
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet tox
	@touch $@

.PHONY: lint
lint: $(VENV)/.tox ## Check style, types and import rules
	$(TOX) -e lint

# Each Python with the oldest or the newest pytest, with or without xdist. Everything on one of them, what depends on
# pytest's and Python's versions on the others too, and the system tests but the long searches for rare failures once
# more as an ordinary user. Last, so that pytest's summary ends the output.
ON_EACH = tests/contract $(addprefix tests/plugin/test_,fixtures.py scopes.py definitions.py report.py interrupt.py) \
	$(addprefix tests/system/test_,exec.py life.py)
.PHONY: test
test: $(VENV)/.tox ## Check everything: lint, unit, plugin and system tests, as root and as an ordinary user
	scripts/with-registry --local $(MAKE) --no-print-directory test-with-registry

.PHONY: test-with-registry
test-with-registry:
	$(TOX) -e lint,py310-oldest-xdist -- tests/unit tests/plugin -m "not exhaustive"
	$(call tox-if-there,12,py312-oldest-plain,$(ON_EACH))
	$(call tox-if-there,13,py313-newest-plain,tests/unit $(ON_EACH))
	$(call tox-if-there,11,py311-newest-xdist,tests)
	scripts/as-user python -m pytest -p no:cacheprovider -n 2 tests/system -m "not exhaustive"

.PHONY: screenshots
screenshots: $(VENV)/.example ## Run the example project, and take pictures of the page of the run
	$(BIN)/python -m pip install --quiet pytest-xdist
	scripts/with-registry $(BIN)/python scripts/screenshots

.PHONY: clean
clean: ## Remove the virtual environment and what tools left
	rm -rf $(VENV) .tox .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
