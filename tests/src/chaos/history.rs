//! What was seen and what is left: the checker that judges a chaos run.
//!
//! A history holds what clients were told (acknowledgements), what was looked at
//! during the run (heads), and the chain that every node has on its disk in the
//! end. The rules are plain and know nothing of consensus: what a receipt
//! promised is on every disk, no nonce twice and none left out, one hash per
//! height, equal ends, a quorum behind every block.

use alloy_primitives::{Address, B256, U256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// A transfer that a node answered a receipt for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Sender.
    pub sender: Address,
    /// Its nonce.
    pub nonce: u64,
    /// The transaction.
    pub transaction: B256,
    /// Height in the receipt.
    pub height: u64,
    /// Block hash in the receipt.
    pub block: B256,
    /// Who answered.
    pub node: usize,
}

/// A head that a node showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenHead {
    /// Who.
    pub node: usize,
    /// Its height then.
    pub height: u64,
    /// Its hash then.
    pub block: B256,
    /// Milliseconds since the script's start.
    pub at_ms: u64,
}

/// A transaction in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncludedTransaction {
    /// Its hash.
    pub hash: B256,
    /// Sender.
    pub sender: Address,
    /// Nonce.
    pub nonce: u64,
    /// Status of its receipt.
    pub succeeded: bool,
}

/// A block as a node's disk holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// Hash of its header, computed again.
    pub hash: B256,
    /// Parent in its header.
    pub parent: B256,
    /// State root in its header.
    pub state_root: B256,
    /// Its transactions, in order.
    pub transactions: Vec<IncludedTransaction>,
    /// Signers that its certificate proves, or why it proves nothing. Genesis
    /// needs none.
    pub certificate: Result<usize, String>,
}

/// One node's chain, from genesis to its head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredChain {
    /// Index is the height.
    pub blocks: Vec<StoredBlock>,
    /// Balance of each account that only receives.
    pub received: BTreeMap<Address, U256>,
}

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// What clients were told.
    pub acknowledged: Vec<Acknowledgement>,
    /// Every transaction that a client ever signed, and who receives one wei by it.
    pub offered: BTreeMap<B256, Address>,
    /// What nodes showed during the run.
    pub seen: Vec<SeenHead>,
    /// What nodes have in the end.
    pub chains: Vec<StoredChain>,
    /// Nodes that ended although nobody stopped them and their disk was not full.
    pub deaths: Vec<(usize, String)>,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A node's chain has a block whose parent is not the one before.
    BrokenChain {
        /// Whose chain.
        node: usize,
        /// Where.
        height: u64,
    },
    /// Two nodes have different blocks at a height.
    Fork {
        /// Where.
        height: u64,
        /// The two nodes.
        nodes: (usize, usize),
    },
    /// Nodes did not come to the same end.
    UnequalEnds {
        /// Height and state root of each node.
        ends: Vec<(u64, B256)>,
    },
    /// An acknowledged transfer is not where its receipt said, or failed.
    AcknowledgedLost {
        /// On whose disk.
        node: usize,
        /// What was promised.
        acknowledgement: Acknowledgement,
    },
    /// A head that a node showed is not in its chain.
    ShownHeadVanished {
        /// What was shown.
        head: SeenHead,
    },
    /// A sender's nonces are not 0, 1, 2 and so on.
    NonceOutOfOrder {
        /// Whose disk.
        node: usize,
        /// Where.
        height: u64,
        /// Whose nonce.
        sender: Address,
        /// The nonce that had to come.
        expected: u64,
        /// The nonce that came.
        found: u64,
    },
    /// A transaction that nobody sent.
    Invented {
        /// Whose disk.
        node: usize,
        /// Where.
        height: u64,
        /// The transaction.
        transaction: B256,
    },
    /// A block without proof.
    NoQuorum {
        /// Whose disk.
        node: usize,
        /// Where.
        height: u64,
        /// What is wrong with the certificate.
        reason: String,
    },
    /// An account did not receive what was sent to it.
    WrongBalance {
        /// Whose disk.
        node: usize,
        /// The account.
        account: Address,
        /// By the transfers in the chain.
        expected: U256,
        /// By the state.
        found: U256,
    },
    /// A node ended by itself.
    NodeDied {
        /// Which.
        node: usize,
        /// How, and its last words.
        how: String,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeDied { node, how } => write!(formatter, "node {node} died: {how}"),
            other => write!(formatter, "{other:?}"),
        }
    }
}

impl History {
    /// Every broken rule; empty for a run without fault.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        found.extend(self.deaths());
        found.extend(self.unequal_ends());
        found.extend(self.forks());
        found.extend(self.vanished_heads());
        for (node, chain) in self.chains.iter().enumerate() {
            found.extend(broken_links(node, chain));
            found.extend(missing_quorums(node, chain));
            found.extend(wrong_nonces(node, chain));
            found.extend(self.lost_acknowledgements(node, chain));
            found.extend(self.inventions(node, chain));
            found.extend(self.wrong_balances(node, chain));
        }
        found
    }

    fn deaths(&self) -> impl Iterator<Item = Violation> {
        self.deaths
            .iter()
            .cloned()
            .map(|(node, how)| Violation::NodeDied { node, how })
    }

    fn unequal_ends(&self) -> Option<Violation> {
        let ends: Vec<_> = self.chains.iter().map(end).collect();
        let are_equal = ends.windows(2).all(|pair| pair[0] == pair[1]);
        (!are_equal).then_some(Violation::UnequalEnds { ends })
    }

    fn forks(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        let Some(first) = self.chains.first() else {
            return found;
        };
        for (node, chain) in self.chains.iter().enumerate().skip(1) {
            let pairs = first.blocks.iter().zip(&chain.blocks);
            let different = (0u64..).zip(pairs).find(|(_, (a, b))| a.hash != b.hash);
            if let Some((height, _)) = different {
                let nodes = (0, node);
                found.push(Violation::Fork { height, nodes });
            }
        }
        found
    }

    fn vanished_heads(&self) -> impl Iterator<Item = Violation> {
        let is_there = |head: &&SeenHead| {
            let chain = self.chains.get(head.node);
            chain.and_then(|chain| at(chain, head.height)).map(hash_of) == Some(head.block)
        };
        self.seen
            .iter()
            .filter(move |head| !is_there(head))
            .map(|head| Violation::ShownHeadVanished { head: head.clone() })
    }

    fn lost_acknowledgements(
        &self,
        node: usize,
        chain: &StoredChain,
    ) -> impl Iterator<Item = Violation> {
        let is_kept = |promised: &Acknowledgement| {
            at(chain, promised.height)
                .filter(|block| block.hash == promised.block)
                .is_some_and(|block| {
                    block.transactions.iter().any(|included| {
                        included.hash == promised.transaction
                            && included.sender == promised.sender
                            && included.nonce == promised.nonce
                            && included.succeeded
                    })
                })
        };
        self.acknowledged
            .iter()
            .filter(move |promised| !is_kept(promised))
            .map(move |promised| Violation::AcknowledgedLost {
                node,
                acknowledgement: promised.clone(),
            })
    }

    fn inventions(&self, node: usize, chain: &StoredChain) -> impl Iterator<Item = Violation> {
        transactions(chain)
            .filter(|(_, included)| !self.offered.contains_key(&included.hash))
            .map(move |(height, included)| Violation::Invented {
                node,
                height,
                transaction: included.hash,
            })
    }

    fn wrong_balances(&self, node: usize, chain: &StoredChain) -> Vec<Violation> {
        let mut expected: BTreeMap<Address, U256> = BTreeMap::new();
        for (_, included) in transactions(chain) {
            if let Some(account) = self.offered.get(&included.hash) {
                *expected.entry(*account).or_default() += U256::from(1);
            }
        }
        let accounts: BTreeSet<_> = expected.keys().chain(chain.received.keys()).collect();
        let balances = accounts.into_iter().map(|account| {
            let expected = expected.get(account).copied().unwrap_or_default();
            let found = chain.received.get(account).copied().unwrap_or_default();
            (*account, expected, found)
        });
        balances
            .filter(|(_, expected, found)| expected != found)
            .map(|(account, expected, found)| Violation::WrongBalance {
                node,
                account,
                expected,
                found,
            })
            .collect()
    }
}

fn end(chain: &StoredChain) -> (u64, B256) {
    let last = chain.blocks.last();
    let state_root = last.map_or(B256::ZERO, |block| block.state_root);
    (chain.blocks.len() as u64, state_root)
}

fn at(chain: &StoredChain, height: u64) -> Option<&StoredBlock> {
    chain.blocks.get(usize::try_from(height).ok()?)
}

fn hash_of(block: &StoredBlock) -> B256 {
    block.hash
}

fn transactions(chain: &StoredChain) -> impl Iterator<Item = (u64, &IncludedTransaction)> {
    (0u64..).zip(&chain.blocks).flat_map(|(height, block)| {
        block
            .transactions
            .iter()
            .map(move |included| (height, included))
    })
}

fn broken_links(node: usize, chain: &StoredChain) -> impl Iterator<Item = Violation> {
    (1u64..)
        .zip(chain.blocks.windows(2))
        .filter(|(_, pair)| pair[1].parent != pair[0].hash)
        .map(move |(height, _)| Violation::BrokenChain { node, height })
}

fn missing_quorums(node: usize, chain: &StoredChain) -> impl Iterator<Item = Violation> {
    (0u64..)
        .zip(&chain.blocks)
        .skip(1)
        .filter_map(move |(height, block)| {
            let reason = block.certificate.as_ref().err()?.clone();
            Some(Violation::NoQuorum {
                node,
                height,
                reason,
            })
        })
}

fn wrong_nonces(node: usize, chain: &StoredChain) -> Vec<Violation> {
    let mut next: BTreeMap<Address, u64> = BTreeMap::new();
    let mut found = Vec::new();
    for (height, included) in transactions(chain) {
        let expected = next.entry(included.sender).or_default();
        if included.nonce != *expected {
            found.push(Violation::NonceOutOfOrder {
                node,
                height,
                sender: included.sender,
                expected: *expected,
                found: included.nonce,
            });
        }
        *expected = included.nonce + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER: Address = Address::repeat_byte(0xaa);
    const RECEIVER: Address = Address::repeat_byte(0xbb);

    fn hash(kind: u8, number: u8) -> B256 {
        B256::right_padding_from(&[kind, number])
    }

    fn block(height: u8) -> StoredBlock {
        let transaction = IncludedTransaction {
            hash: hash(2, height),
            sender: SENDER,
            nonce: u64::from(height).saturating_sub(1),
            succeeded: true,
        };
        StoredBlock {
            hash: hash(1, height),
            parent: hash(1, height.saturating_sub(1)),
            state_root: hash(3, height),
            transactions: if height == 0 {
                vec![]
            } else {
                vec![transaction]
            },
            certificate: Ok(3),
        }
    }

    /// Four nodes, three blocks with one acknowledged transfer each.
    fn honest() -> History {
        let chain = StoredChain {
            blocks: (0..=3).map(block).collect(),
            received: [(RECEIVER, U256::from(3))].into(),
        };
        let acknowledge = |height: u8| Acknowledgement {
            sender: SENDER,
            nonce: u64::from(height) - 1,
            transaction: hash(2, height),
            height: height.into(),
            block: hash(1, height),
            node: 0,
        };
        History {
            acknowledged: (1..=3).map(acknowledge).collect(),
            offered: (1..=3).map(|height| (hash(2, height), RECEIVER)).collect(),
            seen: vec![SeenHead {
                node: 2,
                height: 2,
                block: hash(1, 2),
                at_ms: 5,
            }],
            chains: vec![chain; 4],
            deaths: vec![],
        }
    }

    #[test]
    fn honest_history_breaks_no_rule() {
        assert_eq!(honest().violations(), vec![]);
    }

    /// What was forged, how, and the rule that must notice.
    type Forgery = (&'static str, fn(&mut History), fn(&Violation) -> bool);

    const FORGERIES: [Forgery; 13] = [
        (
            "an acknowledged block vanished everywhere",
            |history| {
                for chain in &mut history.chains {
                    chain.blocks.pop();
                    chain.received.insert(RECEIVER, U256::from(2));
                }
            },
            |found| matches!(found, Violation::AcknowledgedLost { acknowledgement, .. } if acknowledgement.height == 3),
        ),
        (
            "an acknowledged transfer is on all disks but one",
            |history| history.chains[1].blocks[2].transactions.clear(),
            |found| matches!(found, Violation::AcknowledgedLost { node: 1, .. }),
        ),
        (
            "an acknowledged transfer failed",
            |history| history.chains[0].blocks[1].transactions[0].succeeded = false,
            |found| matches!(found, Violation::AcknowledgedLost { node: 0, .. }),
        ),
        (
            "a nonce was used twice",
            |history| {
                for chain in &mut history.chains {
                    let mut again = chain.blocks[1].transactions[0].clone();
                    again.hash = hash(2, 9);
                    chain.blocks[2].transactions.insert(0, again);
                    chain.received.insert(RECEIVER, U256::from(4));
                }
                history.offered.insert(hash(2, 9), RECEIVER);
            },
            |found| {
                matches!(
                    found,
                    Violation::NonceOutOfOrder {
                        expected: 1,
                        found: 0,
                        ..
                    }
                )
            },
        ),
        (
            "two nodes hold different blocks",
            |history| history.chains[3].blocks[2].hash = hash(9, 9),
            |found| {
                matches!(
                    found,
                    Violation::Fork {
                        height: 2,
                        nodes: (0, 3)
                    }
                )
            },
        ),
        (
            "a chain does not hang together",
            |history| history.chains[0].blocks[3].parent = hash(9, 9),
            |found| matches!(found, Violation::BrokenChain { node: 0, height: 3 }),
        ),
        (
            "a node stayed behind",
            |history| {
                history.chains[2].blocks.pop();
            },
            |found| matches!(found, Violation::UnequalEnds { .. }),
        ),
        (
            "a node has another state",
            |history| history.chains[2].blocks[3].state_root = hash(9, 9),
            |found| matches!(found, Violation::UnequalEnds { .. }),
        ),
        (
            "a head was shown and taken back",
            |history| history.seen[0].block = hash(9, 9),
            |found| matches!(found, Violation::ShownHeadVanished { .. }),
        ),
        (
            "a certificate lacks its quorum",
            |history| history.chains[1].blocks[3].certificate = Err("2 of 3".to_owned()),
            |found| {
                matches!(
                    found,
                    Violation::NoQuorum {
                        node: 1,
                        height: 3,
                        ..
                    }
                )
            },
        ),
        (
            "a transaction came from nowhere",
            |history| {
                history.offered.remove(&hash(2, 3));
            },
            |found| matches!(found, Violation::Invented { height: 3, .. }),
        ),
        (
            "the state holds a transfer too many",
            |history| {
                history.chains[0].received.insert(RECEIVER, U256::from(4));
            },
            |found| matches!(found, Violation::WrongBalance { node: 0, .. }),
        ),
        (
            "a node gave up",
            |history| history.deaths.push((1, "exit status: 101".to_owned())),
            |found| matches!(found, Violation::NodeDied { node: 1, .. }),
        ),
    ];

    #[test]
    fn every_forged_history_is_noticed_by_the_rule_for_it() {
        for (what, forge, is_the_rule) in FORGERIES {
            let mut history = honest();
            forge(&mut history);
            let found = history.violations();
            assert!(found.iter().any(is_the_rule), "{what}: {found:?}");
        }
    }
}
