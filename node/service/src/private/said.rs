//! Events of the contract `PrivateGroups` that private groups go by.

use alloy_primitives::{Address, B256};
use alloy_sol_types::{SolEvent as _, sol};
use medina_types::Receipt;

sol! {
    event GroupCreated(bytes32 indexed id, bytes32 indexed by, bytes32 name, uint8 mode, uint16 quorum, uint32 attestEvery);
    event Skipped(bytes32 indexed id, bytes32 indexed digest);
}

/// What an event of the contract says that private groups go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The members voted to pass a payload over.
    Skipped { group: B256, digest: B256 },
    /// An organisation made a group.
    Created { group: B256, by: B256 },
}

/// What the contract said in the receipts of a block, in order.
pub(crate) fn said_in(contract: Address, receipts: &[Receipt]) -> Vec<Said> {
    let logs = receipts.iter().flat_map(|receipt| &receipt.logs);
    let ours = logs.filter(|log| log.address == contract);
    ours.filter_map(|log| match log.topics() {
        [name, group, digest, ..] if *name == Skipped::SIGNATURE_HASH => Some(Said::Skipped {
            group: *group,
            digest: *digest,
        }),
        [name, group, by, ..] if *name == GroupCreated::SIGNATURE_HASH => Some(Said::Created {
            group: *group,
            by: *by,
        }),
        _ => None,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Bytes, Log, LogData};
    use alloy_sol_types::SolEvent;

    fn log(address: Address, topics: Vec<B256>) -> Log {
        Log {
            address,
            data: LogData::new_unchecked(topics, Bytes::new()),
        }
    }

    #[test]
    fn only_the_contract_speaks_and_only_of_what_matters() {
        let (contract, stranger) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let (group, digest, org) = (
            B256::repeat_byte(3),
            B256::repeat_byte(4),
            B256::repeat_byte(5),
        );
        let skipped = vec![Skipped::SIGNATURE_HASH, group, digest];
        let receipt = Receipt {
            tx_type: alloy_consensus::TxType::Legacy,
            success: true,
            cumulative_gas_used: 0,
            logs: vec![
                log(stranger, skipped.clone()),
                log(contract, vec![GroupCreated::SIGNATURE_HASH, group, org]),
                log(contract, vec![B256::ZERO, group, org]),
                log(contract, vec![Skipped::SIGNATURE_HASH, group]),
                log(contract, skipped),
            ],
        };
        let expected = [
            Said::Created { group, by: org },
            Said::Skipped { group, digest },
        ];
        assert_eq!(said_in(contract, &[receipt]), expected);
    }
}
