//! Runs steps: measures each, shows it, writes it down.

use super::report::{Report, StepReport};
use crate::{
    errors::Outcome,
    output::{Output, number, table},
};
use alloy_primitives::B256;
use indicatif::{ProgressBar, ProgressStyle};
use medina_sdk::client::Receipt;
use std::{
    future::Future,
    time::{Duration, Instant},
};

/// A transaction of a step.
struct Sent {
    hash: B256,
    block: u64,
    gas: u64,
}

/// What a step did.
pub(crate) struct Done<T> {
    value: T,
    receipts: Vec<Sent>,
    note: String,
}

impl<T> Done<T> {
    /// Sent nothing.
    pub(crate) fn quiet(value: T, note: impl Into<String>) -> Self {
        Self {
            value,
            receipts: Vec::new(),
            note: note.into(),
        }
    }

    /// Sent these transactions.
    pub(crate) fn sent<'a>(
        value: T,
        receipts: impl IntoIterator<Item = &'a Receipt>,
        note: impl Into<String>,
    ) -> Self {
        let sent = |receipt: &Receipt| Sent {
            hash: receipt.hash,
            block: receipt.block,
            gas: receipt.gas_used,
        };
        let receipts = receipts.into_iter().map(sent).collect();
        Self {
            value,
            receipts,
            note: note.into(),
        }
    }
}

/// Where the story is told.
pub(crate) struct Stage {
    /// What happened so far.
    pub(crate) report: Report,
    output: Output,
    spinner: ProgressBar,
}

impl Stage {
    /// An empty stage.
    pub(crate) fn new(output: Output) -> Self {
        let spinner = if output.shows_progress() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            spinner.set_style(style);
        }
        spinner.enable_steady_tick(Duration::from_millis(100));
        Self {
            report: Report::default(),
            output,
            spinner,
        }
    }

    /// Something worth saying between steps.
    pub(crate) fn say(&self, text: impl AsRef<str>) {
        self.spinner.suspend(|| self.output.note(text));
    }

    /// Runs one step.
    pub(crate) async fn step<T>(
        &mut self,
        name: &str,
        work: impl Future<Output = Outcome<Done<T>>>,
    ) -> Outcome<T> {
        self.spinner.reset_elapsed();
        self.spinner.set_message(name.to_owned());
        let started = Instant::now();
        let outcome = work.await;
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (ok, receipts, note) = match &outcome {
            Ok(done) => (true, done.receipts.as_slice(), done.note.clone()),
            Err(failure) => (false, [].as_slice(), failure.to_string()),
        };
        let gas = (!receipts.is_empty()).then(|| receipts.iter().map(|sent| sent.gas).sum());
        let last = receipts.last();
        let (tx, block) = (last.map(|sent| sent.hash), last.map(|sent| sent.block));
        let step = StepReport {
            name: name.to_owned(),
            ok,
            ms,
            gas,
            tx,
            block,
            note,
        };
        let mark = if ok { "ok  " } else { "FAIL" };
        self.say(format!("{mark} {name}: {} ({ms} ms)", step.note));
        self.report.steps.push(step);
        outcome
            .map(|done| done.value)
            .map_err(|failure| failure.during(name))
    }

    /// No more steps.
    pub(crate) fn close(&self) {
        self.spinner.finish_and_clear();
    }
}

/// All steps in a table.
pub(crate) fn steps_table(report: &Report) -> String {
    let mut rows = table(&["step", "held", "ms", "block", "gas", "transaction"]);
    for step in &report.steps {
        rows.add_row([
            step.name.clone().into(),
            if step.ok { "yes" } else { "NO" }.into(),
            number(step.ms),
            number(
                step.block
                    .map(|block| block.to_string())
                    .unwrap_or_default(),
            ),
            number(step.gas.map(|gas| gas.to_string()).unwrap_or_default()),
            step.tx.map(short).unwrap_or_default().into(),
        ]);
    }
    let total = |count: fn(&StepReport) -> u64| report.steps.iter().map(count).sum::<u64>();
    rows.add_row([
        "together".into(),
        if report.is_ok() { "yes" } else { "NO" }.into(),
        number(total(|step| step.ms)),
        "".into(),
        number(total(|step| step.gas.unwrap_or(0))),
        "".into(),
    ]);
    rows.to_string()
}

/// The ends of a hash.
pub(crate) fn short(hash: B256) -> String {
    let text = hash.to_string();
    format!("{}…{}", &text[..10], &text[text.len() - 4..])
}
