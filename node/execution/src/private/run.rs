//! The items of one block under way, one after the other.
//!
//! After every transaction the state is what the next commit would read from the
//! disk, so that it does not matter where commits are cut.

use super::{
    Below, Overlay, PrivateCommand, PrivateError, PrivateExecutor, PrivateInput, PrivateItem,
    PrivateReceipt, PrivateStatus, RootClaim, group_changes,
    nonces::nonce_offset,
    overlay::has_code,
    read_only::{Permitted, READ_ONLY, public_write},
};
use crate::{BlockState, ExecutionError, call::outcome_of};
use alloy_primitives::{Address, B256, Bytes, TxKind};
use medina_storage::StateReader;
use medina_types::{PrivacyMode, SignedPrivateTransaction, StateChanges};
use revm::{context::TxEnv, context_interface::result::ResultAndState, state::EvmState};
use std::collections::{BTreeMap, BTreeSet};

/// Whether roots that envelopes name are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claims {
    Compared,
    Ignored,
}

/// A command in the form that runs, whoever signed it.
struct Prepared {
    sender: Address,
    kind: TxKind,
    gas: u64,
    data: Bytes,
    /// Nonce inside the machine.
    nonce: u64,
    /// Nonce that the sender's account has afterwards; compat leaves it alone.
    nonce_after: Option<u64>,
}

/// Items of one block under way.
pub(super) struct Run<'a> {
    executor: &'a PrivateExecutor,
    below: &'a Below<'a>,
    overlay: &'a Overlay<'a>,
    claims: Claims,
    /// `None` only while the machine has it.
    state: Option<BlockState<'a>>,
    /// Nonces of accounts that have sent, as the group's state keeps them.
    nonces: BTreeMap<Address, u64>,
    /// Contracts that this run created.
    created: BTreeSet<Address>,
}

impl<'a> Run<'a> {
    /// Nothing run yet.
    pub(super) fn new(
        executor: &'a PrivateExecutor,
        below: &'a Below<'a>,
        overlay: &'a Overlay<'a>,
        claims: Claims,
    ) -> Self {
        Self {
            executor,
            below,
            overlay,
            claims,
            state: Some(executor.executor.state_on(overlay)),
            nonces: BTreeMap::new(),
            created: BTreeSet::new(),
        }
    }

    /// Does what is to be done for an item.
    pub(super) fn item(&mut self, item: &PrivateItem) -> Result<PrivateReceipt, PrivateError> {
        let place = (item.marker.hash(), item.index);
        let receipt = |status| PrivateReceipt::new(place, item.digest, status);
        Ok(match &item.input {
            PrivateInput::Erased => receipt(PrivateStatus::Erased),
            PrivateInput::Skipped => receipt(PrivateStatus::Skipped),
            PrivateInput::Invalid(reason) => receipt(PrivateStatus::Invalid(reason.clone())),
            PrivateInput::Execute { command, claim } => {
                let bare = receipt(PrivateStatus::Success);
                self.command(bare, command, *claim)?
            }
        })
    }

    /// Runs a command and fills in its receipt.
    pub(super) fn command(
        &mut self,
        mut receipt: PrivateReceipt,
        command: &PrivateCommand,
        claim: Option<RootClaim>,
    ) -> Result<PrivateReceipt, PrivateError> {
        let prepared = match self.prepare(command, &mut receipt)? {
            Ok(prepared) => prepared,
            Err(reason) => {
                receipt.status = PrivateStatus::Invalid(reason);
                return Ok(receipt);
            }
        };
        let is_validated = self.executor.rules.mode == PrivacyMode::Validated;
        match claim {
            _ if !is_validated || self.claims == Claims::Ignored => {
                self.execute(prepared, &mut receipt)?;
            }
            Some(claim) => self.execute_validated(prepared, claim, &mut receipt)?,
            None => {
                let reason = "the group's mode asks for the roots before and after";
                receipt.status = PrivateStatus::Invalid(reason.to_owned());
            }
        }
        Ok(receipt)
    }

    /// Checks what the machine does not; the reason where it may not run.
    fn prepare(
        &self,
        command: &PrivateCommand,
        receipt: &mut PrivateReceipt,
    ) -> Result<Result<Prepared, String>, PrivateError> {
        match command {
            PrivateCommand::Native(signed) => self.prepare_native(signed, receipt),
            PrivateCommand::Compat(call) => {
                receipt.from = Some(call.sender);
                receipt.to = call.kind.to().copied();
                receipt.nonce = Some(call.nonce);
                Ok(Ok(Prepared {
                    sender: call.sender,
                    kind: call.kind,
                    gas: call.gas.min(self.executor.rules.gas_max),
                    data: call.data.clone(),
                    nonce: call.nonce,
                    nonce_after: None,
                }))
            }
        }
    }

    fn prepare_native(
        &self,
        signed: &SignedPrivateTransaction,
        receipt: &mut PrivateReceipt,
    ) -> Result<Result<Prepared, String>, PrivateError> {
        let (inner, rules) = (signed.transaction(), &self.executor.rules);
        receipt.transaction = Some(signed.hash());
        receipt.to = inner.kind.to().copied();
        receipt.nonce = Some(inner.nonce);
        if inner.group != rules.group {
            let text = format!("it is signed for group {}", inner.group);
            return Ok(Err(text));
        }
        if inner.mode != rules.mode {
            let (got, want) = (inner.mode.number(), rules.mode.number());
            return Ok(Err(format!(
                "it is signed for mode {got}, the group's is {want}"
            )));
        }
        let sender = match signed.recover(self.executor.executor.spec.chain_id) {
            Ok(sender) => sender,
            Err(error) => return Ok(Err(error.to_string())),
        };
        receipt.from = Some(sender);
        if inner.gas > rules.gas_max {
            let (got, max) = (inner.gas, rules.gas_max);
            return Ok(Err(format!("private gas limit {got} is above {max}")));
        }
        let (offset, at) = (nonce_offset(rules.group), self.nonce(sender)?);
        let expected = at.saturating_sub(offset);
        if inner.nonce != expected {
            let got = inner.nonce;
            return Ok(Err(format!("private nonce {got}, expected {expected}")));
        }
        Ok(Ok(Prepared {
            sender,
            kind: inner.kind,
            gas: inner.gas,
            data: inner.data.clone(),
            nonce: at,
            nonce_after: Some(at + 1),
        }))
    }

    /// Nonce of a sender inside the machine.
    fn nonce(&self, sender: Address) -> Result<u64, PrivateError> {
        if let Some(nonce) = self.nonces.get(&sender) {
            return Ok(*nonce);
        }
        let account = self.overlay.group().account(sender)?;
        let offset = nonce_offset(self.executor.rules.group);
        Ok(account.map_or(offset, |account| account.nonce.max(offset)))
    }

    /// Validated mode: only from the root that is named, and only to the one.
    fn execute_validated(
        &mut self,
        prepared: Prepared,
        claim: RootClaim,
        receipt: &mut PrivateReceipt,
    ) -> Result<(), PrivateError> {
        let found = self.root()?;
        if found != claim.before() {
            let (claimed, found) = (claim.before().0, found.0);
            receipt.status = PrivateStatus::Stale { claimed, found };
            return Ok(());
        }
        let undo = (
            self.state.clone(),
            self.nonces.clone(),
            self.created.clone(),
        );
        let bare = receipt.clone();
        self.execute(prepared, receipt)?;
        if !receipt.status.is_executed() {
            return Ok(());
        }
        let found = self.root()?;
        if found != claim.after() {
            (self.state, self.nonces, self.created) = undo;
            let (claimed, found) = (claim.after().0, found.0);
            *receipt = bare;
            receipt.status = PrivateStatus::Diverged { claimed, found };
        }
        Ok(())
    }

    /// The group's root so far.
    pub(super) fn root(&self) -> Result<B256, PrivateError> {
        let changes = self.changes()?;
        let head = self.below.store.head();
        if changes.is_empty() {
            return Ok(head.header.state_root);
        }
        Ok(self.below.store.state_root_on(head.height, &changes)?)
    }

    /// What the group's own accounts changed so far.
    pub(super) fn changes(&self) -> Result<StateChanges, PrivateError> {
        let state = self.state.as_ref().expect("no machine is at work");
        let changes = state.changes().map_err(ExecutionError::from)?;
        let group = self.overlay.group();
        group_changes::of(changes, group, &self.nonces, &self.created)
    }

    fn execute(
        &mut self,
        prepared: Prepared,
        receipt: &mut PrivateReceipt,
    ) -> Result<(), PrivateError> {
        let nonce = prepared.nonce;
        self.state_mut()
            .change_account(prepared.sender, |account| account.nonce = nonce)
            .map_err(ExecutionError::from)?;
        let outcome = match self.transact(&prepared)? {
            Ok(outcome) => outcome,
            Err(reason) => {
                receipt.status = PrivateStatus::Invalid(reason);
                return Ok(());
            }
        };
        let ResultAndState { result, state } = outcome;
        receipt.fill(outcome_of(result));
        match self.public_write(&state, prepared.sender)? {
            Some(address) => {
                receipt.status = PrivateStatus::Failed(format!("{READ_ONLY}: {address}"));
                receipt.logs.clear();
                receipt.output.clear();
                receipt.created = None;
            }
            None => self.apply(state)?,
        }
        if let Some(after) = prepared.nonce_after {
            self.nonces.insert(prepared.sender, after);
        }
        Ok(())
    }

    fn state_mut(&mut self) -> &mut BlockState<'a> {
        self.state.as_mut().expect("no machine is at work")
    }

    /// Runs it in a machine; the reason where the machine refuses it.
    fn transact(
        &mut self,
        prepared: &Prepared,
    ) -> Result<Result<ResultAndState, String>, PrivateError> {
        let state = self.state.take().expect("no machine is at work");
        let environment = self.below.environment;
        let (outcome, state) = self.executor.transact(state, environment, prepared.into());
        self.state = Some(state);
        Ok(outcome?)
    }

    fn public_write(
        &mut self,
        changes: &EvmState,
        sender: Address,
    ) -> Result<Option<Address>, PrivateError> {
        let (group, created) = (self.overlay.group(), &self.created);
        let is_private = |address: Address| {
            Ok(created.contains(&address)
                || has_code(group, address).map_err(ExecutionError::from)?)
        };
        let permitted = Permitted {
            sender,
            is_private: &is_private,
        };
        let state = self.state.as_mut().expect("no machine is at work");
        Ok(public_write(state, changes, &permitted)?)
    }

    /// Takes over what a transaction changed, and makes of it what the next commit
    /// would read: balances are the public ones, and those of contracts zero.
    fn apply(&mut self, changes: EvmState) -> Result<(), PrivateError> {
        let created = changes
            .iter()
            .filter(|(_, account)| account.is_touched() && account.is_created());
        let mut created: Vec<_> = created
            .map(|(address, account)| (*address, account.is_selfdestructed()))
            .collect();
        created.sort_unstable();
        self.state_mut()
            .apply(changes)
            .map_err(ExecutionError::from)?;
        for (address, is_gone) in created {
            if is_gone {
                self.restore_public(address)?;
            } else {
                self.state_mut()
                    .change_account(address, |account| account.balance = Default::default())
                    .map_err(ExecutionError::from)?;
                self.created.insert(address);
            }
        }
        Ok(())
    }

    /// What was created and destroyed at once leaves the public account, if one is there.
    fn restore_public(&mut self, address: Address) -> Result<(), PrivateError> {
        let Some(public) = self.overlay.account(address)? else {
            return Ok(());
        };
        self.state_mut()
            .change_account(address, |account| *account = public)
            .map_err(ExecutionError::from)?;
        Ok(())
    }
}

impl From<&Prepared> for TxEnv {
    fn from(prepared: &Prepared) -> Self {
        Self {
            caller: prepared.sender,
            gas_limit: prepared.gas,
            kind: prepared.kind,
            data: prepared.data.clone(),
            nonce: prepared.nonce,
            ..Self::default()
        }
    }
}
