# Needs make and Python 3.11 or newer. Everything it installs goes into .venv, at the versions that
# constraints.txt pins.

# Tried in this order. Each is executed, since a command of that name may exist and not run.
PYTHON ?= python3 python3.13 python3.12 python3.11 python3.14
CONFIG ?= $(firstword $(wildcard config.toml) config.example.toml)
ROUNDS ?= 20

.DEFAULT_GOAL := help
.PHONY: help run chat dev check test format bench campaign judges clean

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-input \
	--constraint constraints.txt

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

run: .venv/.run ## run the daemon, with config.toml or else config.example.toml
	@exec $(BIN)/botdaemon run --config $(CONFIG)

chat: .venv/.run ## talk to a bot here in the terminal
	@exec $(BIN)/botdaemon chat --config $(CONFIG)

dev: .venv/.dev ## set everything up for development

check: .venv/.dev ## look at the code without running it: ruff, mypy, import-linter
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --quiet --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# Most tests wait for something most of the time, so there are more workers than cores.
test: check ## check, then run every test but the slow ones
	$(BIN)/python -m pytest -q -n 3 --dist worksteal -m "not slow"

format: .venv/.dev ## bring the code into its form
	$(BIN)/ruff check --quiet --fix
	$(BIN)/ruff format --quiet

bench: .venv/.run ## measure; prints a table and writes benchmarks/out/NAME.json
	$(BIN)/python -m benchmarks

campaign: .venv/.dev judges ## the slow tests, every crash point, the tests of the promises ROUNDS times
	$(BIN)/python -m pytest -q -x --timeout 900 -m slow
	CRASH_POINTS=all NASTY_TEXTS=10000 $(BIN)/python -m pytest -q -x --timeout 900 \
		tests/test_platform_kills.py tests/test_judges.py tests/test_golden.py
	@for round in $$(seq $(ROUNDS)); do \
		echo "round $$round of $(ROUNDS)"; \
		CHAOS_KILLS=25 $(BIN)/python -m pytest -q -x tests/test_promises.py tests/test_kill.py \
			tests/test_chaos.py tests/test_platform_chaos.py tests/test_render.py || exit 1; \
	done

judges: ## install the clients by others that judge the fake platforms; needs npm
	@for judge in tests/judges/*/; do \
		npm --prefix "$$judge" ci --silent --no-audit --no-fund || exit 1; \
	done

clean: ## remove what make and the tools made; data stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist \
		benchmarks/out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up ----------------------------------------------------------------------------------
# The stamps say what has been installed; they are renewed when the requirements change.

.venv/.run: $(BIN)/pip pyproject.toml constraints.txt
	@echo "Setting up what botdaemon needs to run (a few minutes, once) ..."
	@$(INSTALL) hatchling editables
	@$(INSTALL) --no-build-isolation --editable '.[all]'
	@touch $@

.venv/.dev: $(BIN)/pip pyproject.toml constraints.txt
	@echo "Setting up what development needs (a few minutes, once) ..."
	@$(INSTALL) hatchling editables
	@$(INSTALL) --no-build-isolation --editable '.[dev]'
	@touch .venv/.run $@

# pip is the last thing that venv makes, so an interrupted attempt is repeated.
$(BIN)/pip:
	@for python in $(PYTHON); do \
		"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
			2>/dev/null || continue; \
		echo "Making .venv with $$("$$python" -c 'import sys; print(sys.executable)') ..."; \
		exec "$$python" -m venv .venv; \
	done; \
	echo "botdaemon needs Python 3.11 or newer with its venv module, and found none;" \
		"tried: $(PYTHON)." >&2; \
	echo "On Debian and Ubuntu: apt install python3-venv." \
		"Or name one: make PYTHON=/path/to/python3" >&2; \
	exit 1
