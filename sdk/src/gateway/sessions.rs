//! Open sessions: bounded in number, in life, and per account.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, keccak256};

use super::GatewayError;
use super::wire::Session;
use crate::limits::GATEWAY_SESSIONS_PER_ACCOUNT_MAX;

/// What a session may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// A listing, as long as the chain says so.
    Listing(u64),
    /// A resource, paid for by a coupon's use.
    Resource(B256),
}

/// A session as the gateway knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenSession {
    pub(super) account: Address,
    pub(super) scope: Scope,
    /// Last second, Unix seconds.
    pub(super) expires: u64,
    /// When the chain last said yes, Unix milliseconds.
    pub(super) checked_ms: u64,
}

/// All sessions, by the hash of their token: who reads memory cannot use them.
pub(super) struct Sessions {
    open: BTreeMap<B256, OpenSession>,
    life_seconds: u64,
    count_max: usize,
}

impl Sessions {
    pub(super) fn new(life_seconds: u64, count_max: usize) -> Self {
        Self {
            open: BTreeMap::new(),
            life_seconds,
            count_max,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Opens a session; `None` if there are too many. An account's oldest makes room for its own.
    pub(super) fn open(
        &mut self,
        account: Address,
        scope: Scope,
        now_ms: u64,
    ) -> Result<Option<Session>, GatewayError> {
        let now = now_ms / 1_000;
        self.open.retain(|_, session| session.expires >= now);
        self.make_room_for(account);
        if self.open.len() >= self.count_max {
            return Ok(None);
        }
        let mut token = [0; 32];
        getrandom::fill(&mut token).map_err(|_| GatewayError::NoRandomness)?;
        let token = hex::encode(token);
        let expires = now.saturating_add(self.life_seconds);
        let session = OpenSession {
            account,
            scope,
            expires,
            checked_ms: now_ms,
        };
        self.open.insert(keccak256(&token), session);
        Ok(Some(Session { token, expires }))
    }

    /// The session of a token, if it lives.
    pub(super) fn find(&self, token: &str, now_ms: u64) -> Option<OpenSession> {
        let session = self.open.get(&keccak256(token)).copied();
        session.filter(|session| session.expires >= now_ms / 1_000)
    }

    pub(super) fn mark_checked(&mut self, token: &str, now_ms: u64) {
        if let Some(session) = self.open.get_mut(&keccak256(token)) {
            session.checked_ms = session.checked_ms.max(now_ms);
        }
    }

    pub(super) fn close(&mut self, token: &str) {
        self.open.remove(&keccak256(token));
    }

    fn make_room_for(&mut self, account: Address) {
        let own = self
            .open
            .iter()
            .filter(|(_, session)| session.account == account);
        let mut own: Vec<_> = own
            .map(|(token, session)| (session.expires, *token))
            .collect();
        own.sort_unstable();
        let surplus = (own.len() + 1).saturating_sub(GATEWAY_SESSIONS_PER_ACCOUNT_MAX);
        for (_, token) in own.into_iter().take(surplus) {
            self.open.remove(&token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUYER: Address = Address::repeat_byte(1);

    fn opened(sessions: &mut Sessions, account: Address, now_ms: u64) -> Option<Session> {
        sessions
            .open(account, Scope::Listing(1), now_ms)
            .expect("randomness")
    }

    #[test]
    fn session_lives_its_time_and_not_longer() {
        let mut sessions = Sessions::new(10, 100);
        let session = opened(&mut sessions, BUYER, 1_000).expect("room");
        assert_eq!(session.expires, 11);
        assert!(sessions.find(&session.token, 11_999).is_some());
        assert_eq!(sessions.find(&session.token, 12_000), None);
        assert_eq!(sessions.find("other", 1_000), None);
    }

    #[test]
    fn accounts_oldest_session_makes_room_for_its_own_only() {
        let mut sessions = Sessions::new(100, 100);
        let other = opened(&mut sessions, Address::repeat_byte(2), 0).expect("room");
        let first = opened(&mut sessions, BUYER, 0).expect("room");
        for n in 1..=u64::try_from(GATEWAY_SESSIONS_PER_ACCOUNT_MAX).expect("small") {
            opened(&mut sessions, BUYER, n * 1_000).expect("room");
        }
        assert_eq!(sessions.find(&first.token, 9_000), None);
        assert!(sessions.find(&other.token, 9_000).is_some());
        assert_eq!(sessions.len(), GATEWAY_SESSIONS_PER_ACCOUNT_MAX + 1);
    }

    #[test]
    fn full_house_refuses_until_a_session_ends() {
        let mut sessions = Sessions::new(10, 1);
        let first = opened(&mut sessions, BUYER, 0).expect("room");
        let other = Address::repeat_byte(2);
        assert_eq!(opened(&mut sessions, other, 10_000), None);
        assert!(opened(&mut sessions, other, 11_000).is_some());
        assert_eq!(sessions.find(&first.token, 11_000), None);
    }

    #[test]
    fn closed_session_is_gone_and_debug_hides_tokens() {
        let mut sessions = Sessions::new(10, 1);
        let session = opened(&mut sessions, BUYER, 0).expect("room");
        assert!(!format!("{session:?}").contains(&session.token));
        sessions.mark_checked(&session.token, 5_000);
        assert_eq!(
            sessions
                .find(&session.token, 0)
                .map(|found| found.checked_ms),
            Some(5_000)
        );
        sessions.close(&session.token);
        assert_eq!(sessions.find(&session.token, 0), None);
    }
}
