//! Which blocks are asked of whom: a plan that is told the time and what happened.
//!
//! The missing heights are cut into ranges, of which a bounded window is under
//! way. Ranges are handed over in order. The range that the import waits for is
//! asked of a further peer when the first takes much longer than others did, so
//! that a peer that drips holds nobody up; what fails is asked of another. Time
//! that we take to check an answer is not the peer's.
//!
//! A range has as many blocks as make about [`ANSWER_BYTES`], by the size of those
//! that came last: full blocks are fetched few at a time, so that the first are
//! executed while the next are fetched and checked, empty ones many.

use medina_types::{Height, NodePublicKey, limits, wire::SyncRequest};
use std::collections::{BTreeMap, VecDeque};

/// Ranges that are under way or wait for the import: bounds the memory.
const RANGES_MAX: usize = 8;
/// Bytes that an answer should have: a tenth of a second's work for its reader.
const ANSWER_BYTES: u64 = 512 * 1024;
/// Blocks of a range while nothing is known of their size.
const FIRST_RANGE_BLOCKS: u64 = 2;
/// Requests to one peer at once.
const REQUESTS_PER_PEER_MAX: usize = 3;
/// Shortest time after which a range is asked of a further peer.
const PATIENCE_MS_MIN: u64 = 1_000;
/// Times the last answer's duration that a peer may take before.
const PATIENCE_FACTOR: u64 = 4;

/// A peer that may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) key: NodePublicKey,
    /// Height up to which it claims to have blocks.
    pub(super) height: Height,
}

/// A request to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) peer: NodePublicKey,
    pub(super) request: SyncRequest,
    pub(super) sent_at_ms: u64,
}

/// Blocks ready for the import, and who sent them.
#[derive(Debug)]
pub(super) struct ReadyRange<B> {
    pub(super) from: Height,
    pub(super) peer: NodePublicKey,
    pub(super) blocks: Vec<B>,
}

#[derive(Debug)]
enum State<B> {
    /// Nobody is asked; these have failed.
    Missing {
        refused: Vec<NodePublicKey>,
    },
    /// Under way, from one peer or, after a while, from more.
    Asked {
        of: Vec<Order>,
        /// Whose answer is here and being checked.
        answered: Option<NodePublicKey>,
    },
    Ready {
        peer: NodePublicKey,
        blocks: Vec<B>,
    },
}

#[derive(Debug)]
struct Range<B> {
    from: Height,
    count: u64,
    state: State<B>,
}

impl<B> Range<B> {
    const fn missing(from: Height, count: u64) -> Self {
        let refused = Vec::new();
        Self {
            from,
            count,
            state: State::Missing { refused },
        }
    }

    const fn end(&self) -> Height {
        Height(self.from.0.saturating_add(self.count))
    }
}

/// The ranges from the next block to import on, without gaps.
#[derive(Debug)]
pub(super) struct Plan<B> {
    ranges: VecDeque<Range<B>>,
    /// First height in no range yet.
    next: Height,
    /// Blocks of the next range.
    range_blocks: u64,
    /// What is taken as usual for an answer.
    patience_ms: u64,
    /// Requests under way by peer, given-up ones included.
    load: BTreeMap<NodePublicKey, usize>,
    turn: usize,
}

impl<B> Plan<B> {
    /// Nothing is asked yet; `next` is the first height that is missing.
    pub(super) const fn new(next: Height) -> Self {
        Self {
            ranges: VecDeque::new(),
            next,
            range_blocks: FIRST_RANGE_BLOCKS,
            patience_ms: PATIENCE_MS_MIN,
            load: BTreeMap::new(),
            turn: 0,
        }
    }

    /// Forgets what the chain has by now.
    pub(super) fn skip_to(&mut self, next: Height) {
        while self.ranges.front().is_some_and(|range| range.end() <= next) {
            self.ranges.pop_front();
        }
        if self.ranges.is_empty() && self.next < next {
            self.next = next;
        }
    }

    /// What to ask now.
    pub(super) fn orders(&mut self, sources: &[Source], now_ms: u64) -> Vec<Order> {
        let mut orders = Vec::new();
        self.extend(sources);
        let is_busy = |range: &Range<B>| !matches!(range.state, State::Missing { .. });
        let mut busy = self.ranges.iter().filter(|range| is_busy(range)).count();
        for index in 0..self.ranges.len() {
            // Answers cut short leave further ranges behind, for later; what the
            // import waits for is asked of somebody in any case.
            if busy >= RANGES_MAX && index > 0 {
                break;
            }
            let order = self.ask(index, sources, now_ms);
            busy += usize::from(order.is_some());
            orders.extend(order);
        }
        orders.extend(self.hedge(sources, now_ms));
        orders
    }

    /// Cuts new ranges while the window has room and somebody has more.
    fn extend(&mut self, sources: &[Source]) {
        let Some(target) = sources.iter().map(|source| source.height).max() else {
            return;
        };
        while self.ranges.len() < RANGES_MAX && self.next <= target {
            let missing = target.0.saturating_sub(self.next.0).saturating_add(1);
            let range = Range::missing(self.next, missing.min(self.range_blocks));
            self.next = range.end();
            self.ranges.push_back(range);
        }
    }

    fn ask(&mut self, index: usize, sources: &[Source], now_ms: u64) -> Option<Order> {
        let range = self.ranges.get(index)?;
        let State::Missing { refused } = &range.state else {
            return None;
        };
        let (from, refused) = (range.from, refused.clone());
        let source = self.choose(from, &refused, sources)?;
        let order = self.order(index, source, now_ms)?;
        self.ranges.get_mut(index)?.state = State::Asked {
            of: vec![order],
            answered: None,
        };
        Some(order)
    }

    /// Asks a further peer for what the import waits for.
    fn hedge(&mut self, sources: &[Source], now_ms: u64) -> Option<Order> {
        let range = self.ranges.front()?;
        let State::Asked { of, answered: None } = &range.state else {
            return None;
        };
        let last = of.last()?;
        if now_ms.saturating_sub(last.sent_at_ms) < self.patience_ms {
            return None;
        }
        let asked: Vec<_> = of.iter().map(|order| order.peer).collect();
        let from = range.from;
        let source = self.choose(from, &asked, sources)?;
        let order = self.order(0, source, now_ms)?;
        if let State::Asked { of, .. } = &mut self.ranges.front_mut()?.state {
            of.push(order);
        }
        Some(order)
    }

    /// The least busy peer that has the height; among equals another each time.
    fn choose(
        &mut self,
        from: Height,
        except: &[NodePublicKey],
        sources: &[Source],
    ) -> Option<Source> {
        let load = |source: &Source| self.load.get(&source.key).copied().unwrap_or_default();
        let able: Vec<_> = sources
            .iter()
            .filter(|source| source.height >= from && !except.contains(&source.key))
            .filter(|source| load(source) < REQUESTS_PER_PEER_MAX)
            .collect();
        let least = able.iter().map(|source| load(source)).min()?;
        let idle: Vec<_> = able
            .into_iter()
            .filter(|source| load(source) == least)
            .collect();
        let chosen = **idle.get(self.turn % idle.len())?;
        self.turn = self.turn.wrapping_add(1);
        Some(chosen)
    }

    /// An order for as much of a range as the peer has.
    fn order(&mut self, index: usize, source: Source, now_ms: u64) -> Option<Order> {
        let range = self.ranges.get(index)?;
        let available = source
            .height
            .0
            .saturating_sub(range.from.0)
            .saturating_add(1);
        let request = SyncRequest {
            from: range.from,
            count: range.count.min(available),
        };
        *self.load.entry(source.key).or_default() += 1;
        Some(Order {
            peer: source.key,
            request,
            sent_at_ms: now_ms,
        })
    }

    /// When a range that the import waits for should be asked of somebody else.
    pub(super) fn impatient_at_ms(&self) -> Option<u64> {
        match &self.ranges.front()?.state {
            State::Asked { of, answered: None } => {
                let last = of.last()?;
                Some(last.sent_at_ms.saturating_add(self.patience_ms))
            }
            // Somebody may have it by then.
            State::Missing { .. } => Some(0),
            State::Asked { .. } | State::Ready { .. } => None,
        }
    }

    /// Whether nothing is waited for.
    pub(super) fn is_done(&self) -> bool {
        self.ranges.is_empty()
    }

    fn unload(&mut self, peer: NodePublicKey) {
        if let Some(load) = self.load.get_mut(&peer) {
            *load = load.saturating_sub(1);
        }
    }

    fn index_of(&self, from: Height) -> Option<usize> {
        self.ranges.iter().position(|range| range.from == from)
    }

    /// An answer with so many blocks has come; whether it is a good one is being
    /// found out, and [`Self::on_blocks`] or [`Self::on_failure`] follows.
    pub(super) fn on_answer(&mut self, order: &Order, (blocks, bytes): (u64, u64), now_ms: u64) {
        let took_ms = now_ms.saturating_sub(order.sent_at_ms);
        self.patience_ms = (PATIENCE_FACTOR * took_ms).max(PATIENCE_MS_MIN);
        if let Some(each) = bytes.checked_div(blocks) {
            let wanted = ANSWER_BYTES / each.max(1);
            self.range_blocks = wanted.clamp(1, limits::SYNC_BLOCKS_MAX);
        }
        let index = self.index_of(order.request.from);
        let range = index.and_then(|index| self.ranges.get_mut(index));
        if let Some(State::Asked { answered, .. }) = range.map(|range| &mut range.state) {
            *answered = Some(order.peer);
        }
    }

    /// A peer's answer, the first blocks of what was asked, is good. Answers the
    /// peers that were asked before it and are still silent.
    pub(super) fn on_blocks(&mut self, order: Order, blocks: Vec<B>) -> Vec<NodePublicKey> {
        self.unload(order.peer);
        let Some(index) = self.index_of(order.request.from) else {
            return Vec::new();
        };
        let got = u64::try_from(blocks.len()).unwrap_or(u64::MAX);
        let Some(range) = self.ranges.get_mut(index) else {
            return Vec::new();
        };
        let State::Asked { of, .. } = &range.state else {
            return Vec::new();
        };
        let slower: Vec<_> = of
            .iter()
            .filter(|asked| asked.sent_at_ms < order.sent_at_ms)
            .map(|asked| asked.peer)
            .collect();
        let left = range.count.saturating_sub(got);
        range.count = range.count.min(got);
        range.state = State::Ready {
            peer: order.peer,
            blocks,
        };
        let rest = Range::missing(range.end(), left);
        if left > 0 {
            self.ranges.insert(index + 1, rest);
        }
        slower
    }

    /// A peer did not answer, or wrongly.
    pub(super) fn on_failure(&mut self, order: Order) {
        self.unload(order.peer);
        let index = self.index_of(order.request.from);
        let Some(range) = index.and_then(|index| self.ranges.get_mut(index)) else {
            return;
        };
        if let State::Asked { of, answered } = &mut range.state {
            of.retain(|asked| asked.peer != order.peer);
            answered.take_if(|peer| *peer == order.peer);
            if of.is_empty() {
                let refused = vec![order.peer];
                range.state = State::Missing { refused };
            }
        }
    }

    /// The next blocks for the import, if they are there.
    pub(super) fn take_ready(&mut self) -> Option<ReadyRange<B>> {
        if !matches!(self.ranges.front()?.state, State::Ready { .. }) {
            return None;
        }
        let range = self.ranges.pop_front()?;
        match range.state {
            State::Ready { peer, blocks } => Some(ReadyRange {
                from: range.from,
                peer,
                blocks,
            }),
            State::Missing { .. } | State::Asked { .. } => None,
        }
    }

    /// Blocks of a peer were wrong: everything that it sent is asked of others,
    /// from `next` on.
    pub(super) fn distrust(&mut self, peer: NodePublicKey, next: Height) {
        for range in &mut self.ranges {
            if matches!(&range.state, State::Ready { peer: from, .. } if *from == peer) {
                let refused = vec![peer];
                range.state = State::Missing { refused };
            }
        }
        let first = self.ranges.front().map_or(self.next, |range| range.from);
        let mut end = first;
        while end > next {
            let count = (end.0 - next.0).min(limits::SYNC_BLOCKS_MAX);
            end = Height(end.0 - count);
            self.ranges.push_front(Range::missing(end, count));
        }
    }
}

#[cfg(test)]
mod tests;
