# Two commands for newcomers:
#   make demo   the whole market story on four local validators
#   make test   every test
#
# Both install what is missing first (see scripts/setup). Variables of the demo:
#   make demo READINGS=FILE.csv [MISSING=-200] [TIME=Date+Time] [SKIP_BAD=1] [REPORT=FILE.json]
# CARGO_TARGET_DIR is honoured as by cargo itself.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

READINGS ?=
MISSING ?=
SKIP_BAD ?=
REPORT ?=
# Not from the environment, where TIME means something else to other tools.
TIME =

# The whole workspace is built at once everywhere, so that cargo picks the same
# features for the demo and the tests and builds every library once.
BUILD := cargo build --workspace --bin medina
TARGET_DIR = $$(cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')

.PHONY: help setup build demo test lint fix contracts

help:
	@sed -n 's/^#   \(make .*\)/\1/p' Makefile
	@echo "make build  the medina command"
	@echo "make lint   formatting and clippy, writes nothing"
	@echo "make fix    formats and applies what clippy can"
	@echo "make contracts  compiles the Solidity sources again (needs Node)"

setup:
	@scripts/setup

build: setup
	$(BUILD)
	@echo "built $(TARGET_DIR)/debug/medina"

demo: setup
	$(BUILD)
	@"$(TARGET_DIR)/debug/medina" demo \
		$(if $(READINGS),--readings '$(READINGS)') \
		$(if $(MISSING),--missing='$(MISSING)') \
		$(if $(TIME),--time='$(TIME)') \
		$(if $(filter-out 0 no false,$(SKIP_BAD)),--skip-bad) \
		$(if $(REPORT),--report '$(REPORT)')

test: setup
	cargo test --workspace

lint: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

fix: setup
	cargo fmt --all
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged

contracts:
	@command -v npm >/dev/null || { echo "contracts: install Node 20 or newer first; only people who change contracts need it" >&2; exit 1; }
	cd contracts && npm ci --no-fund --no-audit && npm run build
