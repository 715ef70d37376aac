//! Which blocks are asked of whom: a plan that is told the time and what happened.
//!
//! The missing heights are cut into ranges, of which a bounded window is under
//! way. Ranges are handed over in order. The range that the import waits for is
//! asked of a further peer when the first takes much longer than others did, so
//! that a peer that drips holds nobody up; what fails is asked of another.

use medina_types::{Height, NodePublicKey, limits, wire::SyncRequest};
use std::collections::{BTreeMap, VecDeque};

/// Ranges that are under way or wait for the import: bounds the memory.
const RANGES_MAX: usize = 8;
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
        for index in 0..self.ranges.len() {
            orders.extend(self.ask(index, sources, now_ms));
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
            let range = Range::missing(self.next, missing.min(limits::SYNC_BLOCKS_MAX));
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
        self.ranges.get_mut(index)?.state = State::Asked { of: vec![order] };
        Some(order)
    }

    /// Asks a further peer for what the import waits for.
    fn hedge(&mut self, sources: &[Source], now_ms: u64) -> Option<Order> {
        let range = self.ranges.front()?;
        let State::Asked { of } = &range.state else {
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
        if let State::Asked { of } = &mut self.ranges.front_mut()?.state {
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
            State::Asked { of } => {
                let last = of.last()?;
                Some(last.sent_at_ms.saturating_add(self.patience_ms))
            }
            // Somebody may have it by then.
            State::Missing { .. } => Some(0),
            State::Ready { .. } => None,
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

    /// A peer answered with the first blocks of what was asked. Answers the peers
    /// that were asked before it and are still silent.
    pub(super) fn on_blocks(
        &mut self,
        order: Order,
        blocks: Vec<B>,
        now_ms: u64,
    ) -> Vec<NodePublicKey> {
        self.unload(order.peer);
        let took_ms = now_ms.saturating_sub(order.sent_at_ms);
        self.patience_ms = (PATIENCE_FACTOR * took_ms).max(PATIENCE_MS_MIN);
        let Some(index) = self.index_of(order.request.from) else {
            return Vec::new();
        };
        let got = u64::try_from(blocks.len()).unwrap_or(u64::MAX);
        let Some(range) = self.ranges.get_mut(index) else {
            return Vec::new();
        };
        let State::Asked { of } = &range.state else {
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
        if let State::Asked { of } = &mut range.state {
            of.retain(|asked| asked.peer != order.peer);
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn peer(byte: u8) -> NodePublicKey {
        NodePublicKey([byte; 32])
    }

    const fn source(byte: u8, height: u64) -> Source {
        Source {
            key: peer(byte),
            height: Height(height),
        }
    }

    fn heights(order: &Order) -> Vec<u64> {
        let SyncRequest { from, count } = order.request;
        (from.0..from.0 + count).collect()
    }

    #[test]
    fn ranges_are_spread_over_all_peers_and_bounded() {
        let mut plan = Plan::<u64>::new(Height(1));
        let sources = [1, 2, 3, 4].map(|byte| source(byte, 100_000));
        let orders = plan.orders(&sources, 0);
        assert_eq!(orders.len(), RANGES_MAX);
        for source in sources {
            let asked = orders.iter().filter(|order| order.peer == source.key);
            assert_eq!(asked.count(), 2);
        }
        assert!(plan.orders(&sources, 0).is_empty());
        let alone = Plan::<u64>::new(Height(1)).orders(&sources[..1], 0);
        assert_eq!(alone.len(), REQUESTS_PER_PEER_MAX);
    }

    #[test]
    fn slow_peer_is_replaced_for_the_range_that_is_waited_for() {
        let mut plan = Plan::new(Height(1));
        let sources = [source(1, 64), source(2, 64)];
        let orders = plan.orders(&sources, 0);
        let [slow] = orders.as_slice() else {
            panic!("{orders:?}");
        };
        assert_eq!(plan.impatient_at_ms(), Some(PATIENCE_MS_MIN));
        assert!(plan.orders(&sources, PATIENCE_MS_MIN - 1).is_empty());
        let again = plan.orders(&sources, PATIENCE_MS_MIN);
        let [quick] = again.as_slice() else {
            panic!("{again:?}");
        };
        assert_ne!(quick.peer, slow.peer);
        assert_eq!(quick.request, slow.request);
        let passed = plan.on_blocks(*quick, heights(quick), PATIENCE_MS_MIN + 5);
        assert_eq!(passed, [slow.peer]);
        let ready = plan.take_ready().expect("ready");
        assert_eq!((ready.from, ready.peer), (Height(1), quick.peer));
        // The late answer finds nothing to do.
        assert!(plan.on_blocks(*slow, heights(slow), 20_000).is_empty());
        assert!(plan.take_ready().is_none());
    }

    #[test]
    fn peer_that_failed_is_not_asked_for_the_same_again_while_others_are_there() {
        let mut plan = Plan::<u64>::new(Height(1));
        let sources = [source(1, 10), source(2, 10)];
        let first = plan.orders(&sources, 0);
        plan.on_failure(first[0]);
        let second = plan.orders(&sources, 0);
        assert_ne!(first[0].peer, second[0].peer);
        plan.on_failure(second[0]);
        let third = plan.orders(&sources, 0);
        assert_eq!(third.len(), 1, "then the first gets another chance");
    }

    #[test]
    fn answer_cut_short_leaves_no_gap() {
        let mut plan = Plan::new(Height(1));
        let sources = [source(1, 64)];
        let order = plan.orders(&sources, 0)[0];
        plan.on_blocks(order, vec![1, 2, 3], 1);
        let rest = plan.orders(&sources, 1);
        assert_eq!(rest[0].request.from, Height(4));
        assert_eq!(rest[0].request.count, 61);
    }

    #[test]
    fn wrong_blocks_are_asked_of_others_from_the_head_on() {
        let mut plan = Plan::new(Height(1));
        let sources = [source(1, 200)];
        let orders = plan.orders(&sources, 0);
        for order in &orders {
            plan.on_blocks(*order, heights(order), 1);
        }
        let taken = plan.take_ready().expect("ready");
        plan.distrust(taken.peer, Height(3));
        assert!(plan.take_ready().is_none());
        let again = plan.orders(&[source(2, 200)], 2);
        assert_eq!(again[0].request.from, Height(3));
        assert_eq!(again[0].request.count, 62);
        assert_eq!(again[1].request.from, Height(65));
    }

    /// Something that happens to a request under way.
    #[derive(Clone, Copy, Debug)]
    enum Fate {
        Whole,
        Short(u8),
        Failed,
        Wrong,
    }

    fn fates() -> impl Strategy<Value = Fate> {
        prop_oneof![
            6 => Just(Fate::Whole),
            2 => (1..64u8).prop_map(Fate::Short),
            1 => Just(Fate::Failed),
            1 => Just(Fate::Wrong),
        ]
    }

    proptest! {
        /// Whatever happens to the requests, blocks come in order and the plan
        /// ends with all of them as soon as the peers answer truly.
        #[test]
        fn blocks_come_in_order_without_gap_whatever_happens(
            target in 1..1_500u64,
            script in proptest::collection::vec((fates(), any::<u8>()), 0..80),
        ) {
            let sources = [source(1, target), source(2, target / 2), source(3, target)];
            let mut plan = Plan::new(Height(1));
            let mut head = 0;
            let mut under_way = Vec::new();
            let mut script = script.into_iter();
            let mut now_ms = 0;
            for _ in 0..10_000 {
                now_ms += 300;
                plan.skip_to(Height(head + 1));
                under_way.extend(plan.orders(&sources, now_ms));
                if under_way.is_empty() {
                    break;
                }
                let (fate, pick) = script.next().unwrap_or((Fate::Whole, 0));
                let order = under_way.remove(usize::from(pick) % under_way.len());
                let mut blocks = heights(&order);
                match fate {
                    Fate::Whole => {}
                    Fate::Short(count) => blocks.truncate(count.into()),
                    Fate::Failed | Fate::Wrong => blocks.clear(),
                }
                if blocks.is_empty() {
                    plan.on_failure(order);
                } else {
                    plan.on_blocks(order, blocks, now_ms);
                }
                while let Some(range) = plan.take_ready() {
                    if matches!(fate, Fate::Wrong) {
                        plan.distrust(range.peer, Height(head + 1));
                        break;
                    }
                    for block in range.blocks {
                        prop_assert!(block <= head + 1, "a gap before {block}");
                        head = head.max(block);
                    }
                }
            }
            prop_assert_eq!(head, target);
        }
    }
}
