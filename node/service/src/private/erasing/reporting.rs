//! What the public chain is told of an erasure, and what it shows: only that counts.

use super::{EraseError, holders::receipts};
use crate::private::{registry::report_erased_input, rows::ErasureRow, shared::Shared};
use alloy_primitives::{Address, B256};
use alloy_sol_types::{SolEvent as _, sol};
use medina_types::{Receipt, Transaction};

sol! {
    event ErasureReported(bytes32 indexed id, bytes32 indexed digest, bytes32 indexed org, bytes32 receiptsHash);
}

/// Gas of the report to the contract: it counts the reports of a group's members.
const REPORT_GAS: u64 = 600_000;

/// An organisation's word on the chain that a payload is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// The group.
    pub(crate) group: B256,
    /// The payload.
    pub(crate) digest: B256,
    /// Who says so.
    pub(crate) org: B256,
    /// In which public transaction.
    pub(crate) transaction: B256,
}

/// The reports in a block.
pub(crate) fn reports_in<'a>(
    contract: Address,
    transactions: &'a [Transaction],
    receipts: &'a [Receipt],
) -> impl Iterator<Item = Report> + 'a {
    let pairs = transactions.iter().zip(receipts);
    pairs.flat_map(move |(transaction, receipt)| {
        let ours = receipt
            .logs
            .iter()
            .filter(move |log| log.address == contract);
        ours.filter_map(move |log| match log.topics() {
            [name, group, digest, org] if *name == ErasureReported::SIGNATURE_HASH => {
                Some(Report {
                    group: *group,
                    digest: *digest,
                    org: *org,
                    transaction: *transaction.tx_hash(),
                })
            }
            _ => None,
        })
    })
}

/// Looks whether the chain shows a report of an organisation of this node, and sends one
/// if the marker account acts for one; else its admin does.
pub(super) fn report(shared: &Shared, row: &mut ErasureRow) -> Result<(), EraseError> {
    if row.part_of.is_some() {
        return Ok(());
    }
    let (group, digest) = (B256::from(row.group), B256::from(row.digest));
    for party in &shared.parties {
        if let Some(transaction) = shared.rows.report_of(digest, party.org)? {
            row.event = Some(transaction.0);
            return Ok(());
        }
    }
    // Who does not wait for the others speaks for himself.
    let is_named = |org: &B256| row.is_senders || shared.party(*org).is_some();
    let all: Vec<_> = receipts(row)
        .into_iter()
        .filter(|(org, _)| is_named(org))
        .map(|(_, receipt)| receipt)
        .collect();
    let hash = B256::from(medina_enclave::receipts_hash(&all));
    let input = report_erased_input(group, digest, hash);
    if shared.would_pass(&input, REPORT_GAS) {
        let contract = shared.registry.contract();
        shared.sending.send_call(contract, input, REPORT_GAS);
        return Ok(());
    }
    // Nobody waits for the report of a node that only carried it out.
    row.is_unreported = !row.is_ours;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Bytes, Log, LogData};

    #[test]
    fn report_is_named_by_the_transaction_that_made_it_and_by_no_other_contracts_event() {
        let contract = Address::repeat_byte(7);
        let event = ErasureReported {
            id: B256::repeat_byte(1),
            digest: B256::repeat_byte(2),
            org: B256::repeat_byte(3),
            receiptsHash: B256::repeat_byte(4),
        };
        let said = |address| Log {
            address,
            data: event.encode_log_data(),
        };
        let other = Log {
            address: contract,
            data: LogData::new_unchecked(vec![B256::ZERO; 4], Bytes::new()),
        };
        let receipts = [
            receipt(vec![said(Address::ZERO), other]),
            receipt(vec![said(contract)]),
        ];
        let transactions = [transaction(0), transaction(1)];
        let found: Vec<_> = reports_in(contract, &transactions, &receipts).collect();
        let expected = Report {
            group: event.id,
            digest: event.digest,
            org: event.org,
            transaction: *transactions[1].tx_hash(),
        };
        assert_eq!(found, [expected]);
    }

    fn receipt(logs: Vec<Log>) -> Receipt {
        Receipt {
            tx_type: alloy_consensus::TxType::Eip1559,
            success: true,
            cumulative_gas_used: 0,
            logs,
        }
    }

    fn transaction(nonce: u64) -> Transaction {
        use alloy_consensus::{SignableTransaction as _, TxEip1559};
        let transaction = TxEip1559 {
            nonce,
            ..TxEip1559::default()
        };
        transaction
            .into_signed(alloy_primitives::Signature::test_signature())
            .into()
    }
}
