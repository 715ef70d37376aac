//! A group's state, and the step from one public block to the next: what is read
//! from chain and enclave is put together here and handed to the executor.
//!
//! Everything that decides about an item is read at the public block before the
//! marker's, or bound by the envelope's digest, so that all members decide alike.

pub(crate) use crate::private::states::{StateAt, root_at, snapshot_chunk, state_at, store};
use crate::private::{
    anchored, compat,
    queue::{Placed, Treatment},
    registry::{GroupRecord, RegistryError},
    shared::Shared,
};
use alloy_primitives::{Address, B256, Bytes};
use medina_enclave::{Digest, EnclaveError, Metadata, PayloadStatus};
use medina_execution::{
    CallRequest,
    private::{
        GroupStore, Position, PrivateCommand, PrivateError, PrivateInput, PrivateItem,
        PrivateReceipt, PublicBlock, RootClaim,
    },
};
use medina_storage::{StateReader, StorageError, SyncMode};
use medina_types::{
    Height, MARKER_ADDRESS, PrivacyMode, RecoveredBlock, RecoveredTransaction,
    SignedPrivateTransaction,
};

/// Gas of the question whose account something is.
const QUESTION_GAS: u64 = 200_000;

/// Why a step was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// The group's store, or the executor.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// The enclave.
    #[error(transparent)]
    Enclave(#[from] EnclaveError),
    /// The contract.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The public chain's store.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The public history that the step reads is pruned.
    #[error("public block {0} is pruned, and the group had not come so far")]
    Pruned(u64),
}

/// Settles the markers of one public block, whole, and moves the group behind it.
pub(crate) fn settle(
    shared: &Shared,
    group: &GroupRecord,
    store: &GroupStore,
    markers: &[(Placed, Treatment)],
) -> Result<Vec<PrivateReceipt>, StepError> {
    let Some((first, _)) = markers.first() else {
        return Ok(Vec::new());
    };
    let height = Height(first.height);
    let chain = &shared.chain.store;
    let pruned = |error: StorageError| match error {
        StorageError::StatePruned { .. } | StorageError::BlockPruned { .. } => {
            StepError::Pruned(first.height)
        }
        error => error.into(),
    };
    let block = chain.block_by_number(height).map_err(pruned)?;
    let block = block.ok_or(StepError::Pruned(first.height))?;
    let parent = Height(first.height.saturating_sub(1));
    let state_before = chain.state_at(parent).map_err(pruned)?;
    let public = PublicBlock {
        header: block.header(),
        hash: block.hash(),
        state_before: &state_before,
        environment: shared.chain.executor.environment_of(block.header()),
    };
    let mut items = Vec::with_capacity(markers.len());
    for (placed, treatment) in markers {
        let marker = (placed, *treatment);
        items.push(item(shared, group, &block, marker, &state_before)?);
    }
    if group.mode == PrivacyMode::Validated {
        return anchored::settle(shared, group, store, &public, &items);
    }
    let executor = shared.executor_of(group);
    let next = Position::after(height);
    let applied = store.apply(&executor, &public, &items, next, SyncMode::Synced)?;
    Ok(applied.receipts)
}

fn item(
    shared: &Shared,
    group: &GroupRecord,
    block: &RecoveredBlock,
    (placed, treatment): (&Placed, Treatment),
    state_before: &dyn StateReader,
) -> Result<PrivateItem, StepError> {
    let index = usize::try_from(placed.index).unwrap_or(usize::MAX);
    let (transaction, sender) = block
        .transactions()
        .nth(index)
        .ok_or(StepError::Pruned(placed.height))?;
    let marker = RecoveredTransaction::new_unchecked(transaction.clone(), sender);
    let input = match treatment {
        Treatment::Execute => input(shared, group, placed, &marker, state_before)?,
        Treatment::Skipped => PrivateInput::Skipped,
        Treatment::Repeated => {
            let reason = "repeated: an earlier marker is this payload's";
            PrivateInput::Invalid(reason.to_owned())
        }
        // The caller settles nothing that waits.
        Treatment::Erased | Treatment::Wait | Treatment::Rebuild => PrivateInput::Erased,
    };
    Ok(PrivateItem {
        index: u64::from(placed.index),
        marker,
        digest: placed.digest,
        input,
    })
}

/// Whether a marker was sent to the precompile, with a tag; else it is a public
/// transaction that carries a handle.
pub(crate) fn is_tagged(shared: &Shared, placed: &Placed) -> Result<bool, StepError> {
    use alloy_consensus::Transaction as _;
    let block = match shared.chain.store.sealed_block(Height(placed.height)) {
        Ok(block) => block,
        Err(StorageError::BlockPruned { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let index = usize::try_from(placed.index).unwrap_or(usize::MAX);
    let transaction = block
        .as_ref()
        .and_then(|block| block.transactions().get(index));
    let transaction = transaction.ok_or(StepError::Pruned(placed.height))?;
    Ok(transaction.to() == Some(MARKER_ADDRESS))
}

/// Opens an envelope and checks what every member checks.
fn input(
    shared: &Shared,
    group: &GroupRecord,
    placed: &Placed,
    marker: &RecoveredTransaction,
    state_before: &dyn StateReader,
) -> Result<PrivateInput, StepError> {
    let digest = Digest(placed.digest.0);
    let held = match shared.enclave.status(&digest)? {
        PayloadStatus::Held(held) => held,
        PayloadStatus::Erased(_) => return Err(EnclaveError::Erased(digest).into()),
        PayloadStatus::Missing => return Err(EnclaveError::Missing(digest).into()),
    };
    if let Some(reason) = fault(shared, group, placed, &held.metadata)? {
        return Ok(PrivateInput::Invalid(reason));
    }
    let ours = |party: &&crate::private::shared::OwnParty| held.parties.contains(&party.id);
    let Some(party) = shared.parties_in(group).find(ours) else {
        return Err(EnclaveError::Missing(digest).into());
    };
    let caller = shared.caller("follow");
    let payload = shared.enclave.open(&caller, &digest, &party.id)?;
    let (command, sender) = match command(shared, &held.metadata, marker, &payload) {
        Ok(command) => command,
        Err(reason) => return Ok(PrivateInput::Invalid(reason)),
    };
    if group.mode == PrivacyMode::CounterParty
        && let Some(sender) = sender
        && let Some(reason) = stranger(shared, group, sender, placed, state_before)?
    {
        return Ok(PrivateInput::Invalid(reason));
    }
    let claim = held
        .metadata
        .roots
        .map(|roots| RootClaim::new(roots.before.into(), roots.after.into()));
    Ok(PrivateInput::Execute { command, claim })
}

/// What an envelope's content is, and who sends it: Medina's own signed transaction,
/// or what a public one of `GoQuorum`'s clients carries the handle of. Where nobody
/// can be recovered, the executor says so.
fn command(
    shared: &Shared,
    metadata: &Metadata,
    marker: &RecoveredTransaction,
    payload: &[u8],
) -> Result<(PrivateCommand, Option<Address>), String> {
    if let Some(handle) = &metadata.handle {
        let call = compat::call(marker, handle, payload);
        let call = call.ok_or("its public transaction carries another handle")?;
        let sender = call.sender;
        return Ok((PrivateCommand::Compat(call), Some(sender)));
    }
    let signed = SignedPrivateTransaction::decode(payload).map_err(|error| error.to_string())?;
    let sender = signed.recover(shared.chain.spec.chain_id).ok();
    Ok((PrivateCommand::Native(Box::new(signed)), sender))
}

/// What is wrong with an envelope in this place.
fn fault(
    shared: &Shared,
    group: &GroupRecord,
    placed: &Placed,
    metadata: &Metadata,
) -> Result<Option<String>, StepError> {
    let spec = &shared.chain.spec;
    if metadata.chain_id != spec.chain_id || metadata.genesis_hash != spec.genesis_hash.0 {
        return Ok(Some("its envelope is of another chain".to_owned()));
    }
    if metadata.group.0 != group.id.0 || metadata.mode.number() != group.mode.number() {
        return Ok(Some("its envelope is of another group or mode".to_owned()));
    }
    if metadata.handle.is_some() {
        // Several envelopes may have one handle, and members different ones of them:
        // what all have in common decides, which is the payload.
        return Ok(None);
    }
    if metadata.anchor_slot >= placed.height {
        return Ok(Some("its envelope names a later block".to_owned()));
    }
    let parent = Height(placed.height.saturating_sub(1));
    let is_member = shared.registry.at(parent, |view| {
        let Some(org) = view.org_of(metadata.sender)? else {
            return Ok(false);
        };
        Ok(view.member_since(group.id, org)?.is_some())
    });
    let is_member = match is_member {
        Err(RegistryError::Storage(StorageError::StatePruned { .. })) => {
            return Err(StepError::Pruned(placed.height));
        }
        other => other?,
    };
    Ok((!is_member).then(|| "its envelope is from no member".to_owned()))
}

/// Counter-party protection: why an account may not send here.
fn stranger(
    shared: &Shared,
    group: &GroupRecord,
    sender: Address,
    placed: &Placed,
    state_before: &dyn StateReader,
) -> Result<Option<String>, StepError> {
    let parent = Height(placed.height.saturating_sub(1));
    let org = organisation_at(shared, sender, parent, state_before)?;
    let is_member = match org {
        Some(org) => shared.registry.at(parent, |view| {
            Ok(view.member_since(group.id, org)?.is_some())
        })?,
        None => false,
    };
    Ok((!is_member).then(|| format!("account {sender} belongs to no member organisation")))
}

/// The organisation of an account at a public block; none for one that is blocked.
pub(crate) fn organisation_at(
    shared: &Shared,
    account: Address,
    height: Height,
    state: &dyn StateReader,
) -> Result<Option<B256>, StepError> {
    let contracts = &shared.chain.spec.contracts;
    let (Some(identity), Some(permissioning)) =
        (contracts.get("identity"), contracts.get("permissioning"))
    else {
        return Ok(None);
    };
    let Some(header) = shared.chain.store.header_by_number(height)? else {
        return Ok(None);
    };
    let executor = &shared.chain.executor;
    let ask = |to: Address, signature: &str| {
        let selector = &alloy_primitives::keccak256(signature)[..4];
        let input = [selector, account.into_word().as_slice()].concat();
        let request = CallRequest {
            to: Some(to),
            gas: Some(QUESTION_GAS),
            input: Bytes::from(input),
            ..CallRequest::default()
        };
        let environment = executor.environment_of(&header);
        let outcome = executor
            .call(state, environment, &request)
            .map_err(PrivateError::from)?;
        let word = outcome.output.get(..32).map(B256::from_slice);
        Ok::<_, StepError>(word.filter(|_| outcome.is_success()))
    };
    // 1 is blocked: see `IPermissioning.accountState`.
    let blocked = B256::with_last_byte(1);
    if ask(*permissioning, "accountState(address)")?.is_none_or(|state| state == blocked) {
        return Ok(None);
    }
    Ok(ask(*identity, "orgOf(address)")?.filter(|org| !org.is_zero()))
}

/// A height above the chain's.
pub(crate) fn not_reached(shared: &Shared, height: u64) -> PrivateError {
    let (asked, head) = (Height(height), shared.chain.head().height);
    StorageError::UnknownHeight { asked, head }.into()
}
