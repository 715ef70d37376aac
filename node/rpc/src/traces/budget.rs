//! What one tracing request may take: time, memory and bytes of the answer.

use jsonrpsee::types::ErrorObjectOwned;
use medina_execution::{StepRecord, TraceBounds};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    context::Context,
    errors::{Answer, fault, invalid_params, limit_exceeded, server},
};

/// Bytes that a tracer may remember of one transaction, in bytes of the answer:
/// a word of the stack takes 32 bytes, and few characters once written.
const MEMORY_PER_ANSWER_BYTE: usize = 2;
/// Bytes of the answer around the traces themselves.
const ENVELOPE_BYTES: usize = 1_024;

/// What is left of a request's means.
#[derive(Debug)]
pub(crate) struct Budget {
    deadline: Instant,
    answer_bytes_max: usize,
    answer_bytes_left: usize,
}

impl Budget {
    /// Starts the clock; `timeout` as Go writes durations.
    pub(crate) fn start(context: &Context, timeout: Option<&str>) -> Answer<Self> {
        let time = timeout.map_or(Ok(context.config.trace_time), |text| {
            let asked = go_duration(text);
            asked.ok_or_else(|| invalid_params(format!("time: invalid duration {text:?}")))
        })?;
        let bytes = context.config.response_bytes_max as usize;
        Ok(Self {
            deadline: Instant::now() + time.min(context.config.trace_time_max),
            answer_bytes_max: bytes,
            answer_bytes_left: bytes.saturating_sub(ENVELOPE_BYTES),
        })
    }

    /// Bounds of one transaction's trace.
    pub(crate) fn bounds(&self, steps: Option<StepRecord>) -> TraceBounds {
        TraceBounds {
            deadline: self.deadline,
            bytes_max: self.memory_bytes(),
            steps,
        }
    }

    /// Bytes that a tracer may remember of one transaction.
    pub(crate) fn memory_bytes(&self) -> usize {
        MEMORY_PER_ANSWER_BYTE * self.answer_bytes_max
    }

    /// Between transactions.
    pub(crate) fn check_time(&self) -> Answer<()> {
        if Instant::now() < self.deadline {
            Ok(())
        } else {
            Err(timeout())
        }
    }

    /// Writes a part of the answer while there is room for it.
    pub(crate) fn write(&mut self, value: &impl Serialize) -> Answer<Box<RawValue>> {
        let mut room = Room {
            bytes: Vec::new(),
            left: self.answer_bytes_left,
            is_full: false,
        };
        let written = serde_json::to_writer(&mut room, value);
        if room.is_full {
            return Err(self.too_large());
        }
        written.map_err(fault)?;
        // A comma, or what else stands between two parts.
        self.answer_bytes_left = room.left.saturating_sub(1);
        let text = String::from_utf8(room.bytes).map_err(fault)?;
        RawValue::from_string(text).map_err(fault)
    }

    pub(crate) fn too_large(&self) -> ErrorObjectOwned {
        limit_exceeded(format!(
            "the trace exceeds {} bytes; trace single transactions, or with fewer details",
            self.answer_bytes_max
        ))
    }
}

/// geth's words for a trace that takes too long.
pub(crate) fn timeout() -> ErrorObjectOwned {
    server("execution timeout")
}

/// A writer that refuses what does not fit.
struct Room {
    bytes: Vec<u8>,
    left: usize,
    is_full: bool,
}

impl io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(left) = self.left.checked_sub(bytes.len()) else {
            self.is_full = true;
            return Err(io::ErrorKind::StorageFull.into());
        };
        self.left = left;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a duration as Go writes it, such as `1m30s` or `1.5s`.
fn go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let unit_at = rest.find(|sign: char| !sign.is_ascii_digit() && sign != '.')?;
        let (number, tail) = rest.split_at(unit_at);
        let next = tail.find(|sign: char| sign.is_ascii_digit() || sign == '.');
        let (unit, tail) = tail.split_at(next.unwrap_or(tail.len()));
        seconds += number.parse::<f64>().ok()? * unit_seconds(unit)?;
        rest = tail;
    }
    (!text.is_empty())
        .then(|| Duration::try_from_secs_f64(seconds).ok())
        .flatten()
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        let table = [
            ("5s", Some(5_000)),
            ("300ms", Some(300)),
            ("1m30s", Some(90_000)),
            ("1.5s", Some(1_500)),
            ("0", Some(0)),
            ("1h", Some(3_600_000)),
            ("", None),
            ("5", None),
            ("s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("5 s", None),
            ("1e400s", None),
        ];
        for (text, milliseconds) in table {
            let expected = milliseconds.map(Duration::from_millis);
            assert_eq!(go_duration(text), expected, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_whole() {
        let mut budget = Budget {
            deadline: Instant::now(),
            answer_bytes_max: 8,
            answer_bytes_left: 8,
        };
        assert_eq!(budget.write(&"abc").unwrap().get(), "\"abc\"");
        let refused = budget.write(&"abc").unwrap_err();
        assert_eq!(refused.code(), -32005);
        assert_eq!(budget.write(&1).unwrap().get(), "1");
    }
}
