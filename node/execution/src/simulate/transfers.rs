//! Logs of a call in order, sent value told as logs (ERC-7528) if asked for.
//!
//! What a frame logged is forgotten when it fails, as are its transfers.

use alloy_primitives::{Address, B256, Log, LogData, U256, address, b256};
use revm::{
    Inspector,
    context::ContextTr,
    interpreter::{CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome},
};

/// Emitter of told transfers.
const ETHER: Address = address!("0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
/// keccak of `Transfer(address,address,uint256)`.
const TRANSFER: B256 = b256!("0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// Collects the logs of one call.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    is_told: bool,
    /// Logs of the open frames, the innermost last.
    frames: Vec<Vec<Log>>,
    /// Logs of the outermost frame, once it is closed.
    done: Vec<Log>,
}

impl Transfers {
    pub(super) fn new(is_told: bool) -> Self {
        Self {
            is_told,
            ..Self::default()
        }
    }

    /// What the call left behind.
    pub(super) fn into_logs(self) -> Vec<Log> {
        self.done
    }

    fn open(&mut self) {
        self.frames.push(Vec::new());
    }

    fn close(&mut self, succeeded: bool) {
        let mut logs = self.frames.pop().unwrap_or_default();
        if !succeeded {
            logs.clear();
        }
        match self.frames.last_mut() {
            Some(outer) => outer.append(&mut logs),
            None => self.done = logs,
        }
    }

    fn add(&mut self, log: Log) {
        if let Some(frame) = self.frames.last_mut() {
            frame.push(log);
        }
    }

    fn tell(&mut self, from: Address, to: Address, value: U256) {
        if self.is_told && !value.is_zero() {
            let topics = vec![TRANSFER, from.into_word(), to.into_word()];
            let data = LogData::new_unchecked(topics, value.to_be_bytes::<32>().into());
            let address = ETHER;
            self.add(Log { address, data });
        }
    }
}

impl<CTX: ContextTr> Inspector<CTX> for Transfers {
    fn log(&mut self, _: &mut CTX, log: Log) {
        self.add(log);
    }

    fn call(&mut self, _: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.open();
        if inputs.scheme == CallScheme::Call {
            let value = inputs.value.transfer().unwrap_or_default();
            self.tell(inputs.caller, inputs.target_address, value);
        }
        None
    }

    fn call_end(&mut self, _: &mut CTX, _: &CallInputs, outcome: &mut CallOutcome) {
        self.close(outcome.result.result.is_ok());
    }

    fn create(&mut self, _: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.open();
        // Where it will be is known at its end.
        self.tell(inputs.caller(), Address::ZERO, inputs.value());
        None
    }

    fn create_end(&mut self, _: &mut CTX, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        let first = self.frames.last_mut().and_then(|frame| frame.first_mut());
        if self.is_told
            && !inputs.value().is_zero()
            && let (Some(first), Some(created)) = (first, outcome.address)
            && let Some(to) = first.data.topics_mut_unchecked().get_mut(2)
        {
            *to = created.into_word();
        }
        self.close(outcome.result.result.is_ok());
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.tell(contract, target, value);
    }
}
