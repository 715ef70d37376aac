//! What a private transaction came to.

use crate::{CallOutcome, CallStatus, revert_reason};
use alloy_primitives::{Address, B256, Bytes, Log};
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::limits;

/// How a private transaction ended.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum PrivateStatus {
    /// As intended.
    Success,
    /// The contract took it back; its words are in the output.
    Reverted,
    /// The machine stopped it, and took the gas; or it would have changed public
    /// state. Its nonce counts.
    Failed(String),
    /// It may not run: signature, group, mode, nonce, gas, or what the follower found.
    /// Nothing changed, its nonce neither.
    Invalid(String),
    /// Its payload was erased before it ran here; nothing changed.
    Erased,
    /// The members voted to pass over it; nothing changed.
    Skipped,
    /// Validated mode: the group's root was another than the envelope names. Nothing
    /// changed; the sender's node tries again.
    Stale {
        /// The root that was named.
        claimed: [u8; 32],
        /// The root that was there.
        found: [u8; 32],
    },
    /// Validated mode: it leads to another root than the envelope names. Nothing
    /// changed, as with all members: its place decides where it leads, and the time or
    /// the public state may be another there than where its sender tried it. The
    /// sender's node tries again.
    Diverged {
        /// The root that was named.
        claimed: [u8; 32],
        /// The root that it leads to.
        found: [u8; 32],
    },
}

impl PrivateStatus {
    /// True where the machine ran it and its nonce counts, however it ended.
    #[must_use]
    pub const fn is_executed(&self) -> bool {
        matches!(self, Self::Success | Self::Reverted | Self::Failed(_))
    }

    /// True where it did nothing but may do so elsewhere: the sender's node seals it anew.
    #[must_use]
    pub const fn may_be_tried_again(&self) -> bool {
        matches!(self, Self::Stale { .. } | Self::Diverged { .. })
    }

    /// Why it did not succeed, for people.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        Some(match self {
            Self::Success => return None,
            Self::Reverted => "execution reverted".to_owned(),
            Self::Failed(reason) | Self::Invalid(reason) => reason.clone(),
            Self::Erased => "the payload was erased".to_owned(),
            Self::Skipped => "the members voted to pass over it".to_owned(),
            Self::Stale { claimed, found } => format!(
                "the group's root was {}, not {}",
                B256::from(*found),
                B256::from(*claimed)
            ),
            Self::Diverged { claimed, found } => format!(
                "it leads to the root {}, not {}",
                B256::from(*found),
                B256::from(*claimed)
            ),
        })
    }
}

/// Receipt of one item, whether it ran or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateReceipt {
    /// Hash of the public transaction.
    pub marker: B256,
    /// Index of it in its public block.
    pub index: u64,
    /// Digest of the envelope.
    pub digest: B256,
    /// Hash of the signed private transaction; none for compat or where it is unknown.
    pub transaction: Option<B256>,
    /// Who signed it, where that is known.
    pub from: Option<Address>,
    /// Who was called.
    pub to: Option<Address>,
    /// Private nonce; the public one for compat.
    pub nonce: Option<u64>,
    /// Contract that it created.
    pub created: Option<Address>,
    /// How it ended.
    pub status: PrivateStatus,
    /// Private gas used.
    pub gas_used: u64,
    /// Returned or revert data, cut to [`limits::PRIVATE_OUTPUT_BYTES_MAX`]; nothing
    /// for a creation, whose output is the code.
    pub output: Bytes,
    /// Events; none unless it succeeded.
    pub logs: Vec<Log>,
    /// Whether logs, output and reason were erased since.
    pub is_erased: bool,
}

impl PrivateReceipt {
    /// Of the public transaction with this hash and index, nothing known but its end.
    pub(super) const fn new(
        (marker, index): (B256, u64),
        digest: B256,
        status: PrivateStatus,
    ) -> Self {
        Self {
            marker,
            index,
            digest,
            transaction: None,
            from: None,
            to: None,
            nonce: None,
            created: None,
            status,
            gas_used: 0,
            output: Bytes::new(),
            logs: Vec::new(),
            is_erased: false,
        }
    }

    /// Takes over what the machine made of it.
    pub(super) fn fill(&mut self, outcome: CallOutcome) {
        self.gas_used = outcome.gas_used;
        self.created = outcome.created.filter(|_| outcome.is_success());
        let mut output = outcome.output;
        // The output of a creation is the code, which the state has.
        if self.created.is_some() {
            output.clear();
        }
        output.truncate(limits::PRIVATE_OUTPUT_BYTES_MAX);
        self.output = output;
        self.logs = outcome.logs;
        self.status = match outcome.status {
            CallStatus::Success => PrivateStatus::Success,
            CallStatus::Revert => PrivateStatus::Reverted,
            CallStatus::Halt { reason, .. } => PrivateStatus::Failed(reason),
        };
    }

    /// True for [`PrivateStatus::Success`].
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status == PrivateStatus::Success
    }

    /// Why it did not succeed: the contract's own words where it gave some.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let words = (self.status == PrivateStatus::Reverted)
            .then(|| revert_reason(&self.output))
            .flatten();
        words.or_else(|| self.status.reason())
    }

    /// Forgets what it said: logs, output and the words of its failure.
    pub fn erase(&mut self) {
        self.logs.clear();
        self.output.clear();
        if let PrivateStatus::Failed(reason) | PrivateStatus::Invalid(reason) = &mut self.status {
            *reason = "erased".to_owned();
        }
        self.is_erased = true;
    }
}
