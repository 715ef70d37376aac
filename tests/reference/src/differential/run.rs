//! Engine and checker side by side: the same events, the same behaviour.

use super::{
    adapter,
    draft::{PreparesDraft, Signed},
    generate::Generator,
    world::{GENESIS, Quality, Scheme, World},
};
use crate::spec::{Coverage, Effect, Event, Judge, Kind, Message, Node, Perturbation, Predicate};
use alloy_primitives::B256;
use medina_consensus::{
    Engine, Input, Output, Qbft, QbftConfig, Timer, VoteCrypto, qbft::messages,
};
use medina_types::{
    Certificate, ConsensusParameters, NodePublicKey, Round, SealedBlock, commit_message,
};
use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

/// Messages of one run.
const MESSAGES: u32 = 60;

/// Heights of one run.
const HEIGHTS: u32 = 3;

/// Events shown with a difference.
const TRACE: usize = 40;

/// Time between events, in milliseconds: enough for the engine's limits on work
/// per time, which the specification does not know, never to bind.
const STEP_MS: u64 = 10_000;

/// Engine and checker differ.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, event {event}: {what}\n{trace}")]
pub struct Difference {
    /// Seed of the run.
    pub seed: u64,
    /// Which event of the run.
    pub event: usize,
    /// What differs.
    pub what: String,
    /// The events up to the difference.
    pub trace: String,
}

/// What was compared.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Pairs of a state and a message.
    pub pairs: u64,
    /// Other events: timers, work, answers, restarts.
    pub events: u64,
    /// Messages that both took.
    pub accepted: u64,
    /// Messages that both ignored as valid but not new.
    pub repeated: u64,
    /// Messages of another height or another network.
    pub elsewhere: u64,
    /// Messages that both refused.
    pub refused: u64,
    /// Refused messages by the first predicate that does not hold.
    pub refused_by: BTreeMap<Predicate, u64>,
    /// Messages sent, compared in content.
    pub sent: u64,
    /// Heights decided.
    pub decided: u64,
    /// Restarts from the record.
    pub restarts: u64,
    /// Accusations.
    pub accused: u64,
    /// Outcomes by predicate.
    pub coverage: Coverage,
}

impl Tally {
    /// Adds another run.
    pub fn add(&mut self, other: &Self) {
        self.pairs += other.pairs;
        self.events += other.events;
        self.accepted += other.accepted;
        self.repeated += other.repeated;
        self.elsewhere += other.elsewhere;
        self.refused += other.refused;
        self.sent += other.sent;
        self.decided += other.decided;
        self.restarts += other.restarts;
        self.accused += other.accused;
        for (predicate, count) in &other.refused_by {
            *self.refused_by.entry(*predicate).or_default() += count;
        }
        self.coverage.add(&other.coverage);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_pairs = [
            ("accepted", self.accepted),
            ("valid, not new", self.repeated),
            ("refused", self.refused),
            ("other height or sender", self.elsewhere),
        ];
        writeln!(formatter, "pairs of state and message: {}", self.pairs)?;
        for (name, count) in of_pairs {
            writeln!(formatter, "  {name:<24}{count:>10}")?;
        }
        writeln!(
            formatter,
            "other events: {} (restarts {}), messages sent: {}, accusations: {}, heights decided: {}",
            self.events, self.restarts, self.sent, self.accused, self.decided
        )?;
        writeln!(formatter, "refused, by the first predicate that fails:")?;
        for (predicate, count) in &self.refused_by {
            let name = format!("{predicate:?}");
            writeln!(formatter, "  {name:<24}{count:>10}")?;
        }
        write!(formatter, "{}", self.coverage)
    }
}

/// What the engine did at one event, in the checker's terms.
#[derive(Default)]
struct Observed {
    effects: Vec<Effect>,
    has_accused: bool,
    has_answered_laggard: bool,
    to_check: Vec<(SealedBlock, bool)>,
    to_build: Vec<Round>,
    decided: Option<SealedBlock>,
}

/// One run.
struct Run<'a> {
    world: World,
    crypto: &'a super::world::Signer,
    own: usize,
    own_key: NodePublicKey,
    engine: Qbft,
    node: Node<'a>,
    perturbation: Option<Perturbation>,
    now_ms: u64,
    round_timer_due_ms: Option<u64>,
    record: Option<Vec<u8>>,
    to_check: VecDeque<(SealedBlock, bool)>,
    to_build: VecDeque<Round>,
    /// Messages for the next height, as the specification keeps them.
    kept: BTreeMap<NodePublicKey, BTreeMap<(Round, Kind), Message>>,
    decided: Option<SealedBlock>,
    has_work: bool,
    rng: ChaCha8Rng,
    tally: Tally,
    trace: Vec<String>,
}

fn config(own_key: NodePublicKey, own: usize) -> QbftConfig {
    QbftConfig {
        genesis_hash: GENESIS,
        own_key,
        operator: super::world::operator(own),
        parameters: ConsensusParameters::default(),
        observe_only: false,
        accept_lost_record: true,
    }
}

/// Compares engine and checker on the messages of one seed.
///
/// # Errors
/// The first [`Difference`].
pub fn run(
    seed: u64,
    scheme: Scheme,
    perturbation: Option<Perturbation>,
) -> Result<Tally, Box<Difference>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = [1, 2, 3, 4, 4, 4, 5, 6, 7, 7][rng.random_range(0..10)];
    let world = World::new(scheme, count, &mut rng);
    // Now and then a node that is no validator.
    let is_follower = rng.random_bool(0.04);
    let own = if is_follower {
        count
    } else {
        rng.random_range(0..count)
    };
    let crypto = world.signers[own].clone();
    Run::new(world, &crypto, own, perturbation, rng)
        .and_then(Run::finish)
        .map_err(|mut difference| {
            difference.seed = seed;
            difference
        })
}

impl<'a> Run<'a> {
    fn new(
        world: World,
        crypto: &'a super::world::Signer,
        own: usize,
        perturbation: Option<Perturbation>,
        rng: ChaCha8Rng,
    ) -> Result<Self, Box<Difference>> {
        let own_key = world.keys[own];
        let mut judge = Judge::new(world.facts(), crypto);
        judge.perturbation = perturbation;
        let engine = Self::new_engine(&world, crypto, own, None);
        let mut run = Self {
            crypto,
            own,
            own_key,
            engine,
            node: Node::new(judge, own_key),
            perturbation,
            now_ms: 1_000_000,
            round_timer_due_ms: None,
            record: None,
            to_check: VecDeque::new(),
            to_build: VecDeque::new(),
            kept: BTreeMap::new(),
            decided: None,
            has_work: false,
            rng,
            tally: Tally::default(),
            trace: Vec::new(),
            world,
        };
        run.start()?;
        Ok(run)
    }

    fn new_engine(
        world: &World,
        crypto: &super::world::Signer,
        own: usize,
        record: Option<Vec<u8>>,
    ) -> Qbft {
        Qbft::new(
            config(world.keys[own], own),
            Box::new(crypto.clone()),
            world.head,
            world.context.clone(),
            record,
        )
        .expect("a record that this engine wrote is read back")
    }

    fn finish(mut self) -> Result<Tally, Box<Difference>> {
        let mut heights = 1;
        for _ in 0..MESSAGES {
            self.side_events()?;
            self.message()?;
            while self.decided.is_some() && heights < HEIGHTS {
                heights += 1;
                self.next_height()?;
            }
            if self.decided.is_some() {
                break;
            }
        }
        self.certificates()?;
        self.collect_coverage();
        Ok(self.tally)
    }

    fn collect_coverage(&mut self) {
        let coverage = self.node.judge.coverage.take();
        self.tally.coverage.add(&coverage);
    }

    fn differ(&self, what: impl Into<String>) -> Box<Difference> {
        Box::new(Difference {
            seed: 0,
            event: self.trace.len(),
            what: what.into(),
            trace: self.trace[self.trace.len().saturating_sub(TRACE)..].join("\n"),
        })
    }

    /// Everything but messages: work, timers, answers, restarts.
    fn side_events(&mut self) -> Result<(), Box<Difference>> {
        while !self.to_check.is_empty() && self.rng.random_bool(0.8) {
            self.answer_check()?;
        }
        while !self.to_build.is_empty() && self.rng.random_bool(0.8) {
            self.answer_build()?;
        }
        match self.rng.random_range(0..40) {
            0..3 => {
                let waiting = self.rng.random_bool(0.7);
                self.has_work = waiting;
                self.step(Event::Work(waiting), Input::WorkWaiting { waiting })
            }
            3..6 => self.round_timeout(),
            6 => self.repeat(),
            7 if self.rng.random_bool(0.5) => self.restart(),
            _ => Ok(()),
        }
    }

    fn round_timeout(&mut self) -> Result<(), Box<Difference>> {
        // Beyond these rounds messages would find no room.
        if self.node.round >= Round(6) {
            return Ok(());
        }
        match self.round_timer_due_ms.take() {
            Some(due_ms) => self.now_ms = self.now_ms.max(due_ms),
            // An alarm of a timer that does not run must do nothing.
            None if self.node.is_timer_optional() => return Ok(()),
            None => {}
        }
        let timer = Timer::Round;
        self.step(Event::RoundTimeout, Input::TimerFired { timer })
    }

    fn repeat(&mut self) -> Result<(), Box<Difference>> {
        let peer = self.world.keys[(self.own + 1) % self.world.count];
        if peer == self.own_key {
            return Ok(());
        }
        self.step(Event::Repeat, Input::PeerConnected { peer })
    }

    fn answer_check(&mut self) -> Result<(), Box<Difference>> {
        let Some((block, fresh)) = self.to_check.pop_front() else {
            return Ok(());
        };
        let hash = block.hash();
        let valid = self.world.quality(hash).passes(fresh);
        self.step(
            Event::Checked(hash, valid),
            Input::BlockChecked { hash, valid },
        )
    }

    fn answer_build(&mut self) -> Result<(), Box<Difference>> {
        let Some(round) = self.to_build.pop_front() else {
            return Ok(());
        };
        let block = self.world.block(self.own, 100 + u64::from(round.0));
        let known = &mut self.world.blocks;
        if known.iter().all(|(other, _)| other.hash() != block.hash()) {
            known.push((block.clone(), Quality::Good));
        }
        let event = Event::Built(round, World::plain(&block));
        let input = Input::BlockBuilt {
            height: self.world.height(),
            round,
            block: Some(block),
        };
        self.step(event, input)
    }

    /// A crash: the engine comes back with its last record, the checker's node
    /// with what it said itself.
    fn restart(&mut self) -> Result<(), Box<Difference>> {
        if self.world.count == 1 || self.decided.is_some() {
            return Ok(());
        }
        self.tally.restarts += 1;
        self.trace.push("crash and restart".into());
        let record = self.record.clone();
        self.engine = Self::new_engine(&self.world, self.crypto, self.own, record);
        self.node.crash();
        self.has_work = false;
        self.to_check.clear();
        self.to_build.clear();
        self.kept.clear();
        self.round_timer_due_ms = None;
        self.start()
    }

    fn start(&mut self) -> Result<(), Box<Difference>> {
        let now_ms = self.now_ms;
        self.step(Event::Repeat, Input::Started { now_ms })
    }

    fn message(&mut self) -> Result<(), Box<Difference>> {
        let mut generator = Generator {
            world: &self.world,
            node: &self.node,
            own: self.own,
            rng: &mut self.rng,
        };
        let (author, draft) = generator.draw();
        let message = self.world.finish(author, &draft);
        let from = self.world.keys[author];
        self.tally.pairs += 1;
        self.deliver(from, &message)
    }

    fn deliver(
        &mut self,
        from: NodePublicKey,
        message: &messages::Message,
    ) -> Result<(), Box<Difference>> {
        let Some(plain) = adapter::message(from, message) else {
            return Ok(());
        };
        let input = Input::MessageReceived {
            from,
            bytes: message.encode(),
        };
        let is_peer = from != self.own_key && self.node.judge.place_of(&from).is_some();
        let (height, current) = (plain.height(), self.world.height());
        if height != current || !is_peer {
            self.tally.elsewhere += 1;
            return self.deliver_elsewhere(from, plain, input, is_peer);
        }
        let failed = self.node.judge.judge(&from, &plain);
        let is_news = self.node.is_news(&from, &plain);
        self.count(&failed, is_news);
        let (observed, expected) = self.both(Event::Received(from, Box::new(plain)), input);
        let is_forged = failed.iter().any(|one| one.is_about_signature());
        let is_only_forged = is_forged && failed.len() == 1 && is_news;
        if observed.has_accused && !is_forged {
            return Err(self.differ(format!("accuses {from}, whose message has {failed:?}")));
        }
        if is_only_forged && !observed.has_accused && self.perturbation.is_none() {
            return Err(self.differ(format!("does not accuse {from} of {failed:?}")));
        }
        self.compare(observed, expected)
    }

    fn count(&mut self, failed: &[Predicate], is_news: bool) {
        match failed.first() {
            Some(predicate) => {
                self.tally.refused += 1;
                *self.tally.refused_by.entry(*predicate).or_default() += 1;
            }
            None if is_news => self.tally.accepted += 1,
            None => self.tally.repeated += 1,
        }
    }

    /// A message of another height, or of nobody we know: it changes nothing now.
    fn deliver_elsewhere(
        &mut self,
        from: NodePublicKey,
        plain: Message,
        input: Input,
        is_peer: bool,
    ) -> Result<(), Box<Difference>> {
        let current = self.world.height();
        let is_late = is_peer && plain.height() < current && plain.kind() == Kind::RoundChange;
        self.trace
            .push(format!("elsewhere: {from} {:?}", plain.said()));
        if from != self.own_key && !is_peer && plain.height() == current {
            let failed = self.node.judge.judge(&from, &plain);
            if !failed.contains(&Predicate::AuthorIsValidator) {
                return Err(self.differ(format!("{from} is no validator")));
            }
        }
        if is_peer && plain.height() == current.next() {
            let of_author = self.kept.entry(from).or_default();
            of_author
                .entry((plain.round(), plain.kind()))
                .or_insert(plain);
        }
        let observed = self.observe(input);
        if observed.has_answered_laggard != is_late {
            let answers = observed.has_answered_laggard;
            return Err(self.differ(format!("tells a laggard: {answers}, expected {is_late}")));
        }
        self.compare(observed, Vec::new())
    }

    /// The next height, with what was kept for it.
    fn next_height(&mut self) -> Result<(), Box<Difference>> {
        let Some(block) = self.decided.take() else {
            return Ok(());
        };
        self.collect_coverage();
        self.world = self.world.after(&block, &mut self.rng);
        let mut judge = Judge::new(self.world.facts(), self.crypto);
        judge.perturbation = self.perturbation;
        self.node = Node::new(judge, self.own_key);
        self.to_check.clear();
        self.to_build.clear();
        self.round_timer_due_ms = None;
        self.trace
            .push(format!("height {} begins", self.world.height()));
        let input = Input::HeightDecided {
            height: self.world.head.height,
            head: self.world.head,
            context: self.world.context.clone(),
        };
        let kept = std::mem::take(&mut self.kept);
        let expected = self.node.take_kept(self.has_work, kept);
        let observed = self.observe(input);
        self.compare(observed, expected)
    }

    fn step(&mut self, event: Event, input: Input) -> Result<(), Box<Difference>> {
        self.tally.events += 1;
        let (observed, expected) = self.both(event, input);
        self.compare(observed, expected)
    }

    fn both(&mut self, event: Event, input: Input) -> (Observed, Vec<Effect>) {
        self.trace.push(match &event {
            Event::Received(from, message) => format!("{from} {:?}", message.said()),
            other => format!("{other:?}"),
        });
        let expected = self.node.handle(event);
        (self.observe(input), expected)
    }

    fn observe(&mut self, input: Input) -> Observed {
        self.now_ms += STEP_MS;
        let outputs = self.engine.handle(self.now_ms, input);
        let mut observed = Observed::default();
        for output in outputs {
            self.note_output(output, &mut observed);
        }
        self.to_check.extend(observed.to_check.iter().cloned());
        self.to_build.extend(observed.to_build.iter().copied());
        observed
    }

    fn note_output(&mut self, output: Output, observed: &mut Observed) {
        match output {
            Output::Persist { record } => self.record = Some(record),
            Output::Broadcast { bytes } | Output::Send { bytes, .. } => {
                match messages::Message::decode(&bytes) {
                    Ok(messages::Message::Ahead { .. }) => observed.has_answered_laggard = true,
                    Ok(message) => {
                        if let Some(message) = adapter::message(self.own_key, &message) {
                            observed.effects.push(Effect::Say(message.said()));
                            self.check_own(&message, observed);
                        }
                    }
                    Err(_) => observed.has_accused = true,
                }
            }
            Output::SetTimer {
                timer: Timer::Round,
                after,
            } => {
                let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                self.round_timer_due_ms = Some(self.now_ms.saturating_add(after_ms));
            }
            Output::CancelTimer {
                timer: Timer::Round,
            } => self.round_timer_due_ms = None,
            Output::Build { round, .. } => {
                observed.effects.push(Effect::Build(round));
                observed.to_build.push(round);
            }
            Output::Check { block, fresh } => {
                observed.effects.push(Effect::Check(block.hash(), fresh));
                observed.to_check.push((block, fresh));
            }
            Output::Commit {
                block, certificate, ..
            } => {
                let seals = adapter::prepares(&certificate);
                let signers = seals.votes.iter().map(|(place, _)| *place).collect();
                let decide = Effect::Decide(block.hash(), certificate.round, signers);
                observed.effects.push(decide);
                observed.decided = Some(block);
            }
            Output::PeerMisbehaved { .. } => observed.has_accused = true,
            _ => {}
        }
    }

    /// What the engine says must be valid in the eyes of everybody else.
    fn check_own(&self, message: &Message, observed: &mut Observed) {
        if self.perturbation.is_none() && message.height() == self.world.height() {
            let failed = self.node.judge.judge(&self.own_key, message);
            if !failed.is_empty() {
                let digest = B256::repeat_byte(0xff);
                // No honest effect: shows up as a difference.
                observed.effects.push(Effect::Check(digest, false));
            }
        }
    }

    fn compare(
        &mut self,
        observed: Observed,
        expected: Vec<Effect>,
    ) -> Result<(), Box<Difference>> {
        self.tally.accused += u64::from(observed.has_accused);
        if observed.effects != expected {
            let effects = &observed.effects;
            let what = format!("engine: {effects:#?}\nspecification: {expected:#?}");
            return Err(self.differ(what));
        }
        let is_said = |effect: &&Effect| matches!(effect, Effect::Say(_));
        self.tally.sent += expected.iter().filter(is_said).count() as u64;
        if let Some(block) = observed.decided {
            self.tally.decided += 1;
            self.decided = Some(block);
        }
        let (engine, node) = (self.engine.status(), &self.node);
        if engine.round != node.round {
            let rounds = (engine.round, node.round);
            return Err(self.differ(format!("round of engine and specification: {rounds:?}")));
        }
        let (timer, running) = (self.round_timer_due_ms.is_some(), node.is_timer_running());
        if timer != running && !node.is_timer_optional() && node.round.0 < u32::MAX {
            return Err(self.differ(format!("round timer runs: {timer}, expected {running}")));
        }
        if engine.proposer != node.judge.proposer(node.round).0 {
            return Err(self.differ("another proposer"));
        }
        Ok(())
    }

    /// `ValidNewBlock` against the certificate check of import and sync.
    fn certificates(&mut self) -> Result<(), Box<Difference>> {
        for _ in 0..2 {
            let place = self.rng.random_range(0..self.world.blocks.len());
            let digest = self.world.blocks[place].0.hash();
            let round = self.rng.random_range(0..3);
            let mut draft = PreparesDraft {
                round,
                signed_round: round,
                digest,
                signers: Vec::new(),
                has_outsider: self.rng.random_bool(0.1),
            };
            for index in 0..self.world.count {
                let way = match self.rng.random_range(0..12) {
                    0 => None,
                    1 if self.rng.random_bool(0.4) => Some(Signed::Not),
                    _ => Some(Signed::Well),
                };
                draft.signers.extend(way.map(|way| (index, way)));
            }
            self.certificate(&draft, digest)?;
        }
        Ok(())
    }

    fn certificate(&mut self, draft: &PreparesDraft, digest: B256) -> Result<(), Box<Difference>> {
        let (height, round) = (self.world.height(), Round(draft.round));
        let message = commit_message(GENESIS, height, round, digest);
        let vote = |&(index, way): &(usize, Signed)| {
            let key = if way == Signed::Well {
                index
            } else {
                self.world.count
            };
            (
                self.world.place(index),
                self.world.signers[key].sign(&message),
            )
        };
        let outsider = draft
            .has_outsider
            .then(|| vote(&(self.world.count, Signed::Well)));
        let seals = Certificate::new(round, draft.signers.iter().map(vote).chain(outsider));
        let set = &self.world.context.validators;
        let verify =
            |key: &_, bytes: &[u8], signature: &_| self.crypto.verify(key, bytes, signature);
        let verdict = seals.verify_with(set, set.quorum(), verify, || message);
        let expected = self
            .node
            .judge
            .valid_new_block(digest, round, &adapter::prepares(&seals));
        if verdict.is_ok() != expected {
            return Err(self.differ(format!("certificate: {verdict:?}, expected {expected}")));
        }
        Ok(())
    }
}
