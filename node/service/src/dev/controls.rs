//! What test suites ask for, done to all nodes.

use super::{DevNetwork, Impersonated, MARK, SNAPSHOTS_MAX, Snapshot, in_time};
use alloy_primitives::{Address, B256, Signature, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use async_trait::async_trait;
use medina_execution::StateEdit;
use medina_rpc::{DevControls, DevError};
use medina_types::Height;
use std::sync::atomic::Ordering;

#[async_trait]
impl DevControls for DevNetwork {
    fn accounts(&self) -> Vec<Address> {
        self.0
            .signers
            .iter()
            .map(PrivateKeySigner::address)
            .collect()
    }

    fn sign(&self, account: Address, hash: B256) -> Option<Signature> {
        let mut signers = self.0.signers.iter();
        let signer = signers.find(|signer| signer.address() == account)?;
        signer.sign_hash_sync(&hash).ok()
    }

    fn impersonation_of(&self, account: Address) -> Option<Signature> {
        let impersonated = self.0.impersonated.lock();
        let is_asked_for = impersonated.everybody || impersonated.accounts.contains(&account);
        let address = U256::from_be_bytes(account.into_word().0);
        is_asked_for.then(|| Signature::new(address, MARK, false))
    }

    fn impersonate(&self, account: Address, is_impersonated: bool) {
        let accounts = &mut self.0.impersonated.lock().accounts;
        if is_impersonated {
            accounts.insert(account);
        } else {
            accounts.remove(&account);
        }
    }

    fn impersonate_all(&self, is_on: bool) {
        self.0.impersonated.lock().everybody = is_on;
    }

    fn automine(&self) -> bool {
        self.0.automine.load(Ordering::SeqCst)
    }

    fn set_automine(&self, is_on: bool) {
        self.0.automine.store(is_on, Ordering::SeqCst);
        self.wake();
    }

    fn set_interval_mining(&self, period_ms: u64) {
        self.0.interval_ms.store(period_ms, Ordering::Relaxed);
        self.0.interval_changed.notify_one();
    }

    async fn mine(&self, time_s: Option<u64>) -> Result<Height, DevError> {
        let _turn = self.0.turn.lock().await;
        self.mine_next(time_s).await
    }

    fn clock_s(&self) -> u64 {
        let node = self.any_node();
        node.map_or(0, |node| node.chain.clock.unix_seconds())
    }

    fn advance_clock(&self, seconds: u64) -> i64 {
        self.0.time.advance(seconds)
    }

    fn set_clock(&self, to_s: u64) -> Result<i64, DevError> {
        let machine_s = self.any_node()?.chain.clock.machine_seconds();
        Ok(self.0.time.set(machine_s, to_s))
    }

    fn set_next_time(&self, time_s: u64) -> Result<(), DevError> {
        let parent_s = self.any_node()?.chain.head().header.timestamp;
        if time_s < parent_s {
            let text = format!(
                "Timestamp error: {time_s} is lower than previous block's timestamp {parent_s}"
            );
            return Err(DevError::Refused(text));
        }
        self.0.time.set_next(time_s);
        Ok(())
    }

    async fn edit(&self, edits: Vec<StateEdit>) -> Result<(), DevError> {
        let _turn = self.0.turn.lock().await;
        let hash = self.0.edits.ask(edits);
        self.wake();
        let mut height = self.any_node()?.chain.watch_height();
        let made = async {
            while self.0.edits.waiting() == Some(hash) {
                if height.changed().await.is_err() {
                    return;
                }
            }
        };
        let made = in_time("change the state", made).await;
        self.0.edits.give_up(hash);
        made?;
        self.reached(self.head(), "change the state").await
    }

    fn drop_transaction(&self, hash: B256) -> bool {
        // First: who hears of it from now on takes it in no more.
        self.note_dropped(hash);
        let mut had_it = false;
        for node in self.nodes() {
            had_it |= node.chain.pool.remove(&hash).is_some();
        }
        had_it
    }

    fn drop_all_transactions(&self) {
        for node in self.nodes() {
            node.chain.empty_pool();
        }
    }

    async fn snapshot(&self) -> Result<u64, DevError> {
        let _turn = self.0.turn.lock().await;
        self.check_can_roll_back()?;
        self.reached(self.head(), "come to one height").await?;
        let chain = self.any_node()?.chain;
        let head = chain.head();
        let snapshot = Snapshot {
            height: head.height,
            hash: head.hash,
            clock_s: chain.clock.unix_seconds(),
        };
        let mut snapshots = self.0.snapshots.lock();
        snapshots.last += 1;
        let number = snapshots.last;
        snapshots.taken.insert(number, snapshot);
        if snapshots.taken.len() > SNAPSHOTS_MAX {
            snapshots.taken.pop_first();
        }
        Ok(number)
    }

    async fn revert(&self, number: u64) -> Result<bool, DevError> {
        let _turn = self.0.turn.lock().await;
        self.check_can_roll_back()?;
        let taken = self.0.snapshots.lock().taken.get(&number).copied();
        let Some(snapshot) = taken else {
            return Ok(false);
        };
        self.reached(self.head(), "come to one height").await?;
        let store = self.any_node()?.chain.store;
        let hash = store.hash_of_number(snapshot.height);
        if !matches!(hash, Ok(Some(hash)) if hash == snapshot.hash) {
            return Ok(false);
        }
        self.roll_back(snapshot.height, snapshot.clock_s).await?;
        self.0
            .snapshots
            .lock()
            .taken
            .retain(|taken, _| *taken < number);
        Ok(true)
    }

    async fn reset(&self) -> Result<(), DevError> {
        let _turn = self.0.turn.lock().await;
        self.check_can_roll_back()?;
        let machine_s = self.any_node()?.chain.clock.machine_seconds();
        self.roll_back(Height::GENESIS, machine_s).await?;
        self.0.snapshots.lock().taken.clear();
        *self.0.impersonated.lock() = Impersonated::default();
        self.set_automine(true);
        self.set_interval_mining(0);
        Ok(())
    }
}
