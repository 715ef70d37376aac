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

.PHONY: help setup build demo test lint fix contracts analyse-contracts chaos measure simulate ethereum-tests

help:
	@sed -n 's/^#   \(make .*\)/\1/p' Makefile
	@echo "make build  the medina command"
	@echo "make simulate SEEDS=N [ENGINE=qbft|raft] [SEED=one]  consensus simulator"
	@echo "make lint   formatting and clippy, writes nothing"
	@echo "make fix    formats and applies what clippy can"
	@echo "make mutants  proves that the tests notice each of the engines' deliberate defects"
	@echo "make chaos MINUTES=N [NODES=4|7] [ENGINE=qbft|raft] [SEED=n]  faults on real processes; with SEED alone one round"
	@echo "make measure WHAT='outage --seconds 60'  a figure of docs/reliability.md"
	@echo "make reference  the QBFT engine against its specification [PAIRS=1000000]"
	@echo "make ethereum-tests [TESTS=PATH]  public BlockchainTests through our block import"
	@echo "make rpc-compat [CASES=PATH]  public JSON-RPC cases against the production server"
	@echo "make fuzz-rpc [MINUTES=10] [RPC=URL]  a fuzzer on the RPC port of a network of its own"
	@echo "make contracts  compiles the Solidity sources again (needs Node)"
	@echo "make analyse-contracts  runs Slither over them (needs Node and Python); every finding has an answer"

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

analyse-contracts:
	cd contracts && npm ci --no-fund --no-audit --silent && ./analyse.sh

# Turns on each deliberate defect of the engines and prints who notices it:
#   make mutants [SEEDS=1000] [ONLY=NamePart]
.PHONY: mutants
mutants: setup
	cargo build --workspace --features medina-simulator/mutants --bin medina-mutants
	@"$(TARGET_DIR)/debug/medina-mutants" --seeds $(or $(SEEDS),1000) $(if $(ONLY),--only '$(ONLY)')

chaos: setup
	cargo build --workspace --bin medina --bin medina-chaos
	@"$(TARGET_DIR)/debug/medina-chaos" \
		$(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(NODES),--nodes $(NODES)) \
		$(if $(ENGINE),--engine $(ENGINE)) \
		$(if $(SEED),--seed $(SEED) $(if $(MINUTES),,--rounds 1))

measure: setup
	cargo build --workspace --bin medina --bin medina-measure
	@"$(TARGET_DIR)/debug/medina-measure" $(WHAT)

# Seeds of the consensus simulator on all cores; the first failing seed is shrunk:
#   make simulate SEEDS=N [ENGINE=qbft|raft] [SEED=one]
simulate: setup
	cargo build --workspace --bin medina-simulate
	@"$(TARGET_DIR)/debug/medina-simulate" --seeds $(or $(SEEDS),1000) --coverage \
		$(if $(ENGINE),--engine $(ENGINE)) \
		$(if $(SEED),--seed $(SEED))

# The QBFT engine against its published specification: PAIRS of state and message.
.PHONY: reference
reference: setup
	cargo build --workspace --bin medina-check-reference
	@"$(TARGET_DIR)/debug/medina-check-reference" $(or $(PAIRS),1000000) $(SEED)

# Files or folders in the BlockchainTests format, imported as blocks of a chain.
ethereum-tests: setup
	cargo build --workspace --bin ethereum-tests
	@"$(TARGET_DIR)/debug/ethereum-tests" $(or $(TESTS),tests/executable_specification/blocks)

# A folder of request and response cases of the public suite.
.PHONY: rpc-compat
rpc-compat: setup
	cargo build --workspace --bin rpc-compat
	@"$(TARGET_DIR)/debug/rpc-compat" $(or $(CASES),../shared/rpc/tests)

.PHONY: fuzz-rpc
fuzz-rpc: setup
	cargo build --workspace --bin medina --bin medina-fuzz-rpc
	@"$(TARGET_DIR)/debug/medina-fuzz-rpc" --minutes $(or $(MINUTES),10) $(if $(RPC),--rpc '$(RPC)')
