//! Each rule of a block broken once, by name and with both values.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use alloy_consensus::{Header, TxEip4844};
use alloy_eips::eip4895::{Withdrawal, Withdrawals};
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, Signature, U256};
use common::{Chain, Send, free, operator};
use medina_execution::{
    ExecutionError, InvalidBlock, ParentOf, TransactionRefused, check_block, system_contracts,
};
use medina_types::{Block, SealedBlock, Transaction, limits};

const OTHER: B256 = B256::repeat_byte(0xee);

fn validate(chain: &Chain, block: Block) -> Result<(), InvalidBlock> {
    chain
        .executor
        .validate(
            &chain.store,
            &chain.head(),
            &SealedBlock::new(block),
            |_| None,
        )
        .map(drop)
}

/// A chain and a valid block of two transfers on it.
fn valid() -> (Chain, Block) {
    let chain = Chain::new(free());
    chain.advance(&[]);
    let to = Address::repeat_byte(0x55);
    let built = chain.build(&[
        Send::new(1, 0, to).signed(),
        Send::new(2, 0, chain.counter).signed(),
    ]);
    let block = built.block.sealed.block().clone();
    (chain, block)
}

#[test]
fn every_header_field_is_checked() {
    type Change = fn(&mut Header);
    type Check = fn(&InvalidBlock) -> bool;
    let table: [(&str, Change, Check); 24] = [
        (
            "parent hash",
            |h| h.parent_hash = OTHER,
            |e| matches!(e, InvalidBlock::ParentHash { found: OTHER, .. }),
        ),
        (
            "number",
            |h| h.number = 9,
            |e| {
                matches!(
                    e,
                    InvalidBlock::Number {
                        expected: 2,
                        found: 9
                    }
                )
            },
        ),
        (
            "time runs back",
            |h| h.timestamp -= 2,
            |e| matches!(e, InvalidBlock::Timestamp { expected, found } if found + 1 == *expected),
        ),
        (
            "gas limit",
            |h| h.gas_limit += 1,
            |e| {
                matches!(
                    e,
                    InvalidBlock::GasLimit {
                        expected: 30_000_000,
                        found: 30_000_001
                    }
                )
            },
        ),
        (
            "extra data",
            |h| h.extra_data = Bytes::from(vec![0; 33]),
            |e| {
                matches!(
                    e,
                    InvalidBlock::ExtraData {
                        expected: 32,
                        found: 33
                    }
                )
            },
        ),
        (
            "difficulty",
            |h| h.difficulty = U256::ONE,
            |e| {
                matches!(
                    e,
                    InvalidBlock::Difficulty {
                        found: U256::ONE,
                        ..
                    }
                )
            },
        ),
        (
            "nonce",
            |h| h.nonce = B64::repeat_byte(1),
            |e| matches!(e, InvalidBlock::Nonce { .. }),
        ),
        (
            "ommers hash",
            |h| h.ommers_hash = OTHER,
            |e| matches!(e, InvalidBlock::OmmersHash { found: OTHER, .. }),
        ),
        (
            "beneficiary",
            |h| h.beneficiary = Address::repeat_byte(1),
            |e| matches!(e, InvalidBlock::Beneficiary { expected: 4, .. }),
        ),
        (
            "prevrandao",
            |h| h.mix_hash = OTHER,
            |e| matches!(e, InvalidBlock::Prevrandao { found: OTHER, .. }),
        ),
        (
            "base fee",
            |h| h.base_fee_per_gas = Some(7),
            |e| {
                matches!(
                    e,
                    InvalidBlock::BaseFee {
                        expected: 0,
                        found: Some(7)
                    }
                )
            },
        ),
        (
            "withdrawals root",
            |h| h.withdrawals_root = Some(OTHER),
            |e| {
                matches!(
                    e,
                    InvalidBlock::WithdrawalsRoot {
                        found: Some(OTHER),
                        ..
                    }
                )
            },
        ),
        (
            "blob gas used",
            |h| h.blob_gas_used = Some(131_072),
            |e| {
                matches!(
                    e,
                    InvalidBlock::BlobGasUsed {
                        expected: 0,
                        found: Some(131_072)
                    }
                )
            },
        ),
        (
            "excess blob gas",
            |h| h.excess_blob_gas = Some(1),
            |e| {
                matches!(
                    e,
                    InvalidBlock::ExcessBlobGas {
                        expected: 0,
                        found: Some(1)
                    }
                )
            },
        ),
        (
            "beacon root",
            |h| h.parent_beacon_block_root = Some(OTHER),
            |e| {
                matches!(
                    e,
                    InvalidBlock::ParentBeaconRoot {
                        found: Some(OTHER),
                        ..
                    }
                )
            },
        ),
        (
            "no beacon root",
            |h| h.parent_beacon_block_root = None,
            |e| matches!(e, InvalidBlock::ParentBeaconRoot { found: None, .. }),
        ),
        (
            "requests hash",
            |h| h.requests_hash = Some(OTHER),
            |e| {
                matches!(
                    e,
                    InvalidBlock::RequestsHash {
                        found: Some(OTHER),
                        ..
                    }
                )
            },
        ),
        (
            "block access list",
            |h| h.block_access_list_hash = Some(OTHER),
            |e| {
                matches!(
                    e,
                    InvalidBlock::FutureField {
                        field: "block access list hash",
                        ..
                    }
                )
            },
        ),
        (
            "slot number",
            |h| h.slot_number = Some(1),
            |e| {
                matches!(
                    e,
                    InvalidBlock::FutureField {
                        field: "slot number",
                        ..
                    }
                )
            },
        ),
        (
            "transactions root",
            |h| h.transactions_root = OTHER,
            |e| matches!(e, InvalidBlock::TransactionsRoot { found: OTHER, .. }),
        ),
        (
            "gas used",
            |h| h.gas_used += 1,
            |e| matches!(e, InvalidBlock::GasUsed { expected, found } if expected + 1 == *found),
        ),
        (
            "receipts root",
            |h| h.receipts_root = OTHER,
            |e| matches!(e, InvalidBlock::ReceiptsRoot { found: OTHER, .. }),
        ),
        (
            "logs bloom",
            |h| h.logs_bloom = Bloom::ZERO,
            |e| matches!(e, InvalidBlock::LogsBloom { found, .. } if found.is_zero()),
        ),
        (
            "state root",
            |h| h.state_root = OTHER,
            |e| matches!(e, InvalidBlock::StateRoot { found: OTHER, .. }),
        ),
    ];
    let (chain, block) = valid();
    validate(&chain, block.clone()).unwrap();
    for (name, change, is_expected) in table {
        let mut broken = block.clone();
        change(&mut broken.header);
        let error = validate(&chain, broken).expect_err(name);
        assert!(is_expected(&error), "{name}: {error}");
        assert!(!error.is_our_fault(), "{name}");
        let text = error.to_string();
        assert!(
            text.contains("expected") && text.contains("found"),
            "{text}"
        );
    }
}

#[test]
fn any_operator_and_equal_time_are_within_the_rules() {
    let (chain, mut block) = valid();
    let head = chain.head();
    block.header.beneficiary = operator(3);
    block.header.timestamp = head.header.timestamp;
    let parent = ParentOf {
        hash: head.hash,
        header: &head.header,
        context: &head.context,
    };
    check_block(
        chain.executor.spec(),
        &chain
            .executor
            .rules_of(block.header.number, block.header.timestamp),
        parent,
        &block,
        1_000,
    )
    .unwrap();
}

#[test]
fn body_carries_neither_ommers_nor_withdrawals() {
    let (chain, block) = valid();
    let mut with_ommer = block.clone();
    with_ommer.body.ommers.push(Header::default());
    let error = validate(&chain, with_ommer).unwrap_err();
    assert!(
        matches!(
            error,
            InvalidBlock::Ommers {
                expected: 0,
                found: 1
            }
        ),
        "{error}"
    );

    let mut with_withdrawal = block.clone();
    with_withdrawal.body.withdrawals = Some(Withdrawals::new(vec![Withdrawal::default()]));
    let error = validate(&chain, with_withdrawal).unwrap_err();
    assert!(
        matches!(error, InvalidBlock::Withdrawals { found: Some(1), .. }),
        "{error}"
    );

    let mut without_list = block;
    without_list.body.withdrawals = None;
    let error = validate(&chain, without_list).unwrap_err();
    assert!(
        matches!(error, InvalidBlock::Withdrawals { found: None, .. }),
        "{error}"
    );
}

/// Puts transactions into a valid block, with the right root.
fn with_transactions(block: &Block, transactions: Vec<Transaction>) -> Block {
    let mut block = block.clone();
    block.header.transactions_root =
        alloy_consensus::proofs::calculate_transaction_root(&transactions);
    block.body.transactions = transactions;
    block
}

#[test]
fn blob_transactions_are_refused_by_their_place() {
    let (chain, block) = valid();
    let signature = Signature::test_signature();
    let blob = alloy_consensus::Signed::new_unhashed(TxEip4844::default(), signature);
    let mut transactions = block.body.transactions.clone();
    transactions.push(blob.into());
    let error = validate(&chain, with_transactions(&block, transactions)).unwrap_err();
    assert!(
        matches!(error, InvalidBlock::BlobTransaction { index: 2, found: 3 }),
        "{error}"
    );
}

#[test]
fn first_unfit_transaction_is_named_with_its_reason() {
    let (chain, block) = valid();
    let repeated = vec![
        block.body.transactions[0].clone(),
        block.body.transactions[0].clone(),
    ];
    let error = validate(&chain, with_transactions(&block, repeated)).unwrap_err();
    let InvalidBlock::Transaction { index, reason, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(index, 1);
    assert!(matches!(
        *reason,
        TransactionRefused::NonceTooLow {
            nonce: 0,
            expected: 1,
            ..
        }
    ));
}

#[test]
fn transactions_never_use_more_gas_than_the_block_has() {
    let (chain, block) = valid();
    let burn = |from| Send::new(from, 0, chain.looper).gas(14_000_000).signed();
    let error = validate(
        &chain,
        with_transactions(&block, vec![burn(1), burn(2), burn(3)]),
    )
    .unwrap_err();
    let InvalidBlock::Transaction {
        index: 2, reason, ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(
        *reason,
        TransactionRefused::ExceedsBlockGas {
            wanted: 14_000_000,
            left: 2_000_000
        }
    );
}

#[test]
fn unsigned_transaction_is_named() {
    let (chain, block) = valid();
    let Transaction::Eip1559(good) = &block.body.transactions[1] else {
        panic!("type 2")
    };
    // The highest s is refused since EIP-2.
    let bad = Signature::new(U256::from(1), U256::MAX, false);
    let unsigned = alloy_consensus::Signed::new_unhashed(good.tx().clone(), bad);
    let transactions = vec![block.body.transactions[0].clone(), unsigned.into()];
    let error = validate(&chain, with_transactions(&block, transactions)).unwrap_err();
    assert!(
        matches!(error, InvalidBlock::Signature { index: 1, .. }),
        "{error}"
    );
}

#[test]
fn oversized_block_is_refused_before_anything_else() {
    let (chain, block) = valid();
    let big = Send {
        input: vec![0; limits::BLOCK_BYTES_MAX].into(),
        ..Send::new(1, 0, operator(0))
    };
    let error = validate(&chain, with_transactions(&block, vec![big.signed()])).unwrap_err();
    assert!(
        matches!(
            error,
            InvalidBlock::Size {
                expected: limits::BLOCK_BYTES_MAX,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn chain_without_request_contracts_makes_no_blocks() {
    let mut builder = medina_execution::GenesisBuilder::new(common::CHAIN_ID, common::GENESIS_TIME);
    for contract in &system_contracts()[..3] {
        builder
            .set_account(contract.address, contract.clone().into())
            .unwrap();
    }
    let chain = Chain::with_builder(free(), U256::ZERO, builder);
    let built = chain.executor.build(
        &chain.store,
        &chain.head(),
        &chain.attributes(),
        &mut || None,
        &mut || false,
    );
    let Err(ExecutionError::SystemContractMissing { name, .. }) = built else {
        panic!("built")
    };
    assert_eq!(name, "EIP-7251");
}
