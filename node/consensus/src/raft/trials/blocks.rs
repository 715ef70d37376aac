//! Blocks, certificates, and what is kept of them.

use super::{
    Trials, Verdict,
    cluster::{Cluster, Hashes, block, key},
    must,
};
use crate::{
    Input, VoteCrypto,
    raft::messages::{RaftMessage, Seal, block_entry},
};
use medina_types::{Block, Height, SealedBlock};

pub(super) const TRIALS: Trials = &[
    ("damaged record", damaged_record),
    ("leader builds an invalid block", invalid_own),
    ("entry that is no block", garbage_entry),
    ("body of another block", other_body),
    ("group changes while a block is sealed", sealed_meanwhile),
    ("restart before a block is sealed", sealed_later),
    ("seals are lost", lost_seals),
    ("sync goes on from a block of ours", overtaken),
    ("nobody seals", nobody_seals),
    ("long life of a group", long_life),
];

/// Bits of the whole record, one after the other: what a disk may do to it.
const BITS_TRIED: usize = 64;

/// A record with a flipped bit counts as lost: the node must not go on under
/// its old id, whatever the bit said.
fn damaged_record() -> Verdict {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    cluster.mint_until(3, 5_000);
    let follower = (0..3).find(|index| cluster.leader() != Some(*index));
    let follower = follower.ok_or("no follower")?;
    let id = cluster.raft_id(follower);
    let whole = cluster.nodes[follower].record.clone().ok_or("no record")?;
    cluster.isolated.extend([0, 1, 2]);
    cluster.crash(follower);
    let bits = 8 * whole.len();
    for step in 0..BITS_TRIED {
        let bit = 8 + step * (bits - 8) / BITS_TRIED;
        let mut record = whole.clone();
        record[bit / 8] ^= 1 << (bit % 8);
        cluster.nodes[follower].record = Some(record);
        cluster.start(follower);
        let is_same = cluster.raft_id(follower) == id;
        must(!is_same, "goes on with a record that is damaged")?;
        cluster.crash(follower);
    }
    Ok(())
}

/// The group's cluster refuses a chain with an invalid block.
fn invalid_own() -> Verdict {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    cluster.mint_until(2, 5_000);
    cluster.is_building_invalid = true;
    cluster.set_work(true);
    cluster.run_ms(1_000);
    cluster.set_work(false);
    cluster.run_ms(1_000);
    cluster.is_building_invalid = false;
    let refused: Vec<_> = cluster.nodes.iter().map(|it| it.refused.clone()).collect();
    must(!refused[0].is_empty(), "no block is refused")?;
    must(
        refused.iter().all(|it| *it == refused[0]),
        "nodes refuse different entries",
    )?;
    let height = cluster.height(0);
    cluster.mint_until(height + 2, 5_000);
    Ok(())
}

/// Puts an entry into the leader's log and waits; who refused how many?
fn refusals_of(cluster: &mut Cluster, data: Vec<u8>) -> Result<Vec<usize>, String> {
    let leader = cluster.leader().ok_or("no leader")?;
    let engine = cluster.nodes[leader].engine.as_mut();
    let node = engine.and_then(|engine| engine.node.as_mut());
    let proposed = node.ok_or("no member")?.propose(Vec::new(), data);
    proposed.map_err(|error| error.to_string())?;
    cluster.run_ms(1_000);
    Ok(cluster.nodes.iter().map(|it| it.refused.len()).collect())
}

fn garbage_entry() -> Verdict {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    cluster.mint_until(2, 5_000);
    let refusals = refusals_of(&mut cluster, vec![9, 9, 9])?;
    must(refusals == [1, 1, 1], "not the same skip everywhere")
}

fn other_body() -> Verdict {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    cluster.mint_until(2, 5_000);
    let parent = cluster.nodes[0].chain.last().ok_or("no head")?;
    let mut header = block(parent, 1, true).header().clone();
    header.transactions_root = alloy_primitives::B256::repeat_byte(5);
    let forged = SealedBlock::new(Block::new(header, Default::default()));
    let refusals = refusals_of(&mut cluster, block_entry(&forged))?;
    must(refusals == [1, 1, 1], "applies a body of another block")
}

/// What the others sealed while the leader's disk was slow certifies its block
/// at once, and the change of the group puts a record into the same orders. The
/// cluster watches which of the two comes first.
fn sealed_meanwhile() -> Verdict {
    let mut cluster = Cluster::started(4, &[0, 1, 2, 3]);
    cluster.mint_until(3, 5_000);
    let leader = cluster.leader().ok_or("no leader")?;
    let leaver = (leader + 1) % 4;
    cluster.commit_ms.insert(leader, 30);
    let stay = (0..4).filter(|index| *index != leaver).collect();
    cluster.sets.insert(5, stay);
    cluster.set_work(true);
    cluster.run_ms(5_000);
    must(cluster.height(leader) > 5, "no blocks")
}

fn sealed_later() -> Verdict {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    cluster.mint_until(3, 5_000);
    let follower = usize::from(cluster.leader() == Some(0));
    let height = cluster.height(follower) + 1;
    cluster.set_work(true);
    let deadline = cluster.now_ms + 5_000;
    while cluster.height(follower) < height && cluster.now_ms < deadline {
        cluster.run_ms(1);
    }
    cluster.restart(follower);
    cluster.set_work(false);
    cluster.run_ms(20_000);
    let all = 1..=cluster.height(follower);
    let is_certified = all.clone().all(|at| cluster.is_certified(follower, at));
    must(is_certified, "a block never gets its certificate")
}

/// We hear of a block that sync brought before we hear that our own commit of the
/// one before is done; another node asks us to seal that one.
fn overtaken() -> Verdict {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    cluster.mint_until(3, 5_000);
    let slow = usize::from(cluster.leader() == Some(0));
    cluster.commit_ms.insert(slow, 40);
    let height = cluster.height(slow) + 1;
    cluster.set_work(true);
    let deadline = cluster.now_ms + 5_000;
    while cluster.height(slow) < height && cluster.now_ms < deadline {
        cluster.run_ms(1);
    }
    let parent = cluster.nodes[slow].chain.last().ok_or("no head")?;
    let (hash, next) = (parent.hash(), block(parent, 1, true));
    cluster.isolated.extend([0, 1, 2]);
    cluster.append(slow, next);
    cluster.isolated.clear();
    let asker = 2 - slow;
    let question = Seal::new(Height(height), hash, Hashes(key(asker)).sign(&[]), true);
    let bytes = RaftMessage::Seal(question).encode();
    let from = key(asker);
    cluster.handle(slow, Input::MessageReceived { from, bytes });
    let answers = cluster.take_messages_to(asker);
    let is_seal = |bytes: &Vec<u8>| match RaftMessage::decode(bytes) {
        Ok(RaftMessage::Seal(seal)) => seal.height == Height(height),
        _ => false,
    };
    must(answers.iter().any(is_seal), "forgets a block of its own")
}

fn lost_seals() -> Verdict {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    cluster.is_losing_seals = true;
    cluster.mint_until(3, 5_000);
    cluster.is_losing_seals = false;
    cluster.run_ms(20_000);
    for index in 0..3 {
        let is_certified = (1..=cluster.height(index)).all(|at| cluster.is_certified(index, at));
        must(is_certified, "lost seals are never asked for again")?;
    }
    Ok(())
}

fn nobody_seals() -> Verdict {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    cluster.is_losing_seals = true;
    cluster.set_work(true);
    cluster.run_ms(60_000);
    must(
        cluster.height(0) <= 80,
        "makes any number of blocks that nobody seals",
    )
}

fn long_life() -> Verdict {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    cluster.mint_until(300, 120_000);
    for node in &cluster.nodes {
        let engine = node.engine.as_ref().ok_or("a node is down")?;
        let log = engine.node.as_ref().ok_or("no member")?.store();
        let kept = log.last() + 1 - log.first();
        must(kept <= 128, "keeps the whole log in memory")?;
    }
    Ok(())
}
