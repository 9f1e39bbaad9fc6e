# Two commands on a bare machine with Python, make, a compiler and a package index:
#   make quickstart    sets up .venv and distils a real teacher, with a report at the end
#   make test          sets up .venv and runs the tests
#   make quick         runs those that say most for their time, in about 100 s on two cores, and
#                      prints how long it took: of every room, but none marked slow or real, and not
#                      the recipes' (the commands' tests run each once), Python's, the README's or the wheel's
# PYTHON=python3.12 chooses the interpreter, ARGS="..." goes to the command that is run.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; exit; fi; \
	done; echo python3)
JOBS ?= 2
ARGS ?=

.PHONY: quickstart test quick install base-encoder lint format docs clean

quickstart:
	@$(PYTHON) scripts/install.py
	.venv/bin/limbeck quickstart $(ARGS)

test:
	@$(PYTHON) scripts/install.py --dev
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n $(JOBS) $(ARGS)

LONG = api docs examples language_model packaging recipes
quick:
	@$(PYTHON) scripts/install.py --dev
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q -n $(JOBS) -m "not slow and not real" \
		$(LONG:%=--ignore=tests/%) $(ARGS)

install:
	@$(PYTHON) scripts/install.py --dev

# A real encoder of base size (420 MB) for benchmarks and for tests that skip without it.
base-encoder: install
	.venv/bin/python scripts/fetch_base_encoder.py

lint: install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

format: install
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

# Fails on a broken link; the pages are in build/site.
docs: install
	.venv/bin/python docs/site/build.py

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
