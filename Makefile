# Two commands do all: `make demo` and `make test`. Each sets up what it needs on a fresh machine.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
ROUNDS ?= 10
SEED ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help demo test check docs bench soak scale chaos lock generated servers clean

help: ## Say what each command does
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/.runtime: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "This needs Python 3.11: install it, or name it with PYTHON=/path/to/python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(VENV)/.runtime ## The whole system on embedded defaults; options in ARGS="--for 90 --no-browser --json"
	@$(BIN)/hotspot demo $(ARGS)

test: $(VENV)/.dev servers ## All tests, against real servers where this machine can have them
	$(BIN)/pytest $(ARGS)

check: $(VENV)/.dev ## Lint, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev ## The site of docs/ into build/docs; fails on a warning or a link that leads nowhere
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --doctree-dir build/doctrees docs build/docs
	$(BIN)/python -m docs.extensions.links build/docs

bench: $(VENV)/.dev servers ## Measure what is promised; writes bench/results.json
	$(BIN)/python -m bench $(ARGS)

chaos: $(VENV)/.dev servers ## Kill, stop and cut off workers and broker, and compare: ROUNDS=200 SEED=7, or one ROUND=13
	$(BIN)/python -m chaos --rounds $(ROUNDS) --seed $(SEED) $(if $(ROUND),--only $(ROUND)) $(ARGS)

soak: $(VENV)/.dev servers ## Half an hour at 1,000 records/s: memory must be flat; ARGS="--minutes 5" for less
	$(BIN)/python -m bench.soak $(ARGS)

scale: $(VENV)/.dev servers ## England and Wales, simulated, on 1, 2 and 4 workers; hours. ARGS="--share 0.02 --calibration-days 28 --workers 1 2" for minutes
	$(BIN)/python -m bench.scale $(ARGS)

servers: ## What the tests talk to: Kafka, Redis, Prometheus (installed where this machine allows it)
	@sh tests/servers/install.sh

generated: $(VENV)/.dev ## Make generated files again: contract goldens, dashboard, the page of episodes
	$(BIN)/hotspot contracts export tests/golden/contracts
	$(BIN)/python ops/dashboard.py > ops/grafana/dashboards/hotspot.json
	$(BIN)/python -m docs.extensions.episodes docs

lock: ## Resolve the pinned, hashed dependencies again (needs uv)
	uv pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 pyproject.toml --extra dev -o requirements-dev.lock
	uv pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 -c requirements-dev.lock pyproject.toml -o requirements.lock
	printf 'setuptools\n' | uv pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 -c requirements-dev.lock - >> requirements.lock

clean: ## Remove what these commands made
	rm -rf $(VENV) .tools build docs/reference docs/project *.egg-info .mypy_cache .ruff_cache .pytest_cache
