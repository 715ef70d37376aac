//! Who asks, as which party, and how private methods are registered.

use alloy_eips::BlockId;
use alloy_primitives::{Address, B256};
use jsonrpsee::{
    Extensions,
    server::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use medina_types::Height;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{GroupSummary, Lookup, PrivateError, PrivateNode, PrivateParty, PrivateResult, Tenant};
use crate::{
    access::{PrivateAccess, PrivateScope, is_party_name},
    arguments::Arguments,
    context::Context,
    errors::{self, Answer, fault, invalid_params, limit_exceeded, server, unsupported},
    front::Caller,
    reading::Position,
    registry::Registry,
    workers::Lane,
};

/// Private requests of one party that this node works on at once.
const REQUESTS_PER_PARTY_MAX: usize = 64;
/// The party that `GoQuorum`'s clients mean when they name none.
const DEFAULT_PARTY: &str = "private";

/// Places of each party's requests, so that one leaves room for the others.
#[derive(Debug, Default)]
pub(crate) struct PartyPlaces(Mutex<BTreeMap<String, Arc<Semaphore>>>);

impl PartyPlaces {
    /// A place for a request of a party of this node; there are only so many names.
    fn take(&self, psi: &str) -> Answer<OwnedSemaphorePermit> {
        let mut parties = self.0.lock();
        let places = parties
            .entry(psi.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(REQUESTS_PER_PARTY_MAX)));
        places.clone().try_acquire_owned().map_err(|_| {
            limit_exceeded(format!(
                "party {psi} has {REQUESTS_PER_PARTY_MAX} private requests under way; try again later"
            ))
        })
    }
}

/// One private request: who asks and of whom.
pub(super) struct Asking {
    pub(super) context: Arc<Context>,
    pub(super) node: Arc<dyn PrivateNode>,
    pub(super) tenant: Tenant,
    pub(super) party: PrivateParty,
    scope: PrivateScope,
    _place: OwnedSemaphorePermit,
}

impl Asking {
    /// Finds out on whose behalf a request comes. The gate has let its method in.
    pub(super) fn of(context: &Arc<Context>, extensions: &Extensions) -> Answer<Self> {
        let caller = extensions.get::<Caller>();
        let private = caller.and_then(|caller| caller.private.as_ref());
        let private = private.ok_or_else(unauthorized)?;
        let named = caller.and_then(|caller| caller.party.as_deref());
        Self::select(context, private, named)
    }

    /// As [`Self::of`] for methods that answer everybody: `None` for those who act
    /// for no party, or not with this method, or do not say for which of several.
    pub(super) fn of_anybody(
        context: &Arc<Context>,
        extensions: &Extensions,
        method: &str,
    ) -> Answer<Option<Self>> {
        let Some(caller) = extensions.get::<Caller>() else {
            return Ok(None);
        };
        let private = caller.private.as_ref();
        let Some(private) = private.filter(|private| private.allows(method)) else {
            return Ok(None);
        };
        let node = node_of(context)?;
        if caller.party.is_none() && party_of(private, None, &node.parties()).is_err() {
            return Ok(None);
        }
        Self::select(context, private, caller.party.as_deref()).map(Some)
    }

    /// As the transaction manager's port knows it.
    pub(super) fn select(
        context: &Arc<Context>,
        private: &PrivateAccess,
        named: Option<&str>,
    ) -> Answer<Self> {
        let node = node_of(context)?;
        let (party, scope) = party_of(private, named, &node.parties())?;
        let place = context.party_places.take(&party.name)?;
        Ok(Self {
            context: context.clone(),
            node,
            tenant: Tenant {
                psi: party.name.clone(),
                org: party.org,
                actor: private.actor.clone(),
            },
            party,
            scope,
            _place: place,
        })
    }

    /// A group of the tenant; all others are unknown to it.
    pub(super) fn group(&self, group: B256) -> Answer<GroupSummary> {
        let found = self.node.group(&self.tenant, group);
        let found = found.map_err(errors::private)?;
        // The node has looked; what must never be answered is looked at twice.
        let org = self.tenant.org;
        let is_own = |summary: &GroupSummary| summary.members.iter().any(|one| one.org == org);
        found
            .filter(is_own)
            .ok_or_else(|| errors::private(PrivateError::UnknownGroup))
    }

    /// The next argument as a group of the tenant.
    pub(super) fn required_group(&self, arguments: &mut Arguments) -> Answer<GroupSummary> {
        self.group(arguments.required()?)
    }

    /// Takes what is of one of the tenant's groups, and tells apart what was erased
    /// from what is not there.
    pub(super) fn found<T>(
        &self,
        lookup: PrivateResult<Lookup<T>>,
        group_of: impl FnOnce(&T) -> B256,
    ) -> Answer<Option<T>> {
        match lookup.map_err(errors::private)? {
            Lookup::Found(found) => {
                let is_own = self.group(group_of(&found)).is_ok();
                Ok(Some(found).filter(|_| is_own))
            }
            Lookup::Erased(tombstone) => Err(errors::erased(&tombstone)),
            Lookup::Waiting | Lookup::Unknown => Ok(None),
        }
    }

    /// Whether the caller may send what this account signed.
    pub(super) fn check_sender(&self, account: Address) -> Answer<()> {
        if self.scope.may_send_for(account) {
            return Ok(());
        }
        Err(server(format!(
            "unauthorized: the scope psi://{} does not send for {account}; give it self.eoa={account}, \
             or self.eoa=0x0 for any account",
            self.tenant.psi
        )))
    }

    /// Whether the node may sign with this account of its own for the caller.
    pub(super) fn check_signer(&self, account: Address) -> Answer<()> {
        if self.scope.may_sign_with(account) {
            return Ok(());
        }
        Err(server(format!(
            "unauthorized: the scope psi://{} does not sign with {account}; give it node.eoa={account}, \
             or node.eoa=0x0 for any account of the node",
            self.tenant.psi
        )))
    }

    /// Whether the caller may change anything at all for the party.
    pub(super) fn check_writer(&self) -> Answer<()> {
        if self.scope.may_write() {
            return Ok(());
        }
        Err(server(format!(
            "unauthorized: the scope psi://{} reads only; give it self.eoa or node.eoa",
            self.tenant.psi
        )))
    }

    /// Checks a payload's size.
    pub(super) fn check_payload(&self, bytes: usize) -> Answer<()> {
        let max = self.node.limits().payload_bytes;
        if bytes > max {
            return Err(limit_exceeded(format!(
                "private payload of {bytes} bytes; at most {max}"
            )));
        }
        Ok(())
    }

    /// Checks a private transaction's gas.
    pub(super) fn check_gas(&self, gas: u64) -> Answer<()> {
        let max = self.node.limits().gas;
        if gas > max {
            return Err(limit_exceeded(format!(
                "private gas limit {gas}; at most {max}"
            )));
        }
        Ok(())
    }

    /// The public block that a caller names; `None` for the newest.
    pub(super) fn height(&self, block: Option<BlockId>) -> Answer<Option<Height>> {
        let Some(block) = block else {
            return Ok(None);
        };
        let is_newest = !block.is_hash() && !block.is_number() && !block.is_earliest();
        match self.context.locate_known(block)? {
            Position::Pending => Ok(None),
            Position::At(_) if is_newest => Ok(None),
            Position::At(height) => Ok(Some(height)),
        }
    }

    /// The next argument as a public block.
    pub(super) fn optional_height(&self, arguments: &mut Arguments) -> Answer<Option<Height>> {
        self.height(arguments.optional()?)
    }
}

fn node_of(context: &Context) -> Answer<Arc<dyn PrivateNode>> {
    let node = context.node.private();
    node.ok_or_else(|| unsupported("this node keeps no private state"))
}

fn unauthorized() -> ErrorObjectOwned {
    server(
        "unauthorized: give an API key or token with a scope psi://PARTY for a party of this node",
    )
}

/// The party that a request is for, of those that it may act as.
fn party_of(
    private: &PrivateAccess,
    named: Option<&str>,
    parties: &[PrivateParty],
) -> Answer<(PrivateParty, PrivateScope)> {
    let of_name = |name: &str| {
        let scope = private.scope(name)?;
        let party = parties.iter().find(|party| party.name == name)?;
        Some((party.clone(), scope.clone()))
    };
    if let Some(name) = named {
        if !is_party_name(name) {
            return Err(invalid_params("PSI names no party"));
        }
        // The same whether the party is another tenant's or nobody's.
        let unknown = || {
            server(format!(
                "unauthorized: no scope psi://{name} for a party of this node"
            ))
        };
        return of_name(name).ok_or_else(unknown);
    }
    let mut own = private
        .scopes()
        .iter()
        .filter_map(|scope| of_name(&scope.psi));
    match (own.next(), own.next()) {
        (None, _) => Err(unauthorized()),
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => of_name(DEFAULT_PARTY).ok_or_else(|| {
            invalid_params("several parties are open to this caller: name one with PSI, in the header or in the address")
        }),
    }
}

/// A method for one party that reads or runs the EVM.
pub(super) type PrivateMethod<T> = fn(&Asking, &mut Arguments) -> Answer<T>;

/// Registers a private method, which runs on a thread of a lane.
pub(super) fn method<T: Serialize + 'static>(
    registry: &mut Registry,
    name: &'static str,
    lane: Lane,
    method: PrivateMethod<T>,
) -> Result<(), RegisterMethodError> {
    registry.module.register_async_method(
        name,
        move |params: Params<'static>, context: Arc<Context>, extensions| async move {
            let workers = context.workers.clone();
            let work = move || {
                let asking = Asking::of(&context, &extensions)?;
                let answer = method(&asking, &mut Arguments::of(&params)?)?;
                to_raw_value(&answer).map_err(fault)
            };
            let answer: Box<RawValue> = workers.run(lane, work).await?;
            Ok::<_, ErrorObjectOwned>(answer)
        },
    )?;
    Ok(())
}

/// Registers a private method that waits for others: the outbox, the enclave, the pool.
pub(super) fn sending<T, F>(
    registry: &mut Registry,
    name: &'static str,
    method: fn(Asking, Arguments) -> F,
) -> Result<(), RegisterMethodError>
where
    T: Serialize + 'static,
    F: Future<Output = Answer<T>> + Send + 'static,
{
    registry.module.register_async_method(
        name,
        move |params: Params<'static>, context: Arc<Context>, extensions| async move {
            let workers = context.workers.clone();
            let who = move || Asking::of(&context, &extensions);
            let asking = workers.run(Lane::Private, who).await?;
            let answer: T = method(asking, Arguments::of(&params)?).await?;
            let answer: Box<RawValue> = to_raw_value(&answer).map_err(fault)?;
            Ok::<_, ErrorObjectOwned>(answer)
        },
    )?;
    Ok(())
}
