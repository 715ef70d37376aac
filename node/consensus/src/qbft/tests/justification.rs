//! Each defect of a justification, by name. Comments say which deployed client
//! accepts it.

use super::fixture::*;
use crate::{
    Ed25519Crypto,
    qbft::{
        Defect, Freshness, Rules,
        messages::{Justification, Message, Proposal, RoundChange},
    },
};
use medina_types::{CertificateError, Height, Round};

fn judge(author: usize, proposal: &Proposal) -> Result<Freshness, Defect> {
    let (context, crypto) = (context(4), Ed25519Crypto::new(secret(9)));
    let rules = Rules {
        genesis: GENESIS,
        height: HEIGHT,
        parent: HEAD,
        context: &context,
        crypto: &crypto,
    };
    rules.check_proposal(&key(author), proposal)
}

fn judge_change(author: usize, change: &Message) -> Result<(), Defect> {
    let (context, crypto) = (context(4), Ed25519Crypto::new(secret(9)));
    let rules = Rules {
        genesis: GENESIS,
        height: HEIGHT,
        parent: HEAD,
        context: &context,
        crypto: &crypto,
    };
    let Message::RoundChange(change) = change else {
        panic!("{change:?}")
    };
    rules.check_round_change(&key(author), change)
}

/// Round 2: validator 0 prepared `block` in round 0, the others nothing.
fn one_prepared(block: &medina_types::SealedBlock, prepares_of: &[usize]) -> Justification {
    let round_changes = vec![
        named(0, 2, Some(claim(0, block))),
        named(1, 2, None),
        named(3, 2, None),
    ];
    Justification {
        round_changes,
        prepares: Some(prepares(prepares_of, 0, block)),
    }
}

#[test]
fn justified_proposals_are_accepted() {
    let fresh = proposal_of(0, 0, &block(0, 1), Justification::default());
    assert_eq!(judge(0, &fresh), Ok(Freshness::Fresh));
    let after_timeout = proposal_of(2, 2, &block(2, 1), unprepared(&[0, 1, 3], 2));
    assert_eq!(judge(2, &after_timeout), Ok(Freshness::Fresh));
    // The block keeps its first proposer as beneficiary and its digest.
    let prepared = block(0, 1);
    let again = proposal_of(2, 2, &prepared, one_prepared(&prepared, &[0, 1, 2]));
    assert_eq!(judge(2, &again), Ok(Freshness::Reproposed));
}

#[test]
fn highest_of_two_prepared_blocks_is_proposed_again() {
    let (older, newer) = (block(0, 1), block(1, 1));
    let justification = Justification {
        round_changes: vec![
            named(0, 2, Some(claim(0, &older))),
            named(1, 2, Some(claim(1, &newer))),
            named(3, 2, None),
        ],
        prepares: Some(prepares(&[0, 1, 2], 1, &newer)),
    };
    let right = proposal_of(2, 2, &newer, justification.clone());
    assert_eq!(judge(2, &right), Ok(Freshness::Reproposed));
    let got = older.hash();
    let wrong = proposal_of(2, 2, &older, justification);
    assert_eq!(judge(2, &wrong), Err(Defect::NotHighestPrepared { got }));
}

#[test]
fn each_defect_of_a_proposal_has_its_name() {
    let (fresh, prepared) = (block(2, 1), block(0, 1));
    let propose = |justification| proposal_of(2, 2, &fresh, justification);
    let repeat = |justification| proposal_of(2, 2, &prepared, justification);
    let few = |got| Defect::NotPrepared(CertificateError::NoQuorum { got, quorum: 3 });
    let with = |change: &dyn Fn(&mut Justification), start: Justification| {
        let mut justification = start;
        change(&mut justification);
        justification
    };

    let twice = propose(unprepared(&[0, 0, 1], 2));
    let unsigned_prepare = with(
        &|justification| {
            let votes = [0, 1].map(|index| {
                let message = crate::qbft::messages::prepare_message(
                    GENESIS,
                    HEIGHT,
                    Round(0),
                    prepared.hash(),
                );
                (index, secret(index).sign(&message))
            });
            let votes = votes.into_iter().chain([(2, nobody())]);
            justification.prepares = Some(medina_types::Certificate::new(Round(0), votes));
        },
        one_prepared(&prepared, &[]),
    );
    let forged = with(
        &|justification| justification.round_changes[1].statement.signature = nobody(),
        unprepared(&[0, 1, 3], 2),
    );
    let other_height = with(
        &|justification| justification.round_changes[0].statement.height = Height(5),
        unprepared(&[0, 1, 3], 2),
    );
    let not_below = Justification {
        round_changes: vec![
            named(0, 2, Some(claim(2, &prepared))),
            named(1, 2, None),
            named(3, 2, None),
        ],
        prepares: Some(prepares(&[0, 1, 2], 2, &prepared)),
    };
    let stranger = unprepared(&[0, 1, 7], 2);
    let wrong_round = with(
        &|justification| justification.prepares = Some(prepares(&[0, 1, 2], 1, &prepared)),
        one_prepared(&prepared, &[]),
    );
    let unproven = with(
        &|justification| justification.prepares = None,
        one_prepared(&prepared, &[]),
    );
    let needless = with(
        &|justification| justification.prepares = Some(prepares(&[0, 1, 2], 0, &fresh)),
        unprepared(&[0, 1, 3], 2),
    );

    let table = [
        // GoQuorum counts copies of one round change as a quorum.
        (
            "duplicate round change",
            twice,
            Defect::DuplicateRoundChange(key(0)),
        ),
        // GoQuorum does not check the piggy-backed PREPAREs.
        (
            "one PREPARE unsigned",
            repeat(unsigned_prepare),
            Defect::NotPrepared(CertificateError::BadSignature(key(2))),
        ),
        (
            "f + 1 PREPAREs",
            repeat(one_prepared(&prepared, &[0, 1])),
            few(2),
        ),
        (
            "f + 1 round changes",
            propose(unprepared(&[0, 1], 2)),
            Defect::TooFewRoundChanges { got: 2, quorum: 3 },
        ),
        (
            "no justification",
            propose(Justification::default()),
            Defect::TooFewRoundChanges { got: 0, quorum: 3 },
        ),
        // GoQuorum never compares them with the proposal.
        (
            "round changes of another round",
            propose(unprepared(&[0, 1, 3], 3)),
            Defect::OtherRound {
                height: HEIGHT,
                round: Round(3),
            },
        ),
        (
            "round change of another height",
            propose(other_height),
            Defect::OtherRound {
                height: Height(5),
                round: Round(2),
            },
        ),
        (
            "round change forged",
            propose(forged),
            Defect::BadSignature {
                author: key(1),
                what: "ROUND-CHANGE",
            },
        ),
        (
            "round change of a stranger",
            propose(stranger),
            Defect::NotAValidator(key(7)),
        ),
        (
            "prepared round not below",
            repeat(not_below),
            Defect::PreparedNotBelow {
                prepared: Round(2),
                round: Round(2),
            },
        ),
        (
            "PREPAREs of another round",
            repeat(wrong_round),
            Defect::ProofMismatch,
        ),
        (
            "prepared claim without PREPAREs",
            repeat(unproven),
            Defect::ProofMismatch,
        ),
        (
            "PREPAREs without claim",
            propose(needless),
            Defect::ProofMismatch,
        ),
        (
            "fresh block although one is prepared",
            propose(one_prepared(&prepared, &[0, 1, 2])),
            Defect::NotHighestPrepared { got: fresh.hash() },
        ),
        (
            "fresh block that pays another",
            proposal_of(2, 2, &prepared, unprepared(&[0, 1, 3], 2)),
            Defect::WrongBeneficiary {
                expected: operator(2),
                got: operator(0),
            },
        ),
    ];
    for (what, proposal, defect) in table {
        assert_eq!(judge(2, &proposal), Err(defect), "{what}");
    }
}

#[test]
fn round_zero_carries_no_justification() {
    let proposal = proposal_of(0, 0, &block(0, 1), unprepared(&[0, 1, 2], 0));
    assert_eq!(judge(0, &proposal), Err(Defect::RoundZero));
    assert_eq!(judge_change(1, &round_change(1, 0)), Err(Defect::RoundZero));
}

#[test]
fn proposal_counts_only_from_the_proposer_signed_and_on_the_head() {
    let own = block(1, 1);
    let stolen = proposal_of(1, 0, &own, Justification::default());
    let (author, proposer, round) = (key(1), key(0), Round(0));
    assert_eq!(
        judge(1, &stolen),
        Err(Defect::NotTheProposer {
            author,
            proposer,
            round
        })
    );
    let mut forged = proposal_of(0, 0, &block(0, 1), Justification::default());
    forged.signature = nobody();
    let defect = judge(0, &forged).unwrap_err();
    assert_eq!(
        defect,
        Defect::BadSignature {
            author: key(0),
            what: "PROPOSAL"
        }
    );
    assert!(defect.is_provable());
    let header = alloy_consensus::Header {
        beneficiary: operator(0),
        ..block(0, 1).header().clone()
    };
    let orphan = alloy_consensus::Header {
        parent_hash: GENESIS,
        ..header
    };
    let orphan =
        medina_types::SealedBlock::new(medina_types::Block::new(orphan, Default::default()));
    let orphan = proposal_of(0, 0, &orphan, Justification::default());
    assert_eq!(
        judge(0, &orphan),
        Err(Defect::OtherParent {
            number: HEIGHT,
            parent: GENESIS
        })
    );
}

#[test]
fn each_defect_of_a_round_change_has_its_name() {
    let prepared = block(0, 1);
    let good = prepared_round_change(1, 2, 0, &prepared, &[0, 1, 2]);
    assert_eq!(judge_change(1, &good), Ok(()));
    assert_eq!(judge_change(1, &round_change(1, 2)), Ok(()));
    let change = |edit: &dyn Fn(&mut RoundChange)| {
        let Message::RoundChange(mut change) = good.clone() else {
            unreachable!()
        };
        edit(&mut change);
        Message::RoundChange(change)
    };
    let few = Defect::NotPrepared(CertificateError::NoQuorum { got: 2, quorum: 3 });
    let table = [
        (
            "f + 1 PREPAREs",
            prepared_round_change(1, 2, 0, &prepared, &[0, 1]),
            few,
        ),
        (
            "claim without proof",
            change(&|change| change.proof = None),
            Defect::ProofMismatch,
        ),
        (
            "proof of another block",
            change(&|change| change.proof.as_mut().unwrap().block = block(0, 2)),
            Defect::ProofMismatch,
        ),
        (
            "proof of another round",
            change(&|change| {
                change.proof.as_mut().unwrap().prepares = prepares(&[0, 1, 2], 1, &prepared);
            }),
            Defect::ProofMismatch,
        ),
        (
            "prepared in the same round",
            prepared_round_change(1, 2, 2, &prepared, &[0, 1, 2]),
            Defect::PreparedNotBelow {
                prepared: Round(2),
                round: Round(2),
            },
        ),
        (
            "unsigned",
            change(&|change| change.statement.signature = nobody()),
            Defect::BadSignature {
                author: key(1),
                what: "ROUND-CHANGE",
            },
        ),
        (
            "proof without claim",
            change(&|change| change.statement = statement(1, 2, None)),
            Defect::ProofMismatch,
        ),
    ];
    for (what, change, defect) in table {
        assert_eq!(judge_change(1, &change), Err(defect), "{what}");
    }
    assert_eq!(
        judge_change(2, &good),
        Err(Defect::BadSignature {
            author: key(2),
            what: "ROUND-CHANGE"
        })
    );
}
