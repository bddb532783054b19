# What one does with a clone. `make help` lists it; CI is `make check` and `make test`.

PYTHON ?= python3
export DOMAINFLOW_HOME := $(shell DOMAINFLOW_HOME="$(DOMAINFLOW_HOME)" scripts/home.sh)
bin := .venv/bin
at_once := --numprocesses auto --maxprocesses 4 --dist worksteal
long := -rP --timeout=1800
on_oldest := scripts/on_oldest.sh

.DEFAULT_GOAL := help
.PHONY: help venv lock run test check fix docs bench chaos soak clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1	\2/p' Makefile | expand -t 10

venv: .venv/.stamp  ## make .venv from the lock

.venv/.stamp: requirements.lock pyproject.toml scripts/venv.sh
	@PYTHON="$(PYTHON)" scripts/venv.sh

run: venv  ## run the main example against the lab, going on where it stopped
	$(bin)/domainflow run examples/main_job.toml --lab --continue

test: venv  ## run the tests, but for chaos and soak; the store's once more on the oldest Postgres, where it is
	$(bin)/python -m pytest $(at_once)
	$(on_oldest) $(bin)/python -m pytest $(at_once) tests/store

check: venv  ## lint, format, types, floors, actors, links: everything CI checks but the tests
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy --strict domainflow
	$(bin)/pyright
	$(bin)/lint-imports --no-logo
	$(bin)/python -m domainflow.lint domainflow examples
	$(bin)/python scripts/check_docs.py

fix: venv  ## mend what ruff can mend
	$(bin)/ruff check --fix
	$(bin)/ruff format

docs: venv  ## see that every link in the documents leads somewhere
	$(bin)/python scripts/check_docs.py

bench: venv .venv-peers/.stamp  ## run every bench
	@set -e; for file in bench/[a-z]*.py; do echo "== $$file"; $(bin)/python "$$file"; done

.venv-peers/.stamp: pyproject.toml scripts/peers.sh
	@PYTHON="$(PYTHON)" scripts/peers.sh

chaos: venv  ## run the tests that kill processes; everything once more on the oldest Postgres, where it is
	$(bin)/python -m pytest $(long) -m "chaos and alone"
	$(bin)/python -m pytest $(long) $(at_once) -m "chaos and not alone"
	$(on_oldest) $(bin)/python -m pytest $(at_once)
	$(on_oldest) $(bin)/python -m pytest $(long) -m "chaos and alone"
	$(on_oldest) $(bin)/python -m pytest $(long) $(at_once) -m "chaos and not alone"

soak: venv  ## run the tests that last
	$(bin)/python -m pytest -m soak --timeout=7200

lock:  ## make requirements.lock anew from pyproject.toml (needs uv)
	@scripts/lock.sh

clean:  ## remove caches and the environment; the home with its data stays
	rm -rf .venv .venv-peers build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
