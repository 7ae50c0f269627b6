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

.PHONY: clean
clean: ## Remove the virtual environment and what tools left
	rm -rf $(VENV) .tox .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
