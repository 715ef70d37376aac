//! Challenges that cost nothing until they are answered.
//!
//! A challenge is not stored: its nonce carries a keyed hash over its fields, so strangers cannot
//! fill memory by asking. Only answered ones are remembered, until they expire, so that none
//! works twice; an answer that gets that far carries a valid signature of somebody with access.
//!
//! ```text
//! nonce = random (16 bytes) ‖ keccak(secret ‖ listing ‖ account ‖ expires ‖ random)[..16]
//! ```

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, Signature, keccak256};

use super::GatewayError;
use super::wire::{Answer, Challenge, ChallengeRequest, Scheme};
use crate::limits::GATEWAY_ANSWERED_MAX;

/// Why an answer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// This gateway never asked that.
    Foreign,
    /// Too late.
    Expired,
    /// The signature is of somebody else.
    WrongSigner,
    /// Answered before.
    Used,
    /// Too many answers are being remembered.
    Full,
}

/// Makes challenges and judges answers.
pub(super) struct Challenges {
    secret: [u8; 32],
    gateway: String,
    chain_id: u64,
    life_seconds: u64,
    /// Expiry and nonce of answered challenges.
    answered: BTreeSet<(u64, B256)>,
}

impl Challenges {
    pub(super) fn new(
        gateway: String,
        chain_id: u64,
        life_seconds: u64,
    ) -> Result<Self, GatewayError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|_| GatewayError::NoRandomness)?;
        Ok(Self {
            secret,
            gateway,
            chain_id,
            life_seconds,
            answered: BTreeSet::new(),
        })
    }

    pub(super) fn issue(
        &self,
        request: ChallengeRequest,
        now: u64,
    ) -> Result<Challenge, GatewayError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| GatewayError::NoRandomness)?;
        let ChallengeRequest { listing, account } = request;
        let expires = now.saturating_add(self.life_seconds);
        let nonce = self.nonce(listing, account, expires, random);
        Ok(self.challenge(listing, account, expires, nonce))
    }

    /// Judges an answer without remembering anything of it: who answers may still be a stranger.
    pub(super) fn check(&self, answer: &Answer, now: u64) -> Result<(), Refusal> {
        let Answer {
            listing,
            account,
            expires,
            nonce,
            ..
        } = *answer;
        let mut random = [0; 16];
        random.copy_from_slice(&nonce[..16]);
        if self.nonce(listing, account, expires, random) != nonce {
            return Err(Refusal::Foreign);
        }
        if expires < now {
            return Err(Refusal::Expired);
        }
        let challenge = self.challenge(listing, account, expires, nonce);
        if self.signer(&challenge, answer) != Some(account) {
            return Err(Refusal::WrongSigner);
        }
        if self.answered.contains(&(expires, nonce)) {
            return Err(Refusal::Used);
        }
        Ok(())
    }

    /// Uses the challenge of a checked answer up; only one of several calls succeeds.
    pub(super) fn use_up(&mut self, answer: &Answer, now: u64) -> Result<(), Refusal> {
        let answered = (answer.expires, answer.nonce);
        if answer.expires < now {
            return Err(Refusal::Expired);
        }
        // Expired ones are refused anyway and need no memory.
        self.answered = self.answered.split_off(&(now, B256::ZERO));
        if self.answered.contains(&answered) {
            return Err(Refusal::Used);
        }
        if self.answered.len() >= GATEWAY_ANSWERED_MAX {
            return Err(Refusal::Full);
        }
        self.answered.insert(answered);
        Ok(())
    }

    fn signer(&self, challenge: &Challenge, answer: &Answer) -> Option<Address> {
        let signature = Signature::from_raw(&answer.signature).ok()?;
        match answer.scheme {
            Scheme::Eip191 => signature.recover_address_from_msg(challenge.text()).ok(),
            Scheme::Eip712 => {
                let hash = challenge.typed_hash(self.chain_id);
                signature.recover_address_from_prehash(&hash).ok()
            }
        }
    }

    fn challenge(&self, listing: u64, account: Address, expires: u64, nonce: B256) -> Challenge {
        let gateway = self.gateway.clone();
        let mut challenge = Challenge {
            challenge: String::new(),
            gateway,
            listing,
            account,
            expires,
            nonce,
        };
        challenge.challenge = challenge.text();
        challenge
    }

    fn nonce(&self, listing: u64, account: Address, expires: u64, random: [u8; 16]) -> B256 {
        let fields = [
            self.secret.as_slice(),
            &listing.to_be_bytes(),
            account.as_slice(),
            &expires.to_be_bytes(),
            &random,
        ];
        let mark = keccak256(fields.concat());
        let mut nonce = B256::ZERO;
        nonce[..16].copy_from_slice(&random);
        nonce[16..].copy_from_slice(&mark[..16]);
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Challenges {
        fn accept(&mut self, answer: &Answer, now: u64) -> Result<(), Refusal> {
            self.check(answer, now)?;
            self.use_up(answer, now)
        }
    }
    use crate::wallet::Account;

    const NOW: u64 = 1_000;

    fn challenges() -> Challenges {
        Challenges::new("http://gateway".into(), 7, 60).expect("randomness")
    }

    fn answer(challenge: &Challenge, account: &Account, scheme: Scheme) -> Answer {
        let signature = match scheme {
            Scheme::Eip191 => account.sign_message(challenge.challenge.as_bytes()),
            Scheme::Eip712 => account.sign_hash(challenge.typed_hash(7)),
        };
        let signature = signature.expect("signs").as_bytes().to_vec().into();
        let Challenge {
            listing,
            account,
            expires,
            nonce,
            ..
        } = *challenge;
        Answer {
            listing,
            account,
            expires,
            nonce,
            signature,
            scheme,
        }
    }

    fn asked(challenges: &Challenges, account: &Account) -> Challenge {
        let request = ChallengeRequest {
            listing: 3,
            account: account.address(),
        };
        challenges.issue(request, NOW).expect("randomness")
    }

    #[test]
    fn both_kinds_of_signature_are_accepted_once() {
        for scheme in [Scheme::Eip191, Scheme::Eip712] {
            let mut challenges = challenges();
            let account = Account::random().expect("randomness");
            let answer = answer(&asked(&challenges, &account), &account, scheme);
            assert_eq!(challenges.accept(&answer, NOW), Ok(()));
            assert_eq!(challenges.accept(&answer, NOW + 60), Err(Refusal::Used));
            assert_eq!(challenges.accept(&answer, NOW + 61), Err(Refusal::Expired));
        }
    }

    #[test]
    fn altered_or_foreign_challenges_are_refused() {
        let mut challenges = challenges();
        let account = Account::random().expect("randomness");
        let good = answer(&asked(&challenges, &account), &account, Scheme::Eip191);
        for altered in [
            Answer {
                listing: 4,
                ..good.clone()
            },
            Answer {
                expires: good.expires + 1,
                ..good.clone()
            },
            Answer {
                nonce: B256::ZERO,
                ..good.clone()
            },
            Answer {
                account: Address::ZERO,
                ..good.clone()
            },
        ] {
            assert_eq!(challenges.accept(&altered, NOW), Err(Refusal::Foreign));
        }
        let mut other = Challenges::new("http://gateway".into(), 7, 60).expect("randomness");
        assert_eq!(other.accept(&good, NOW), Err(Refusal::Foreign));
    }

    #[test]
    fn signature_of_another_account_or_gateway_is_refused() {
        let mut challenges = challenges();
        let [account, thief] = [(); 2].map(|()| Account::random().expect("randomness"));
        let challenge = asked(&challenges, &account);
        let stolen = answer(&challenge, &thief, Scheme::Eip191);
        assert_eq!(challenges.accept(&stolen, NOW), Err(Refusal::WrongSigner));

        let mut relayed = Challenge {
            gateway: "http://evil".into(),
            ..challenge
        };
        relayed.challenge = relayed.text();
        let passed_on = answer(&relayed, &account, Scheme::Eip191);
        assert_eq!(
            challenges.accept(&passed_on, NOW),
            Err(Refusal::WrongSigner)
        );
    }

    #[test]
    fn refused_answer_does_not_use_the_challenge_up() {
        let mut challenges = challenges();
        let account = Account::random().expect("randomness");
        let good = answer(&asked(&challenges, &account), &account, Scheme::Eip191);
        let bad = Answer {
            signature: vec![1; 3].into(),
            ..good.clone()
        };
        assert_eq!(challenges.accept(&bad, NOW), Err(Refusal::WrongSigner));
        assert_eq!(challenges.accept(&good, NOW), Ok(()));
    }

    #[test]
    fn answered_challenges_are_forgotten_when_they_expire() {
        let mut challenges = challenges();
        let account = Account::random().expect("randomness");
        let first = answer(&asked(&challenges, &account), &account, Scheme::Eip191);
        assert_eq!(challenges.accept(&first, NOW), Ok(()));
        let request = ChallengeRequest {
            listing: 3,
            account: account.address(),
        };
        let later = challenges.issue(request, NOW + 100).expect("randomness");
        let second = answer(&later, &account, Scheme::Eip191);
        assert_eq!(challenges.accept(&second, NOW + 100), Ok(()));
        assert_eq!(challenges.answered.len(), 1);
    }
}
