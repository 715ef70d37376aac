//! The tests, one kind after another.

use super::{Outcome, messages::Message};
use crate::{
    differential::world::operator,
    spec::{
        self, Block, Claim, Effect, Event, Facts, Judge, Node, Prepares, Resume, Said, Signatures,
        proposer::Turns,
    },
};
use alloy_primitives::{Address, B256};
use medina_types::{
    Height, HeightContext, NodePublicKey, NodeSignature, Round, Validator, ValidatorSet,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The value that SSV's tests treat as invalid.
const INVALID_VALUE: [u8; 4] = [1; 4];

/// Tests whose expected errors speak of what Medina does not have.
const NOT_OURS: [(&str, &str); 12] = [
    ("msg signature invalid", "signatures of another scheme"),
    ("signer ID 0", "a message names its author by its link"),
    ("no signers", "a message names its author by its link"),
    ("non unique signer", "a message has one author"),
    ("msg allows 1 signer", "a message has one author"),
    ("H(data) != root", "the digest is computed from the block"),
    (
        "instance stopped processing",
        "no limit of rounds, no forced stop",
    ),
    ("doesn't belong to Identifier", "one chain, one identifier"),
    ("value invalid", "blocks are built by the node itself"),
    (
        "instance already running",
        "heights are started by the chain",
    ),
    ("past height", "heights are started by the chain"),
    ("instance not found", "heights are started by the chain"),
];

/// Behaviour that Medina changed on purpose, by test.
const ON_PURPOSE: [(&str, &str); 3] = [
    (
        "proposal future round prev prepared",
        "no PREPAREs without a round change that claims something",
    ),
    (
        "proposal first round justification",
        "round 0 carries no justification",
    ),
    (
        "message processing duplicate rc msg justification (prepared) quorum",
        "two round changes of one author spoil a justification",
    ),
];

/// Signatures are taken as good: the tests about them are not mapped.
struct AllGood;

impl Signatures for AllGood {
    fn is_by(&self, _: &NodePublicKey, _: &[u8], _: &NodeSignature) -> bool {
        true
    }
}

const NO_SIGNATURE: NodeSignature = NodeSignature([0; 64]);
const GENESIS: B256 = B256::repeat_byte(0x11);
const PARENT: B256 = B256::repeat_byte(0x22);

/// Runs one test.
pub(super) fn run(name: &str, test: &Value) -> Outcome {
    let error = test["ExpectedError"].as_str().unwrap_or_default();
    let mut known = NOT_OURS.iter();
    if let Some((_, why)) = known.find(|(part, _)| error.contains(part)) {
        return Outcome::Unmapped(why);
    }
    let outcome = match () {
        () if name.contains("MsgProcessingSpecTest") => {
            process(test, error, 1 + u64::from(name.contains("not proposer")))
        }
        () if name.contains("timeout.SpecTest") => timeout(test),
        () if name.contains("RoundRobinSpecTest") => round_robin(test),
        () if name.contains("ControllerSpecTest") => controller(test, error),
        () if name.contains("CreateMsgSpecTest") => {
            Err(Outcome::Unmapped("roots of another encoding"))
        }
        () => Err(Outcome::Unmapped("SSV's own encoding")),
    };
    let outcome = outcome.map_or_else(|outcome| outcome, |()| Outcome::Passed);
    let mut changed = ON_PURPOSE.iter();
    match (&outcome, changed.find(|(part, _)| name.contains(part))) {
        (Outcome::Failed(_), Some((_, why))) => Outcome::Differs(why),
        _ => outcome,
    }
}

type Run = Result<(), Outcome>;

fn failed(what: impl Into<String>) -> Outcome {
    Outcome::Failed(what.into())
}

fn key(signer: u64) -> NodePublicKey {
    NodePublicKey([u8::try_from(signer).unwrap_or(u8::MAX); 32])
}

fn place(signer: u64) -> usize {
    usize::try_from(signer.saturating_sub(1)).unwrap_or(usize::MAX)
}

fn address(signer: u64) -> Address {
    operator(place(signer))
}

/// One test as the checker sees it.
struct Stage {
    own: u64,
    height: u64,
    /// Who proposes every round: SSV's tests fix one.
    leader: u64,
    count: u64,
    /// Authors of the values' blocks: who proposed them first.
    makers: BTreeMap<[u8; 32], u64>,
    invalid: BTreeSet<[u8; 32]>,
}

impl Stage {
    fn facts(&self) -> Facts {
        let validators = (1..=self.count).map(|signer| (key(signer), address(signer)));
        Facts {
            genesis: GENESIS,
            height: Height(self.height + 1),
            parent: PARENT,
            validators: validators.collect(),
            proposers: vec![place(self.leader)],
        }
    }

    /// The block that stands for a value.
    fn block(&self, root: [u8; 32]) -> Block {
        let maker = self.makers.get(&root).copied().unwrap_or(self.leader);
        Block {
            digest: B256::from(root),
            number: Height(self.height + 1),
            parent: PARENT,
            beneficiary: address(maker),
        }
    }

    fn round(round: u64) -> Round {
        Round(u32::try_from(round.saturating_sub(1)).unwrap_or(u32::MAX))
    }

    fn prepares(messages: &[Message], claim: Option<(u64, [u8; 32])>) -> Option<Prepares> {
        let first = messages.first()?;
        // What is not a PREPARE for the claim has no place in a certificate; its
        // signer is left out, which is what a bad signature would come to.
        let (round, root) = claim.unwrap_or((first.round, first.root));
        let is_for = |message: &&Message| {
            message.kind == 1 && message.round == round && message.root == root
        };
        let signers: BTreeSet<u64> = messages
            .iter()
            .filter(is_for)
            .flat_map(|message| message.signers.iter().copied())
            .collect();
        let votes = signers
            .into_iter()
            .map(|signer| (place(signer), NO_SIGNATURE));
        Some(Prepares {
            round: Self::round(round),
            votes: votes.collect(),
        })
    }

    fn round_change(message: &Message, author: u64) -> spec::RoundChange {
        let prepared = (message.prepared_round > 0).then(|| Claim {
            round: Self::round(message.prepared_round),
            digest: B256::from(message.root),
        });
        spec::RoundChange {
            author: key(author),
            height: Height(message.height + 1),
            round: Self::round(message.round),
            prepared,
            signature: NO_SIGNATURE,
        }
    }

    /// The message in the checker's terms, with its author.
    fn plain(&self, message: &Message) -> Result<(NodePublicKey, spec::Message), Outcome> {
        let [author] = message.signers.as_slice() else {
            return Err(Outcome::Unmapped("a message has one author"));
        };
        let (height, round) = (Height(message.height + 1), Self::round(message.round));
        let vote = spec::Vote {
            height,
            round,
            digest: B256::from(message.root),
            signature: NO_SIGNATURE,
        };
        let plain = match message.kind {
            0 => {
                let changes = message.round_changes.iter();
                let changes = changes.map(|change| match change.signers.as_slice() {
                    [author] => Ok(Self::round_change(change, *author)),
                    _ => Err(Outcome::Unmapped("a message has one author")),
                });
                let highest = message
                    .round_changes
                    .iter()
                    .filter(|change| change.prepared_round > 0)
                    .max_by_key(|change| change.prepared_round);
                let claim = highest.map(|change| (change.prepared_round, change.root));
                spec::Message::Proposal(spec::Proposal {
                    height,
                    round,
                    block: Block {
                        number: height,
                        ..self.block(message.root)
                    },
                    round_changes: changes.collect::<Result<_, _>>()?,
                    prepares: Self::prepares(&message.prepares, claim),
                    signature: NO_SIGNATURE,
                })
            }
            1 => spec::Message::Prepare(vote),
            2 => spec::Message::Commit(vote),
            3 => {
                let change = Self::round_change(message, *author);
                let claim = (message.prepared_round, message.root);
                let proof = change.prepared.and_then(|_| {
                    // SSV quotes the PREPAREs of a round change as its own justification.
                    let prepares = Self::prepares(&message.round_changes, Some(claim))?;
                    Some((self.block(message.root), prepares))
                });
                spec::Message::RoundChange(change, proof)
            }
            _ => return Err(Outcome::Unmapped("SSV's own encoding")),
        };
        Ok((key(*author), plain))
    }

    /// Gives an event to the node, answers what it asks, and collects what it says.
    fn handle(&self, node: &mut Node<'_>, event: Event, start: [u8; 32]) -> (Vec<Said>, bool) {
        let mut said = Vec::new();
        let mut has_decided = false;
        let mut waiting = VecDeque::from([event]);
        while let Some(event) = waiting.pop_front() {
            for effect in node.handle(event) {
                match effect {
                    Effect::Say(what) => said.push(what),
                    Effect::Check(digest, _) => {
                        let is_valid = !self.invalid.contains(&digest.0);
                        waiting.push_back(Event::Checked(digest, is_valid));
                    }
                    Effect::Build(round) => {
                        let block = Block {
                            beneficiary: address(self.own),
                            ..self.block(start)
                        };
                        waiting.push_back(Event::Built(round, block));
                    }
                    Effect::Decide(..) => has_decided = true,
                }
            }
        }
        (said, has_decided)
    }

    /// Learns from the messages who made which value, and which are invalid.
    fn learn(&mut self, messages: &[Message]) {
        for message in messages {
            if message.kind == 0 {
                let author = message.signers.first().copied().unwrap_or(self.leader);
                self.makers.entry(message.root).or_insert(author);
            }
            if message.value == INVALID_VALUE {
                self.invalid.insert(message.root);
            }
        }
    }
}

fn json_messages(json: &Value) -> Result<Vec<Message>, Outcome> {
    Message::list_from_json(json).map_err(|_| Outcome::Unmapped("SSV's own encoding"))
}

/// Start state, node and own start value of a test.
fn stage(pre: &Value, inputs: &[Message]) -> Result<(Stage, Resume, [u8; 32]), Outcome> {
    let state = &pre["State"];
    let member = &state["CommitteeMember"];
    let count = member["Committee"].as_array().map_or(4, Vec::len);
    let height = state["Height"].as_u64().unwrap_or(0);
    let mut stage = Stage {
        own: member["OperatorID"].as_u64().unwrap_or(1),
        height,
        leader: 1,
        count: count as u64,
        makers: BTreeMap::new(),
        invalid: BTreeSet::new(),
    };
    stage.learn(inputs);
    let round = state["Round"].as_u64().unwrap_or(1);
    let mut resume = Resume {
        round: Stage::round(round),
        hears_itself: true,
        ..Resume::default()
    };
    let accepted = &state["ProposalAcceptedForCurrentRound"];
    let mut start = [0xAA; 32];
    if !accepted.is_null() {
        let json = if accepted["SignedMessage"].is_null() {
            accepted
        } else {
            &accepted["SignedMessage"]
        };
        let message = Message::from_json(json);
        let message = message.map_err(|_| Outcome::Unmapped("SSV's own encoding"))?;
        stage.learn(std::slice::from_ref(&message));
        resume.accepted = Some(stage.block(message.root));
        start = message.root;
    }
    for (container, _) in [
        ("ProposeContainer", 0),
        ("PrepareContainer", 1),
        ("CommitContainer", 2),
        ("RoundChangeContainer", 3),
    ] {
        let by_round = state[container]["Msgs"].as_object();
        for messages in by_round.into_iter().flat_map(|rounds| rounds.values()) {
            for json in messages.as_array().into_iter().flatten() {
                let json = if json["SignedMessage"].is_null() {
                    json
                } else {
                    &json["SignedMessage"]
                };
                let message = Message::from_json(json);
                let message = message.map_err(|_| Outcome::Unmapped("SSV's own encoding"))?;
                resume.received.push(stage.plain(&message)?);
            }
        }
    }
    let prepared_round = state["LastPreparedRound"].as_u64().unwrap_or(0);
    if prepared_round > 0 {
        let votes = resume
            .received
            .iter()
            .filter_map(|(author, message)| match message {
                spec::Message::Prepare(vote) if vote.round == Stage::round(prepared_round) => {
                    Some((usize::from(author.0[0]) - 1, vote.digest))
                }
                _ => None,
            });
        let votes: Vec<_> = votes.collect();
        let digest = votes.first().map(|(_, digest)| *digest);
        let digest = digest.or(resume.accepted.map(|block| block.digest));
        if let Some(digest) = digest {
            let signers = votes.iter().map(|(place, _)| *place).collect();
            let round = Stage::round(prepared_round);
            resume.prepared = Some((round, stage.block(digest.0), signers));
        }
    }
    Ok((stage, resume, start))
}

/// What an expected output says, in the checker's terms, without signers of
/// PREPAREs: SSV quotes as many as it has.
fn said(stage: &Stage, message: &Message) -> Result<Said, Outcome> {
    Ok(outline(stage.plain(message)?.1.said()))
}

fn outline(said: Said) -> Said {
    match said {
        Said::Proposal {
            round,
            digest,
            mut round_changes,
            prepares,
        } => {
            round_changes.sort();
            let prepares = prepares.map(|(round, _)| (round, Vec::new()));
            Said::Proposal {
                round,
                digest,
                round_changes,
                prepares,
            }
        }
        Said::RoundChange {
            round, prepared, ..
        } => Said::RoundChange {
            round,
            prepared,
            proof: None,
        },
        other => other,
    }
}

fn compare(stage: &Stage, got: Vec<Said>, expected: &[Message]) -> Run {
    let expected: Result<Vec<Said>, Outcome> = expected
        .iter()
        .map(|message| said(stage, message))
        .collect();
    let (expected, got) = (expected?, got.into_iter().map(outline));
    let got: Vec<Said> = got.collect();
    if got == expected {
        return Ok(());
    }
    Err(failed(format!("{expected:?} expected, {got:?} said")))
}

fn process(test: &Value, error: &str, leader: u64) -> Run {
    let inputs = json_messages(&test["InputMessages"])?;
    let outputs = json_messages(&test["OutputMessages"])?;
    let (mut stage, resume, mut start) = stage(&test["Pre"], &inputs)?;
    // The own value, where the test lets the node propose it.
    stage.leader = leader;
    let own = outputs.iter().find(|message| message.kind == 0);
    start = own.map_or(start, |message| message.root);
    stage.learn(&outputs);
    let judge = Judge::new(stage.facts(), &AllGood);
    let mut node = Node::resume(judge, key(stage.own), resume);
    // What it would have said before the test began.
    stage.handle(&mut node, Event::Work(false), start);
    let mut all = Vec::new();
    let (mut last, mut refused) = (Vec::new(), Vec::new());
    for input in &inputs {
        let (author, message) = stage.plain(input)?;
        if message.height() != Height(stage.height + 1) {
            // Of another height: such messages never reach a height's node.
            last = Vec::new();
            continue;
        }
        refused = node.judge.judge(&author, &message);
        let event = Event::Received(author, Box::new(message));
        (last, _) = stage.handle(&mut node, event, start);
        all.extend(last.iter().cloned());
    }
    if !error.is_empty() && !last.is_empty() {
        return Err(failed(format!("expected {error:?}, said {last:?}")));
    }
    compare(&stage, all, &outputs).map_err(|outcome| match outcome {
        Outcome::Failed(what) => failed(format!("{what}; the last input has {refused:?}")),
        other => other,
    })
}

fn timeout(test: &Value) -> Run {
    let outputs = json_messages(&test["OutputMessages"])?;
    let (stage, resume, start) = stage(&test["Pre"], &outputs)?;
    let judge = Judge::new(stage.facts(), &AllGood);
    let mut node = Node::resume(judge, key(stage.own), resume);
    stage.handle(&mut node, Event::Work(false), start);
    let (all, _) = stage.handle(&mut node, Event::RoundTimeout, start);
    let expected = test["ExpectedTimerState"]["Round"].as_u64();
    if expected.map(Stage::round) != Some(node.round) {
        return Err(failed(format!("round {} after the timeout", node.round)));
    }
    compare(&stage, all, &outputs)
}

/// Proposers by height and round, of the checker and of the engine's schedule.
fn round_robin(test: &Value) -> Run {
    let numbers = |name: &str| -> Vec<u64> {
        let list = test[name].as_array().into_iter().flatten();
        list.filter_map(Value::as_u64).collect()
    };
    let (heights, rounds) = (numbers("Heights"), numbers("Rounds"));
    let proposers = numbers("Proposers");
    let count = test["Share"]["Committee"].as_array().map_or(0, Vec::len) as u64;
    let validator = |signer| Validator {
        key: key(signer),
        operator: address(signer),
    };
    let set = ValidatorSet::new((1..=count).map(validator).collect());
    let set = set.map_err(|error| failed(error.to_string()))?;
    let mut turns = Turns::at_genesis((1..=count).map(address).collect());
    let mut context = HeightContext::genesis(set.clone());
    let mut height = 0;
    for ((at, round), expected) in heights.into_iter().zip(rounds).zip(proposers) {
        while height < at {
            // Every height so far was decided in its first round.
            let maker = address(height % count + 1);
            turns.add_block(height + 1, maker);
            context = context.after(Height(height + 1), maker, set.clone());
            height += 1;
        }
        let round = Stage::round(round);
        let order = turns.order(height + 1);
        let checker = order[round.0 as usize % order.len()];
        let engine = context.proposer(Height(height + 1), round).key;
        if at < height || checker != place(expected) || engine != key(expected) {
            return Err(failed(format!("height {at} {round}: {expected} expected")));
        }
    }
    Ok(())
}

/// Whole heights: the inputs of one, then the decided value and its count.
fn controller(test: &Value, error: &str) -> Run {
    let runs = test["RunInstanceData"].as_array();
    let [data] = runs.map(Vec::as_slice).unwrap_or_default() else {
        return Err(Outcome::Unmapped("several instances at once"));
    };
    let inputs = json_messages(&data["InputMessages"])?;
    if inputs.is_empty() {
        return Err(Outcome::Unmapped("heights are started by the chain"));
    }
    if inputs.iter().any(|message| message.signers.len() > 1) {
        return Err(Outcome::Unmapped(
            "decided blocks come by sync, as certificates",
        ));
    }
    let mut stage = Stage {
        own: 1,
        height: inputs.first().map_or(0, |message| message.height),
        leader: 1,
        count: 4,
        makers: BTreeMap::new(),
        invalid: BTreeSet::new(),
    };
    if error.contains("future msg from height") {
        stage.height = 0;
    }
    stage.learn(&inputs);
    let judge = Judge::new(stage.facts(), &AllGood);
    let resume = Resume {
        hears_itself: true,
        ..Resume::default()
    };
    let mut node = Node::resume(judge, key(1), resume);
    let (mut decisions, mut last) = (0, Vec::new());
    for input in &inputs {
        let (author, message) = stage.plain(input)?;
        last = Vec::new();
        if message.height() == Height(stage.height + 1) {
            let event = Event::Received(author, Box::new(message));
            let (said, has_decided) = stage.handle(&mut node, event, [0xAA; 32]);
            decisions += u64::from(has_decided);
            last = said;
        }
    }
    if !error.is_empty() && !last.is_empty() {
        return Err(failed(format!("expected {error:?}, said {last:?}")));
    }
    let expected = data["ExpectedDecidedState"]["DecidedCnt"].as_u64();
    if decisions != expected.unwrap_or(0) {
        return Err(failed(format!(
            "{expected:?} decisions expected, {decisions} made"
        )));
    }
    Ok(())
}
