# Everything a newcomer, a developer or CI runs. Needs Python 3.11 or newer and make; no root.
# It writes only below this folder: packages go to .venv, nothing is cached in the home directory.
.DEFAULT_GOAL := help
unexport PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV VIRTUAL_ENV
export PIP_DISABLE_PIP_VERSION_CHECK := 1

VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --no-cache-dir --quiet
PYTHON ?=# PYTHON=/path/to/python3 chooses one; else the first of these that is there (3.12 has every test server as a wheel)
PYTHONS := python3.12 python3.11 python3.13 python3.14 python3 python
ARGS   ?=# handed on to `botengang demo` or pytest: make demo ARGS="--once --json"
JOBS   ?= auto# processes for `make test`; 0 runs everything in one, which is handier with a debugger
UV     := uv==0.13.9
COMPILE = $(VENV)/bin/uv pip compile pyproject.toml --quiet --no-cache --system-certs --universal \
	--python-version 3.11 --extra sandbox --group build --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-annotate --custom-compile-command 'make lock'

.PHONY: help setup demo test check lock clean FORCE

help: ## show this list
	@echo "Botengang. The first time, each of these sets up $(VENV) by itself:"
	@sed -n 's/^\([a-z]*\):.*## /  make \1 \t/p' Makefile | expand -t 16

setup: $(VENV)/.dev ## set up .venv with everything for running, testing and checking
	@echo "Ready: try make demo." >&2

demo: $(VENV)/.runtime ## run the whole gateway with local stand-ins for the providers (ARGS="--once --json")
	@$(VENV)/bin/botengang demo $(ARGS)

test: $(VENV)/.dev ## run the tests (ARGS="-k consent" chooses some)
	@$(PY) -m pytest -n $(JOBS) $(if $(ARGS),$(ARGS),--ignore=tests/faults)
	@$(if $(ARGS),:,$(PY) -m pytest tests/faults) # breaks real processes against the clock: alone, not beside others

check: $(VENV)/.dev ## formatting, lint, types, layers, and whether the documents keep their word
	@failed=''; \
	$(PY) -m ruff format --check . || failed="$$failed format"; \
	$(PY) -m ruff check . || failed="$$failed lint"; \
	$(PY) -m mypy || failed="$$failed types"; \
	$(VENV)/bin/lint-imports || failed="$$failed layers"; \
	$(PY) -m pytest -q tests/house || failed="$$failed house"; \
	if [ -n "$$failed" ]; then echo "make check: to mend:$$failed" >&2; exit 1; fi

lock: $(VENV)/.made ## pin all dependencies anew, with hashes, for every platform (UPGRADE=1 takes newer versions)
	@$(PIP) install '$(UV)' >&2
	@$(COMPILE) $(if $(UPGRADE),--upgrade) --output-file requirements.lock
	@$(COMPILE) $(if $(UPGRADE),--upgrade) --group dev --constraints requirements.lock \
		$$(sed -n 's/^\([a-z0-9][a-z0-9.-]*\)==.*/--no-emit-package \1/p' requirements.lock) \
		--output-file requirements-dev.lock

clean: ## remove .venv, build output and caches; your data (var/) and your .env stay
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	@find . -name node_modules -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps. Each is older than what it was made from when that changes, and the step runs again: a new entry point in
# pyproject.toml is invisible until the project is installed again.
$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@echo "Installing the packages for testing and checking (once, up to a minute) ..." >&2
	@$(PIP) install --require-hashes -r requirements-dev.lock >&2
	@touch $@

$(VENV)/.runtime: $(VENV)/.made pyproject.toml requirements.lock
	@echo "Installing $$(grep -c '==' requirements.lock) packages into $(VENV) (once, one or two minutes) ..." >&2
	@$(PIP) install --require-hashes -r requirements.lock >&2
	@$(PIP) install --no-deps --no-index --no-build-isolation --editable . >&2
	@touch $@

# Made again when it is gone, when its Python is gone, or when the folder was moved (its programs carry the path).
ifneq ($(shell test -x $(PY) && $(PY) -c 'print(1)' 2>/dev/null && cat $(VENV)/.made 2>/dev/null),1 $(CURDIR))
$(VENV)/.made: FORCE
endif
$(VENV)/.made:
	@found=''; why='no Python 3.11 or newer was found: install one (python.org or your system), then run make again'; \
	for one in $(or $(PYTHON),$(PYTHONS)); do \
		"$$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
		if "$$one" -c 'import ensurepip, venv' >/dev/null 2>&1; then found="$$one"; break; fi; \
		why="$$one has no ensurepip: install its venv package (Debian and Ubuntu: apt install python3-venv), then run make again"; \
	done; \
	if [ -z "$$found" ]; then echo "botengang: $$why" >&2; exit 1; fi; \
	echo "Making $(VENV) with $$("$$found" --version) ..." >&2; \
	"$$found" -m venv --clear $(VENV) >&2 && printf '%s\n' '$(CURDIR)' > $@
