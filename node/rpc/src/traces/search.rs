//! `ots_searchTransactionsBefore` and `…After`: the transactions of an address, page
//! by page, newest first.
//!
//! Accounts without code are found by the history of accounts: who sends changes
//! its nonce, who gets coins its balance. Calls change neither in a contract, so for
//! contracts block after block is looked at, which takes time: the search stops when
//! that is over and says where to go on.
//!
//! # Deviations
//! A transaction that sends nothing to an account without code, and one that calls a
//! contract from another contract and makes it neither log nor receive coins, is not
//! found: that would need an index over all traces.

use alloy_consensus::{Transaction as _, constants::KECCAK_EMPTY};
use alloy_primitives::{Address, BloomInput};
use jsonrpsee::types::ErrorObjectOwned;
use medina_storage::StateReader as _;
use medina_types::{Height, Transaction};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

use super::{budget::Budget, ots_tracers::TouchTracer, otterscan::PAGE_SIZE_MAX};
use crate::{
    CommittedBlock,
    arguments::Arguments,
    context::Context,
    convert,
    errors::{self, Answer, fault, invalid_params},
    reading::Position,
};

/// Blocks that the history is asked for at once.
const CHANGES_AT_ONCE: usize = 256;

/// Which way a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To older blocks.
    Down,
    /// To newer blocks.
    Up,
}

/// One page as Otterscan wants it, newest first.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    txs: Vec<Value>,
    receipts: Vec<Value>,
    /// Nothing newer is there.
    first_page: bool,
    /// Nothing older is there.
    last_page: bool,
}

/// A search on its way.
struct Search<'a> {
    context: &'a Context,
    address: Address,
    /// The next block to look at; `None` past the end of the chain.
    next: Option<u64>,
    way: Way,
    /// Without code, so that the history of accounts knows its blocks.
    is_plain: bool,
    /// Blocks that the history named, in the order of the search.
    known: std::vec::IntoIter<Height>,
}

/// Before the block named, or after it; 0 is the end that the search starts from.
pub(super) fn search(context: &Context, arguments: &mut Arguments, way: Way) -> Answer<Page> {
    let address: Address = arguments.required()?;
    let from: u64 = arguments.required()?;
    let size: usize = arguments.required()?;
    if !(1..=PAGE_SIZE_MAX).contains(&size) {
        let text = format!("page size {size}, limit {PAGE_SIZE_MAX}");
        return Err(invalid_params(text));
    }
    let head = context.head().height.0;
    let next = match (way, from) {
        (Way::Down, 0) => Some(head),
        (Way::Down, from) => Some((from - 1).min(head)),
        (Way::Up, from) => Some(from + u64::from(from > 0)).filter(|first| *first <= head),
    };
    let account = context.state(Position::At(Height(head)))?.account(address);
    let account = account.map_err(errors::storage)?;
    let mut search = Search {
        context,
        address,
        next,
        way,
        is_plain: account.is_none_or(|account| account.code_hash == KECCAK_EMPTY),
        known: Vec::new().into_iter(),
    };
    let page = search.page(size)?;
    let is_at_end = search.next.is_none();
    Ok(match way {
        Way::Down => Page {
            first_page: from == 0 || from > head,
            last_page: is_at_end,
            ..page
        },
        Way::Up => {
            let newest_first = |mut list: Vec<Value>| {
                list.reverse();
                list
            };
            Page {
                txs: newest_first(page.txs),
                receipts: newest_first(page.receipts),
                first_page: is_at_end,
                last_page: from == 0,
            }
        }
    })
}

impl Search<'_> {
    fn page(&mut self, size: usize) -> Answer<Page> {
        let mut budget = Budget::start(self.context, None)?;
        let mut page = Page::default();
        while page.txs.len() < size {
            if budget.check_time().is_err() {
                // A page with something on it names the block to go on from.
                return if page.txs.is_empty() {
                    Err(self.out_of_time())
                } else {
                    Ok(page)
                };
            }
            let Some(height) = self.next_block()? else {
                self.next = None;
                break;
            };
            self.look_at(height, &mut page, &mut budget)?;
        }
        Ok(page)
    }

    fn out_of_time(&self) -> ErrorObjectOwned {
        let next = self.next.unwrap_or_default();
        let (name, resume) = match self.way {
            Way::Down => ("Before", next + 1),
            Way::Up => ("After", next.saturating_sub(1)),
        };
        errors::search_time_over(
            format!(
                "no transaction found in time: the search goes on with \
                 ots_searchTransactions{name} from block {resume}"
            ),
            resume,
        )
    }

    /// The next block to look at, and the one after it remembered.
    fn next_block(&mut self) -> Answer<Option<Height>> {
        let Some(next) = self.next else {
            return Ok(None);
        };
        let height = if self.is_plain {
            match self.next_known(Height(next))? {
                Some(height) => height,
                None => return Ok(None),
            }
        } else {
            Height(next)
        };
        let head = self.context.head().height.0;
        self.next = match self.way {
            Way::Down => height.0.checked_sub(1),
            Way::Up => Some(height.0 + 1).filter(|next| *next <= head),
        };
        Ok(Some(height))
    }

    fn next_known(&mut self, from: Height) -> Answer<Option<Height>> {
        if let Some(known) = self.known.next() {
            return Ok(Some(known));
        }
        let store = self.context.store();
        let known = match self.way {
            Way::Down => store.account_changes_down_from(self.address, from, CHANGES_AT_ONCE),
            Way::Up => store.account_changes_up_from(self.address, from, CHANGES_AT_ONCE),
        };
        self.known = known.map_err(errors::storage)?.into_iter();
        Ok(self.known.next())
    }

    /// Puts what a block has of the address on the page, in the order of the search.
    fn look_at(&self, height: Height, page: &mut Page, budget: &mut Budget) -> Answer<()> {
        let header = self.context.store().header_by_number(height);
        let header = header.map_err(errors::storage)?;
        if header.is_none_or(|header| header.gas_used == 0) {
            return Ok(());
        }
        let Some(block) = self.context.committed_uncached(height)? else {
            return Ok(());
        };
        let mut found = self.named_in(&block);
        let is_proposer = block.block.header().beneficiary == self.address;
        if found.is_empty() && self.is_plain && !is_proposer {
            // Coins came from within a contract.
            let touched =
                self.context
                    .trace_block(&block, &mut TouchTracer(self.address), budget)?;
            found = touched
                .iter()
                .enumerate()
                .filter(|(_, is_touched)| **is_touched)
                .map(|(index, _)| index)
                .collect();
        }
        let all: Vec<_> = if found.is_empty() {
            return Ok(());
        } else {
            convert::receipts(&block.block, &block.receipts)
        };
        let mut indices: Vec<usize> = found.into_iter().collect();
        if self.way == Way::Down {
            indices.reverse();
        }
        for index in indices {
            let shown = convert::transaction_of(&block.block, index);
            page.txs.push(serde_json::to_value(shown).map_err(fault)?);
            let mut receipt = serde_json::to_value(all.get(index)).map_err(fault)?;
            receipt["timestamp"] = json!(block.block.header().timestamp);
            page.receipts.push(receipt);
        }
        Ok(())
    }

    /// Transactions that name the address: as sender, receiver, creation, or where
    /// an event comes from.
    fn named_in(&self, block: &CommittedBlock) -> BTreeSet<usize> {
        let may_log = BloomInput::Raw(self.address.as_slice());
        let may_log = block.block.header().logs_bloom.contains_input(may_log);
        let of_receipts = block.receipts.iter();
        let all = block.block.transactions().zip(of_receipts).enumerate();
        all.filter(|(_, ((transaction, sender), receipt))| {
            let transaction: &Transaction = transaction;
            let created = || {
                let nonce = transaction.nonce();
                transaction.to().is_none() && sender.create(nonce) == self.address
            };
            *sender == self.address
                || transaction.to() == Some(self.address)
                || created()
                || may_log && receipt.logs.iter().any(|log| log.address == self.address)
        })
        .map(|(index, _)| index)
        .collect()
    }
}
