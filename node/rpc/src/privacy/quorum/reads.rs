//! `GoQuorum`'s methods that read.

use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, keccak256};
use jsonrpsee::server::RegisterMethodError;
use medina_types::{MARKER_ADDRESS, Marker, compat_handle};
use serde_json::{Value, json};

use super::{key_of, merged};
use crate::{
    arguments::Arguments,
    context::Context,
    errors::{self, Answer, fault, invalid_params, server, unsupported},
    eth::transactions::by_transaction_hash,
    privacy::{
        Handle, Payload, PrivateParty,
        asking::{Asking, method},
        shapes,
    },
    reading::Position,
    registry::Registry,
    workers::Lane,
};

/// Slots of one `debug_dumpAddress`.
const DUMP_SLOTS_MAX: usize = 4_096;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("eth_getPrivacyPrecompileAddress", |_, _| Ok(MARKER_ADDRESS))?;
    registry.quick("priv_getPrivacyPrecompileAddress", |_, _| {
        Ok(MARKER_ADDRESS)
    })?;
    let read = Lane::Private;
    method(registry, "eth_getPSI", read, |asking, _| {
        Ok(asking.tenant.psi.clone())
    })?;
    method(registry, "eth_getQuorumPayload", read, payload)?;
    method(registry, "eth_getQuorumPayloadExtra", read, payload_extra)?;
    method(registry, "eth_decryptQuorumPayload", read, decrypt)?;
    method(registry, "eth_getContractPrivacyMetadata", read, contract)?;
    method(
        registry,
        "eth_getPrivateTransactionByHash",
        read,
        transaction,
    )?;
    method(registry, "eth_getPrivateTransactionReceipt", read, receipt)?;
    method(registry, "eth_storageRoot", read, storage_root)?;
    method(registry, "debug_privateStateRoot", read, state_root)?;
    method(registry, "debug_dumpAddress", read, dump)
}

/// What is behind a handle, if the tenant has it.
fn read_payload(asking: &Asking, handle: &Handle) -> Answer<Option<Payload>> {
    let looked = asking.node.payload(&asking.tenant, handle);
    let own = asking.tenant.org;
    let found = match looked.map_err(errors::private)? {
        crate::privacy::Lookup::Found(payload) => Some(payload),
        crate::privacy::Lookup::Erased(tombstone) => return Err(errors::erased(&tombstone)),
        crate::privacy::Lookup::Waiting | crate::privacy::Lookup::Unknown => None,
    };
    // The node has looked; what must never be answered is looked at twice.
    Ok(found.filter(|payload| payload.parties.iter().any(|party| party.org == own)))
}

fn handle(arguments: &mut Arguments) -> Answer<Handle> {
    let bytes: Bytes = arguments.required()?;
    Handle::try_from(bytes.as_ref()).map_err(|length| {
        invalid_params(format!(
            "a payload is named by 64 bytes, or by a digest of 32, not by {length}"
        ))
    })
}

/// The plaintext; nothing (`0x`) for those who are no party to it.
fn payload(asking: &Asking, arguments: &mut Arguments) -> Answer<Bytes> {
    let found = read_payload(asking, &handle(arguments)?)?;
    Ok(found.map(|payload| payload.data).unwrap_or_default())
}

fn payload_extra(asking: &Asking, arguments: &mut Arguments) -> Answer<Option<Value>> {
    let found = read_payload(asking, &handle(arguments)?)?;
    Ok(found.map(|payload| {
        let own = |party: &&PrivateParty| party.org == asking.tenant.org;
        let managed: Vec<_> = payload.parties.iter().filter(own).map(key_of).collect();
        let sender = payload.is_sender.then(|| key_of(&asking.party));
        json!({
            "payload": payload.data,
            "extraMetaData": {
                "ACHashes": {},
                "ACMerkleRoot": B256::ZERO,
                "PrivacyFlag": payload.mode,
                "ManagedParties": managed,
                "Sender": sender.unwrap_or_default(),
                "MandatoryRecipients": [],
            },
            "isSender": payload.is_sender,
        })
    }))
}

/// There is nothing of this form to decrypt here, and nobody to decrypt for.
fn decrypt(_: &Asking, _: &mut Arguments) -> Answer<Value> {
    Err(unsupported(
        "envelopes are not Tessera's here and are not decrypted for callers; read a payload that \
         this node holds with eth_getQuorumPayload",
    ))
}

fn contract(asking: &Asking, arguments: &mut Arguments) -> Answer<Value> {
    let address: Address = arguments.required()?;
    let made = asking.node.contract_privacy(&asking.tenant, address);
    let made = made.map_err(errors::private)?;
    let made = made.filter(|made| asking.group(made.group).is_ok());
    // GoQuorum's words.
    let made = made.ok_or_else(|| {
        server(format!(
            "The provided address does not have privacy metadata: {address}"
        ))
    })?;
    let directory = asking.node.directory().map_err(errors::private)?;
    let named = made
        .mandatory
        .iter()
        .filter_map(|org| directory.iter().find(|party| party.org == *org));
    Ok(json!({
        "creationTxHash": made.creation,
        "privacyFlag": made.mode,
        "mandatoryFor": named.map(key_of).collect::<Vec<_>>(),
    }))
}

/// The inner transaction of a marker, or a marked one with its payload in the place
/// of the handle.
fn transaction(asking: &Asking, arguments: &mut Arguments) -> Answer<Option<Value>> {
    let hash: B256 = arguments.required()?;
    let public = by_transaction_hash(&asking.context, &mut Arguments::with(json!(hash)))?;
    let Some(public) = public else {
        return Ok(None);
    };
    if let Some(marker) = Marker::of(public.inner.inner(), true) {
        let looked = asking.node.transaction(&asking.tenant, marker.digest);
        let found = asking.found(looked, |view| view.transaction.transaction().group)?;
        return found.as_ref().map(shapes::transaction).transpose();
    }
    let Some(handle) = compat_handle(public.inner.inner()) else {
        return Ok(None);
    };
    let Some(payload) = read_payload(asking, &Handle::Compat(handle))? else {
        return Ok(None);
    };
    let mut shown = serde_json::to_value(&public).map_err(fault)?;
    shown["input"] = json!(payload.data);
    Ok(Some(shown))
}

fn receipt(asking: &Asking, arguments: &mut Arguments) -> Answer<Option<Value>> {
    let hash: B256 = arguments.required()?;
    let looked = asking.node.receipt_of_public(&asking.tenant, hash);
    let found = asking.found(looked, |receipt| receipt.group)?;
    let Some(private) = found else {
        return Ok(None);
    };
    let public = crate::eth::transactions::receipt_of(&asking.context, hash)?;
    let public = public
        .map(serde_json::to_value)
        .transpose()
        .map_err(fault)?;
    Ok(public.map(|public| merged::receipt(public, &private)))
}

/// The group of a private contract of the tenant.
pub(super) fn group_of(asking: &Asking, address: Address) -> Answer<Option<B256>> {
    let group = asking.node.group_of_contract(&asking.tenant, address);
    let group = group.map_err(errors::private)?;
    Ok(group.filter(|group| asking.group(*group).is_ok()))
}

fn storage_root(asking: &Asking, arguments: &mut Arguments) -> Answer<B256> {
    let address: Address = arguments.required()?;
    let block: Option<BlockId> = arguments.optional()?;
    if let Some(group) = group_of(asking, address)? {
        let at = asking.height(block)?;
        let proof = asking.node.proof(&asking.tenant, group, address, &[], at);
        return Ok(proof.map_err(errors::private)?.2.storage_hash);
    }
    let context: &Context = &asking.context;
    let height = match context.locate_known(block.unwrap_or_default())? {
        Position::At(height) => height,
        Position::Pending => context.head().height,
    };
    let proof = context.store().proof_at(height, address, &[]);
    Ok(proof.map_err(errors::storage)?.storage_hash)
}

/// The root of a group that is named after the block. Without one: of the tenant's
/// only group, or one hash over all of its groups and their roots, in order.
fn state_root(asking: &Asking, arguments: &mut Arguments) -> Answer<B256> {
    let at = asking.optional_height(arguments)?;
    let root = |group: B256| {
        let root = asking.node.state_root(&asking.tenant, group, at);
        root.map_err(errors::private)
    };
    if let Some(group) = arguments.optional()? {
        return root(asking.group(group)?.id);
    }
    let groups = asking
        .node
        .groups(&asking.tenant)
        .map_err(errors::private)?;
    let mut groups: Vec<B256> = groups.iter().map(|group| group.id).collect();
    groups.sort_unstable();
    match groups[..] {
        [] => Err(server("this party is a member of no group")),
        [only] => root(only),
        _ => {
            let mut all = Vec::with_capacity(groups.len() * 64);
            for group in groups {
                all.extend_from_slice(group.as_slice());
                all.extend_from_slice(root(group)?.as_slice());
            }
            Ok(keccak256(all))
        }
    }
}

fn dump(asking: &Asking, arguments: &mut Arguments) -> Answer<Value> {
    let address: Address = arguments.required()?;
    let at = asking.optional_height(arguments)?;
    let group = group_of(asking, address)?;
    let group = group.ok_or_else(|| server("no private contract of this party"))?;
    let dump = asking
        .node
        .dump(&asking.tenant, group, address, at, DUMP_SLOTS_MAX);
    let dump = dump.map_err(errors::private)?;
    Ok(json!({
        "balance": dump.balance.to_string(),
        "nonce": dump.nonce,
        "root": dump.storage_root,
        "codeHash": dump.code_hash,
        "code": dump.code,
        "storage": dump.storage,
    }))
}
