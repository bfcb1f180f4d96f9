# The commands of this project. `make` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

.PHONY: help demo test test-production test-containers test-update chaos lint bench bench-noise bench-skips playground fuzz setup deb migration

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## find a real culprit in a real history, from nothing but this clone
	@demo/run.sh

test: ## run every test, those with Docker and PostgreSQL included
	@docker/setup.sh --tests
	@.ci/test

test-production: ## bare machines with systemd, set up by the playbook as docs/production.md says; about 10 minutes
	@docker/setup.sh --tests
	@.ci/production

test-containers: ## the image of the bot and both compose files for real; about 2 minutes once the release is built
	@docker/setup.sh --tests
	@.ci/containers

test-update: ## the program from before the newest migration serves while today's migrates the schema; 3 minutes once that one is built
	@docker/setup.sh --tests
	@.ci/update

chaos: ## 200 seeded runs in which things go wrong; CHAOS_RUNS=n for as many, CHAOS_SEED=n for that one
	@docker/setup.sh --tests
	@.ci/chaos

lint: ## what must be clean: format, clippy, documentation, licences, scripts, links
	@.ci/lint

bench-noise: ## simulate the search of tests that fail by chance, beside git_bayesect (docs/benchmarks.md)
	@bench/noise.sh

bench-skips: ## what commits that cannot be built cost, beside `git bisect run` (docs/benchmarks.md)
	@cargo run --quiet --release --locked --package bisectd --example skips -- 500 20

bench: ## measure against `git bisect run` and FastAPI, and the console (docs/benchmarks.md)
	@docker/setup.sh --tests
	@bench/run.sh

playground: ## a small GitHub on this machine to write /bisect in; LISTEN=127.0.0.1:8010 names its port
	@demo/playground.sh $${LISTEN:+--listen "$$LISTEN"} $${REPOSITORY:+--repository "$$REPOSITORY"}

fuzz: ## a million inputs to whatever reads what strangers write; FUZZ_CASES=n: so many for each of the 13 targets
	@BISECT_FUZZ_CASES=$${FUZZ_CASES:-80000} cargo test --release --locked --package bisectd --lib -- --nocapture fuzz::

setup: ## install and start what is missing; changes nothing when all is there
	@docker/setup.sh

deb: ## dist/bisectd_<version>_<architecture>.deb: programs, units, manual pages, completions (docs/production.md)
	@systemd/package.sh

migration: ## NAME=add_something: write a new pair of empty migrations
	@migrations/new.sh "$${NAME:-}"
