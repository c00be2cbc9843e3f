# Names for the commands people type. Python >= 3.11 and make are all that is assumed;
# PYTHON=/path/to/python chooses the interpreter, ARGS="..." passes options on.
.DEFAULT_GOAL := help
.PHONY: help install demo test check bench clients lock

VENV := .venv/bin/

help: ## Print this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; \
		do printf '  make %-8s  %s\n' "$$name" "$$text"; done

install: ## Create .venv from the hashed lock, if it is not there and current
	@.ci/install

demo: install ## Start the embedded PostgreSQL, migrate, seed once, serve on http://127.0.0.1:8000
	@$(VENV)python -m gateway demo $(ARGS)

test: install ## Run the whole test suite on all cores
	@$(VENV)python -m pytest --numprocesses=logical --dist=worksteal $(ARGS)

check: install ## Check format, lint, types, imports, SDL and migrations, then run the test suite
	@$(VENV)python .ci/check.py

bench: install ## Measure the operation shapes and print ratios
	@$(VENV)python -m gateway bench $(ARGS)

clients: install ## Run the tools of client teams against the schema and a server; needs npm
	@$(VENV)python -m tests.clients $(ARGS)

lock: install ## Pin pyproject's dependencies again; UPGRADE=1 takes the newest allowed
	@.ci/lock $(if $(UPGRADE),--upgrade)
