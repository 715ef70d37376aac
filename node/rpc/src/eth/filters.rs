//! Filters to poll: installed once, asked again and again.

use alloy_primitives::{B256, U128};
use alloy_rpc_types_eth::Log;
use jsonrpsee::server::RegisterMethodError;
use medina_types::Height;
use serde::Serialize;
use std::{sync::Arc, time::Instant};

use crate::{
    arguments::Arguments,
    context::Context,
    errors::{self, Answer, unknown_filter},
    log_filter::LogFilter,
    polling_filters::Bookmark,
    registry::Registry,
};

/// What a poll brings.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Changes {
    Hashes(Vec<B256>),
    Logs(Vec<Log>),
}

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("eth_newFilter", |context, arguments| {
        let filter = Arc::new(LogFilter::read(arguments.given()?)?);
        Ok(install(
            context,
            Bookmark::Logs(filter, context.head().height.next()),
        ))
    })?;
    registry.quick("eth_newBlockFilter", |context, _| {
        Ok(install(
            context,
            Bookmark::Blocks(context.head().height.next()),
        ))
    })?;
    registry.quick("eth_newPendingTransactionFilter", |context, _| {
        Ok(install(
            context,
            Bookmark::Pending(context.filters.pending_end()),
        ))
    })?;
    registry.quick("eth_uninstallFilter", |context, arguments| {
        Ok(context
            .filters
            .uninstall(arguments.required()?, Instant::now()))
    })?;
    registry.scan("eth_getFilterChanges", changes)?;
    registry.scan("eth_getFilterLogs", all_logs)
}

fn install(context: &Context, bookmark: Bookmark) -> U128 {
    context.filters.install(bookmark, Instant::now())
}

fn changes(context: &Context, arguments: &mut Arguments) -> Answer<Changes> {
    let id = arguments.required()?;
    let bookmark = context
        .filters
        .bookmark(id, Instant::now())
        .ok_or_else(unknown_filter)?;
    let (changes, next) = match bookmark {
        Bookmark::Pending(place) => {
            let (hashes, end) = context.filters.pending_since(place);
            (Changes::Hashes(hashes), Bookmark::Pending(end))
        }
        Bookmark::Blocks(from) => {
            let (hashes, next) = new_blocks(context, from)?;
            (Changes::Hashes(hashes), Bookmark::Blocks(next))
        }
        Bookmark::Logs(filter, from) => {
            let (logs, next) = new_logs(context, &filter, from)?;
            (Changes::Logs(logs), Bookmark::Logs(filter, next))
        }
    };
    context.filters.advance(id, next);
    Ok(changes)
}

/// Last block that one poll looks at; the next poll goes on behind it.
fn poll_end(context: &Context, from: Height) -> u64 {
    let bound = from
        .0
        .saturating_add(context.config.log_blocks_max.saturating_sub(1));
    context.head().height.0.min(bound)
}

fn new_blocks(context: &Context, from: Height) -> Answer<(Vec<B256>, Height)> {
    let end = poll_end(context, from);
    let mut hashes = Vec::new();
    for number in from.0..=end {
        let hash = context.store().hash_of_number(Height(number));
        hashes.extend(hash.map_err(errors::storage)?);
    }
    Ok((hashes, Height(end).next().max(from)))
}

fn new_logs(context: &Context, filter: &LogFilter, from: Height) -> Answer<(Vec<Log>, Height)> {
    let end = poll_end(context, from);
    let found = context.search(filter, from.0..=end)?;
    let mut logs = found.logs;
    logs.retain(|log| log.block_number.is_some_and(|number| filter.covers(number)));
    Ok((
        logs,
        found.stopped_at.unwrap_or(Height(end).next()).max(from),
    ))
}

/// All logs of a filter's range, as `eth_getLogs` would answer.
fn all_logs(context: &Context, arguments: &mut Arguments) -> Answer<Vec<Log>> {
    let id = arguments.required()?;
    match context.filters.bookmark(id, Instant::now()) {
        Some(Bookmark::Logs(filter, _)) => context.logs(&filter),
        _ => Err(unknown_filter()),
    }
}
