# `make demo` and `make test` need only Python 3.11 or newer and make; everything else goes into .venv.

BOOTSTRAP := $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check
# Two test processes with one thread each: torch would otherwise start a thread per core in both. A file stays with one
# process, so that what its tests share is made once.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
WORKERS := 2

.DEFAULT_GOAL := help
.PHONY: help venv venv-peers peers demo test check slow bench format docs clean

help:  ## what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

venv: .venv/.done  ## create .venv and install everything with constraints.txt

.venv/.done: pyproject.toml constraints.txt
	@test -n "$(BOOTSTRAP)" || { echo "no python3 found; install Python 3.11 or newer" >&2; exit 1; }
	@"$(BOOTSTRAP)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(BOOTSTRAP) is older than Python 3.11; install Python 3.11 or newer" >&2; exit 1; }
	test -x $(BIN)/python || "$(BOOTSTRAP)" -m venv .venv
	$(PIP) install --quiet pip==26.3
	@echo "installing torch, then the rest; this takes minutes"
	$(PIP) install --quiet --constraint constraints.txt torch==2.13.0
	$(PIP) install --quiet --constraint constraints.txt --build-constraint constraints.txt --editable '.[all]' --group dev
	@touch $@

demo: .venv/.done  ## the whole story on fictitious people, ending in a certificate and a report
	$(BIN)/expunge demo

test: check  ## everything: format, lint, types, imports, tests, doctests

check: .venv/.done  ## the same as test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/_generate.py --check
	$(ONE_THREAD) $(BIN)/pytest -n $(WORKERS) --dist loadfile --durations=50

slow: .venv/.done  ## the tests marked slow
	$(ONE_THREAD) $(BIN)/pytest -n $(WORKERS) -m slow

venv-peers: .venv-peers/.done  ## create .venv-peers with the other services that `make peers` talks to

.venv-peers/.done: peers/requirements.txt
	test -x .venv-peers/bin/python || "$(BOOTSTRAP)" -m venv .venv-peers
	.venv-peers/bin/pip --disable-pip-version-check install --quiet --requirement peers/requirements.txt
	@touch $@

peers: .venv/.done .venv-peers/.done  ## the tests marked peer, against the real services
	$(ONE_THREAD) $(BIN)/pytest -m peer peers

bench: .venv/.done  ## every measurement of bench/; its last line goes to bench/results/<name>.json
	@mkdir -p bench/results; failed=; \
	for script in bench/[a-z]*.py; do \
	  test -e "$$script" || continue; \
	  name=$$(basename "$$script" .py); echo "bench $$name" >&2; \
	  $(BIN)/python "$$script" > "bench/results/$$name.out" || failed="$$failed $$name"; \
	  if tail -n 1 "bench/results/$$name.out" | grep -q '^{'; then \
	    tail -n 1 "bench/results/$$name.out" > "bench/results/$$name.json"; cat "bench/results/$$name.json"; \
	  fi; \
	  rm -f "bench/results/$$name.out"; \
	done; \
	test -z "$$failed" || { echo "claims that do not hold:$$failed" >&2; exit 1; }

format: .venv/.done  ## put the code into its one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/.done  ## write docs/methods.md and docs/figures.md again from docstrings and bench results
	$(BIN)/python docs/_generate.py

clean:  ## remove .venv, caches and what the demo made
	rm -rf .venv .venv-peers expunge-demo-* build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
