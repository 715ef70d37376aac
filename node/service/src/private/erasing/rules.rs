//! When a payload may be forgotten, from facts alone.
//!
//! A payload whose marker is on the chain and not settled here is still needed, and one
//! whose marker may still come would leave its group waiting. So a payload is forgotten
//! after its marker, or once its sender's node has taken the marker back for good.
//!
//! | ordered by                        | here: held                | here: never held    |
//! |-----------------------------------|---------------------------|---------------------|
//! | own tenant that sent it           | taken back, or settled    | settled             |
//! | own tenant that did not           | settled, nobody else's    | settled             |
//! | other member that sent it         | settled, or no marker     | -                   |
//! | other member that did not         | refused                   | -                   |
//! | any, if more than half say that   | settled, or no marker     | settled             |
//! | it is erased                      |                           |                     |
//!
//! A marker that is not settled for [`WAITS_BLOCKS`] is waited for no more.

/// Blocks for which a payload's marker is waited for, to come or to be settled: a day of
/// blocks a second.
pub(super) const WAITS_BLOCKS: u64 = 86_400;

/// What there is of a payload here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// It can be opened.
    Held {
        /// Its envelope names the organisation that orders the erasure as its sender.
        is_by_sender: bool,
        /// Other organisations of this node can open it too.
        is_shared: bool,
    },
    /// It was forgotten.
    Erased,
    /// It was never here.
    Missing,
}

/// Where its marker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ordered {
    /// It is in no block that was looked through.
    Nowhere,
    /// In a block that the group has not come to.
    Ahead,
    /// The group has followed beyond it.
    Settled,
}

/// All that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) payload: Payload,
    pub(super) marker: Ordered,
    /// The public chain was looked through as far as it goes, and as far as the order says.
    pub(super) is_scanned: bool,
    /// Payload or marker are older than [`WAITS_BLOCKS`].
    pub(super) is_old: bool,
    /// More than half of the members say that it is erased: on the chain, or by receipts.
    pub(super) is_reported: bool,
}

/// What to do about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Forget it.
    Forget,
    /// Forget it if its marker can be taken back.
    TakeBack,
    /// It is still needed to follow the chain.
    NotYet,
    /// Who orders it may not.
    NotAllowed,
    /// There is nothing to forget, and nobody's word for it.
    Nothing,
}

impl Facts {
    /// For an order of another node.
    pub(super) fn for_member(&self) -> Verdict {
        match self.payload {
            // It answers with the receipt again.
            Payload::Erased => Verdict::Forget,
            Payload::Missing if !self.is_reported => Verdict::Nothing,
            Payload::Held {
                is_by_sender: false,
                ..
            } if !self.is_reported => Verdict::NotAllowed,
            Payload::Held { .. } | Payload::Missing => match self.marker {
                _ if !self.is_scanned => Verdict::NotYet,
                Ordered::Settled => Verdict::Forget,
                Ordered::Nowhere if matches!(self.payload, Payload::Held { .. }) => Verdict::Forget,
                Ordered::Nowhere | Ordered::Ahead => self.once_old(),
            },
        }
    }

    /// For an order of a tenant of this node.
    pub(super) fn at_home(&self) -> Verdict {
        let Payload::Held {
            is_by_sender,
            is_shared,
        } = self.payload
        else {
            return match (self.payload, self.marker) {
                (Payload::Erased, _) => Verdict::Forget,
                (_, Ordered::Settled) if self.is_scanned => Verdict::Forget,
                _ => Verdict::NotYet,
            };
        };
        match self.marker {
            _ if !is_by_sender && is_shared && !self.is_reported => Verdict::NotAllowed,
            _ if !self.is_scanned => Verdict::NotYet,
            Ordered::Settled => Verdict::Forget,
            Ordered::Nowhere if is_by_sender => Verdict::TakeBack,
            Ordered::Nowhere if self.is_reported => Verdict::Forget,
            Ordered::Nowhere | Ordered::Ahead => self.once_old(),
        }
    }

    /// What nobody can settle or take back is waited for so long and no longer.
    pub(super) const fn once_old(&self) -> Verdict {
        if self.is_old {
            Verdict::Forget
        } else {
            Verdict::NotYet
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDERS: Payload = Payload::Held {
        is_by_sender: true,
        is_shared: false,
    };
    const OTHERS: Payload = Payload::Held {
        is_by_sender: false,
        is_shared: false,
    };

    fn facts(payload: Payload, marker: Ordered) -> Facts {
        Facts {
            payload,
            marker,
            is_scanned: true,
            is_old: false,
            is_reported: false,
        }
    }

    #[test]
    fn member_that_did_not_send_it_destroys_nobody_elses_payload() {
        for marker in [Ordered::Nowhere, Ordered::Ahead, Ordered::Settled] {
            let ordered = facts(OTHERS, marker);
            assert_eq!(ordered.for_member(), Verdict::NotAllowed);
            let ordered = facts(Payload::Missing, marker);
            assert_eq!(ordered.for_member(), Verdict::Nothing, "no tombstone");
        }
        let reported = Facts {
            is_reported: true,
            ..facts(OTHERS, Ordered::Settled)
        };
        assert_eq!(reported.for_member(), Verdict::Forget);
    }

    #[test]
    fn nobody_forgets_what_may_still_be_ordered() {
        for payload in [SENDERS, OTHERS, Payload::Missing] {
            for marker in [Ordered::Nowhere, Ordered::Ahead, Ordered::Settled] {
                for is_reported in [false, true] {
                    let behind = Facts {
                        is_scanned: false,
                        is_reported,
                        ..facts(payload, marker)
                    };
                    assert_ne!(behind.for_member(), Verdict::Forget, "{behind:?}");
                    let home = behind.at_home();
                    assert!(
                        !matches!(home, Verdict::Forget | Verdict::TakeBack),
                        "{behind:?}"
                    );
                }
            }
            let ahead = facts(payload, Ordered::Ahead);
            assert_ne!(ahead.for_member(), Verdict::Forget);
            assert_eq!(ahead.at_home(), Verdict::NotYet);
        }
    }

    #[test]
    fn without_a_marker_the_senders_node_takes_it_back_first_and_the_others_believe_it() {
        let unsent = facts(SENDERS, Ordered::Nowhere);
        assert_eq!(unsent.at_home(), Verdict::TakeBack);
        assert_eq!(unsent.for_member(), Verdict::Forget);
        // A recipient's tenant waits for the marker.
        assert_eq!(facts(OTHERS, Ordered::Nowhere).at_home(), Verdict::NotYet);
        assert_eq!(
            facts(Payload::Missing, Ordered::Nowhere).at_home(),
            Verdict::NotYet
        );
    }

    #[test]
    fn marker_that_never_comes_or_settles_is_waited_for_no_longer_than_a_bound() {
        for marker in [Ordered::Nowhere, Ordered::Ahead] {
            let old = Facts {
                is_old: true,
                ..facts(OTHERS, marker)
            };
            assert_eq!(old.at_home(), Verdict::Forget);
        }
        let old = Facts {
            is_old: true,
            ..facts(SENDERS, Ordered::Ahead)
        };
        assert_eq!(old.for_member(), Verdict::Forget);
    }

    #[test]
    fn tenant_forgets_at_home_what_no_other_tenant_holds() {
        assert_eq!(facts(OTHERS, Ordered::Settled).at_home(), Verdict::Forget);
        let shared = Payload::Held {
            is_by_sender: false,
            is_shared: true,
        };
        let together = facts(shared, Ordered::Settled);
        assert_eq!(together.at_home(), Verdict::NotAllowed);
        let reported = Facts {
            is_reported: true,
            ..together
        };
        assert_eq!(reported.at_home(), Verdict::Forget);
    }

    #[test]
    fn what_is_erased_stays_so_and_is_said_again() {
        for marker in [Ordered::Nowhere, Ordered::Ahead, Ordered::Settled] {
            let erased = facts(Payload::Erased, marker);
            assert_eq!(erased.for_member(), Verdict::Forget);
            assert_eq!(erased.at_home(), Verdict::Forget);
        }
    }
}
