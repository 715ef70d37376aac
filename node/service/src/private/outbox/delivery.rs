//! A delivery: an envelope, who is to have it, and what its marker waits for.

use alloy_primitives::{Address, B256};
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::{BTreeMap, BTreeSet};

/// Tries that an absent recipient still gets once the marker is in a block and enough
/// others have the envelope; then it fetches it when it is back.
pub(super) const LATE_TRIES_MAX: u32 = 4;

/// Whose acknowledgements a marker waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Policy {
    /// These by name.
    pub(crate) mandatory: BTreeSet<[u8; 32]>,
    /// So many of the others; 0 for all of them.
    pub(crate) quorum: u16,
}

impl Policy {
    /// Whether these acknowledgements, of these recipients, are enough.
    pub(crate) fn is_met<'a>(
        &self,
        recipients: impl Iterator<Item = (&'a [u8; 32], bool)>,
    ) -> bool {
        let (mut others, mut acknowledged) = (0_usize, 0_usize);
        for (org, has_acknowledged) in recipients {
            if self.mandatory.contains(org) {
                if !has_acknowledged {
                    return false;
                }
                continue;
            }
            others += 1;
            acknowledged += usize::from(has_acknowledged);
        }
        let wanted = match self.quorum {
            0 => others,
            quorum => usize::from(quorum).min(others),
        };
        acknowledged >= wanted
    }
}

/// Where a recipient stands in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Turn {
    /// Not in it.
    #[default]
    None,
    /// It is tried from this time on, in milliseconds.
    At(u64),
    /// A try is under way.
    UnderWay,
}

/// What is known of one recipient of a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Recipient {
    /// When its signed acknowledgement arrived, seconds since 1970.
    pub(crate) acknowledged_at_s: Option<u64>,
    /// Tries so far.
    pub(crate) attempts: u32,
    /// What the last try met.
    pub(crate) last_error: Option<String>,
    /// Tries since it was waited for no more.
    #[borsh(skip)]
    pub(super) late_tries: u32,
    #[borsh(skip)]
    pub(super) turn: Turn,
}

/// Where a delivery's marker stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum MarkerStage {
    /// It waits for the policy, and for its turn.
    #[default]
    Waiting,
    /// The marker account sends it until it is in a block.
    Released,
    /// The client makes it.
    Foreign,
    /// It is in this block, as this public transaction.
    Included {
        /// Public height.
        height: u64,
        /// Hash of the public transaction.
        transaction: [u8; 32],
    },
    /// It will not come, for this reason.
    Abandoned(String),
}

/// Who signed a private transaction, and its place among those of that account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub(crate) struct Signed {
    /// The account.
    pub(crate) account: [u8; 20],
    /// The private nonce.
    pub(crate) nonce: u64,
}

impl Signed {
    /// By an account, with a private nonce.
    pub(crate) fn new(account: Address, nonce: u64) -> Self {
        let account = account.0.0;
        Self { account, nonce }
    }
}

/// An envelope on its way.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Delivery {
    /// Digest of the envelope.
    pub(crate) digest: [u8; 32],
    /// Its group.
    pub(crate) group: [u8; 32],
    /// The organisation that sends it.
    pub(crate) sender: [u8; 32],
    /// By which members recognise its marker.
    pub(crate) tag: [u8; 32],
    /// Version of the secret that the tag was made with.
    pub(crate) secret_version: u32,
    /// Organisations that are to have it.
    pub(crate) recipients: BTreeMap<[u8; 32], Recipient>,
    /// What the marker waits for.
    pub(crate) policy: Policy,
    /// The marker.
    pub(crate) marker: MarkerStage,
    /// Hash of the marker's transaction, as it was last sent.
    pub(crate) sent_as: Option<[u8; 32]>,
    /// The same transaction sealed anew, after this one was found stale.
    pub(crate) replaced_by: Option<[u8; 32]>,
    /// The one that this was sealed for anew.
    pub(crate) replaces: Option<[u8; 32]>,
    /// It waits for its turn in a group whose transactions follow each other, and is
    /// given to nobody yet.
    pub(crate) is_held: bool,
    /// It is done only when it was executed: else it is sealed anew.
    pub(crate) awaits_receipt: bool,
    /// Order in which transactions were taken.
    pub(crate) order: u64,
    /// Markers of one account leave in the order of its nonces; `None` where the order
    /// is kept otherwise.
    pub(crate) signed: Option<Signed>,
    /// How often it was sealed anew.
    pub(crate) sealed_anew: u32,
}

impl Delivery {
    /// Whether the marker may go out.
    pub(crate) fn is_policy_met(&self) -> bool {
        let recipients = self.recipients.iter();
        let acknowledged =
            recipients.map(|(org, recipient)| (org, recipient.acknowledged_at_s.is_some()));
        self.policy.is_met(acknowledged)
    }

    /// Whether the members have acknowledged what the policy asks for.
    ///
    /// # Errors
    /// Why it was given up: it will not come any more.
    pub(crate) fn is_acknowledged(&self) -> Result<bool, String> {
        match &self.marker {
            MarkerStage::Abandoned(reason) => Err(reason.clone()),
            _ => Ok(self.is_policy_met()),
        }
    }

    /// The same as it is once it was sealed anew, as `by`.
    pub(crate) fn replaced_with(&self, by: B256) -> Self {
        let reason = "sealed anew on the group's newest state";
        Self {
            marker: MarkerStage::Abandoned(reason.to_owned()),
            replaced_by: Some(by.0),
            ..self.clone()
        }
    }

    /// Whether its marker is on its way, or about to be.
    pub(crate) const fn is_before_its_block(&self) -> bool {
        matches!(self.marker, MarkerStage::Waiting | MarkerStage::Released)
    }

    /// Whether nothing depends on the recipients any more that have not got it.
    pub(super) fn is_late(&self) -> bool {
        let is_out = matches!(
            self.marker,
            MarkerStage::Included { .. } | MarkerStage::Foreign
        );
        is_out && self.is_policy_met()
    }

    /// Everybody has it, or was given time enough. `is_away` says of whom nothing was
    /// heard for long.
    fn is_delivered(&self, is_away: impl Fn(B256) -> bool) -> bool {
        let is_late = self.is_late();
        self.recipients.iter().all(|(org, recipient)| {
            let is_given_up = recipient.late_tries >= LATE_TRIES_MAX || is_away(B256::from(*org));
            recipient.acknowledged_at_s.is_some() || (is_late && is_given_up)
        })
    }

    /// Nothing is left to be done.
    pub(super) fn is_complete(&self, is_away: impl Fn(B256) -> bool) -> bool {
        match self.marker {
            MarkerStage::Abandoned(_) => true,
            MarkerStage::Included { .. } => !self.awaits_receipt && self.is_delivered(is_away),
            MarkerStage::Foreign => self.is_delivered(is_away),
            MarkerStage::Waiting | MarkerStage::Released => false,
        }
    }
}
