//! The secret by which a group's markers are told from others: looked for at the
//! members, made where nobody has one.

use crate::private::{
    members::{ask, blocking},
    protocol::{Answer, Question},
    registry::GroupRecord,
    shared::{AskError, Shared},
    tagging::{self, Held},
};
use alloy_primitives::B256;
use std::sync::Arc;
use tracing::debug;

/// Pause after the members were asked in vain, and the longest after several times.
const PAUSE_MS: u64 = 1_000;
const PAUSE_MS_MAX: u64 = 30_000;

/// Where a secret of the group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secret {
    Here,
    /// Every other member says that it has none: nothing was ever sent.
    Nowhere,
    /// Somebody may have one who does not answer.
    Unknown,
}

/// How often members were asked in vain: nobody has to be asked at every block whether
/// a group that nothing happens in has a secret by now.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// Version of the secret that is here, and in force.
    here: Option<u32>,
    asked: u32,
    again_at_ms: u64,
}

impl Patience {
    /// Whether members may be asked now.
    fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.again_at_ms
    }

    fn begin(&mut self, now_ms: u64) {
        let pause_ms = PAUSE_MS << self.asked.min(8);
        self.asked = self.asked.saturating_add(1);
        self.again_at_ms = now_ms + pause_ms.min(PAUSE_MS_MAX);
    }
}

/// As [`find_secret`], no more often than is decent; `None` before that.
///
/// # Errors
/// When the enclave does not answer.
pub(crate) async fn look_for_secret(
    shared: &Arc<Shared>,
    record: &GroupRecord,
    patience: &mut Patience,
) -> Result<Option<Secret>, AskError> {
    if patience.here == Some(record.secret_version) {
        return Ok(Some(Secret::Here));
    }
    let held = held(shared, record.id).await?;
    if held.is_current {
        *patience = Patience {
            here: Some(record.secret_version),
            ..Patience::default()
        };
        return Ok(Some(Secret::Here));
    }
    let now_ms = shared.now_ms();
    if !patience.is_over(now_ms) {
        // With older ones the group is followed: a newer secret that nobody here has
        // acknowledged has no markers yet, or they are looked at again when it comes.
        return Ok(held.is_any.then_some(Secret::Here));
    }
    patience.begin(now_ms);
    find_secret(shared, record).await.map(Some)
}

/// Looks for a secret of the group, and asks the members for one.
async fn find_secret(shared: &Arc<Shared>, record: &GroupRecord) -> Result<Secret, AskError> {
    if held(shared, record.id).await?.is_current {
        return Ok(Secret::Here);
    }
    let Some(from) = shared.parties_in(record).next().map(|party| party.org) else {
        return Ok(Secret::Unknown);
    };
    let others = shared.others_in(record);
    let own = shared.parties_in(record).count();
    let mut without = 0;
    for (org, _) in &others {
        let question = Question::Secrets {
            from: from.0,
            group: record.id.0,
        };
        match ask(shared, *org, question).await {
            Ok(Answer::Secrets(sealed)) => {
                let (of, org) = (record.clone(), *org);
                let taken = blocking(shared, move |shared| {
                    tagging::take_all(shared, &of, org, &sealed, || false);
                });
                taken.await?;
                if held(shared, record.id).await?.is_current {
                    return Ok(Secret::Here);
                }
                without += 1;
            }
            Ok(Answer::Missing) => without += 1,
            Ok(_) => {}
            Err(error) => debug!(%org, %error, "a member gave no secret"),
        }
    }
    if held(shared, record.id).await?.is_any {
        return Ok(Secret::Here);
    }
    // All members are counted, those of this node too.
    let is_everybody = without + own == record.members.len();
    Ok(if is_everybody {
        Secret::Nowhere
    } else {
        Secret::Unknown
    })
}

async fn held(shared: &Arc<Shared>, group: B256) -> Result<Held, AskError> {
    let held = blocking(shared, move |shared| tagging::held(shared, group));
    held.await?
        .map_err(|error| AskError::Ours(error.to_string()))
}

/// A secret to send with: another member's, or a new one.
///
/// # Errors
/// When the enclave does not answer.
pub(crate) async fn ensure_secret(
    shared: &Arc<Shared>,
    record: &GroupRecord,
) -> Result<(), AskError> {
    if held(shared, record.id).await?.is_current {
        return Ok(());
    }
    find_secret(shared, record).await?;
    let group = record.id;
    let made = blocking(shared, move |shared| tagging::make(shared, group));
    made.await?
        .map_err(|error| AskError::Ours(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_without_a_secret_are_asked_less_and_less_often() {
        let mut patience = Patience::default();
        let (mut now_ms, mut pauses) = (5_000, Vec::new());
        for _ in 0..8 {
            assert!(patience.is_over(now_ms));
            patience.begin(now_ms);
            assert!(!patience.is_over(now_ms));
            pauses.push(patience.again_at_ms - now_ms);
            now_ms = patience.again_at_ms;
        }
        assert_eq!(pauses[..4], [1_000, 2_000, 4_000, 8_000]);
        assert_eq!(pauses[7], PAUSE_MS_MAX);
    }
}
