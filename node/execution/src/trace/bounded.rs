//! An inspector that stops the machine when time or memory is used up.
//!
//! What the inspector inside remembers of a step, a frame or an event is
//! reckoned before it does, since some of it grows with the square of the gas:
//! a copy of the memory at every step, of the input at every call.

use super::TraceError;
use alloy_primitives::{Address, Log, U256};
use revm::{
    Inspector,
    bytecode::opcode,
    context::ContextTr,
    context_interface::context::ContextError,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, FrameInput, Interpreter,
        interpreter::EthInterpreter,
        interpreter_types::{InputsTr, Jumps, LoopControl, MemoryTr},
    },
};
use std::{collections::BTreeSet, time::Instant};

/// Steps between two looks at the clock.
const STEPS_PER_LOOK: u64 = 1_024;
/// What one remembered step, frame or event takes beside its data.
const RECORD_BYTES: usize = 256;
/// A word of the stack, as remembered.
const WORD_BYTES: usize = 32;
/// A slot of a storage listing, as remembered.
const SLOT_BYTES: usize = 64;

/// What an inspector remembers of every step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepRecord {
    /// The whole stack.
    pub stack: bool,
    /// The whole memory.
    pub memory: bool,
    /// All slots of the frame so far, at each access to one.
    pub storage: bool,
    /// The data returned by the last call.
    pub return_data: bool,
    /// Steps after which it remembers no more.
    pub steps_max: Option<u64>,
}

/// How long one trace may take, and how much memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceBounds {
    /// When the time is over.
    pub deadline: Instant,
    /// Bytes that the inspector may remember.
    pub bytes_max: usize,
    /// What it remembers of steps; `None`: nothing.
    pub steps: Option<StepRecord>,
}

/// Which bound was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passed {
    Time,
    Memory,
}

/// An inspector within bounds.
#[derive(Debug)]
pub(crate) struct Bounded<I> {
    pub(crate) inner: I,
    bounds: TraceBounds,
    steps: u64,
    bytes: usize,
    slots: BTreeSet<(Address, U256)>,
    passed: Option<Passed>,
}

impl<I> Bounded<I> {
    pub(crate) fn new(inner: I, bounds: TraceBounds) -> Self {
        Self {
            inner,
            bounds,
            steps: 0,
            bytes: 0,
            slots: BTreeSet::new(),
            passed: None,
        }
    }

    /// Why the machine was stopped, if it was by us.
    pub(crate) fn passed(&self) -> Option<TraceError> {
        self.passed.map(|passed| match passed {
            Passed::Time => TraceError::Timeout,
            Passed::Memory => TraceError::TooLarge(self.bounds.bytes_max),
        })
    }

    fn look_at_clock(&mut self) {
        if self.passed.is_none() && Instant::now() >= self.bounds.deadline {
            self.passed = Some(Passed::Time);
        }
    }

    fn reckon(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.passed.is_none() && self.bytes > self.bounds.bytes_max {
            self.passed = Some(Passed::Memory);
        }
    }

    fn reckon_step(&mut self, interpreter: &Interpreter<EthInterpreter>) {
        let Some(record) = self.bounds.steps else {
            return;
        };
        if record.steps_max.is_some_and(|max| self.steps > max) {
            return;
        }
        let mut bytes = RECORD_BYTES;
        if record.stack {
            bytes += WORD_BYTES * interpreter.stack.len();
        }
        if record.memory {
            bytes += interpreter.memory.size();
        }
        if record.return_data {
            bytes += interpreter.return_data.0.len();
        }
        if record.storage {
            bytes += self.storage_bytes(interpreter);
        }
        self.reckon(bytes);
    }

    /// What listing the storage takes, where this step does.
    fn storage_bytes(&mut self, interpreter: &Interpreter<EthInterpreter>) -> usize {
        let accesses = [opcode::SLOAD, opcode::SSTORE];
        if !accesses.contains(&interpreter.bytecode.opcode()) {
            return 0;
        }
        if let Some(key) = interpreter.stack.data().last() {
            let address = interpreter.input.target_address();
            self.slots.insert((address, *key));
        }
        SLOT_BYTES * self.slots.len()
    }

    /// Leaves the machine with an error, once a bound was passed.
    fn stop<CTX: ContextTr>(&self, context: &mut CTX) {
        if self.passed.is_some() && context.error().is_ok() {
            let text = "a bound of the trace was passed".to_owned();
            *context.error() = Err(ContextError::Custom(text));
        }
    }
}

impl<CTX: ContextTr, I: Inspector<CTX>> Inspector<CTX> for Bounded<I> {
    fn initialize_interp(
        &mut self,
        interpreter: &mut Interpreter<EthInterpreter>,
        context: &mut CTX,
    ) {
        self.inner.initialize_interp(interpreter, context);
    }

    fn step(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut CTX) {
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS_PER_LOOK) {
            self.look_at_clock();
        }
        self.reckon_step(interpreter);
        self.inner.step(interpreter, context);
        if self.passed.is_some() {
            self.stop(context);
            interpreter.bytecode.reset_action();
            interpreter.halt_fatal();
        }
    }

    fn step_end(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut CTX) {
        self.inner.step_end(interpreter, context);
    }

    fn log(&mut self, context: &mut CTX, log: Log) {
        self.reckon(RECORD_BYTES + log.data.data.len());
        self.inner.log(context, log);
    }

    fn log_full(
        &mut self,
        interpreter: &mut Interpreter<EthInterpreter>,
        context: &mut CTX,
        log: Log,
    ) {
        self.reckon(RECORD_BYTES + log.data.data.len());
        self.inner.log_full(interpreter, context, log);
    }

    fn frame_start(
        &mut self,
        context: &mut CTX,
        frame: &mut FrameInput,
    ) -> Option<revm::handler::FrameResult> {
        self.inner.frame_start(context, frame)
    }

    fn frame_end(
        &mut self,
        context: &mut CTX,
        frame: &FrameInput,
        result: &mut revm::handler::FrameResult,
    ) {
        self.inner.frame_end(context, frame, result);
    }

    fn call(&mut self, context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.look_at_clock();
        self.reckon(2 * RECORD_BYTES + inputs.input.len());
        self.stop(context);
        self.inner.call(context, inputs)
    }

    fn call_end(&mut self, context: &mut CTX, inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.reckon(outcome.result.output.len());
        self.inner.call_end(context, inputs, outcome);
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.look_at_clock();
        self.reckon(2 * RECORD_BYTES + inputs.init_code().len());
        self.stop(context);
        self.inner.create(context, inputs)
    }

    fn create_end(
        &mut self,
        context: &mut CTX,
        inputs: &CreateInputs,
        outcome: &mut CreateOutcome,
    ) {
        self.reckon(outcome.result.output.len());
        self.inner.create_end(context, inputs, outcome);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.reckon(RECORD_BYTES);
        self.inner.selfdestruct(contract, target, value);
    }
}
