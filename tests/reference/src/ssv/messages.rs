//! SSV's messages: who signed, what it says.

use super::bytes::{Container, ReadError, base64, list};
use serde_json::Value;

/// A message with its signers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) signers: Vec<u64>,
    /// 0 proposal, 1 prepare, 2 commit, 3 round change.
    pub(super) kind: u64,
    pub(super) height: u64,
    pub(super) round: u64,
    /// Hash of the value.
    pub(super) root: [u8; 32],
    /// Round in which it was prepared; 0 for never.
    pub(super) prepared_round: u64,
    pub(super) round_changes: Vec<Message>,
    pub(super) prepares: Vec<Message>,
    /// The value itself, in proposals and prepared round changes.
    pub(super) value: Vec<u8>,
}

/// Messages quoted in messages quoted in messages: no honest one goes deeper.
const DEPTH_MAX: usize = 3;

impl Message {
    /// From the JSON of a signed message.
    pub(super) fn from_json(json: &Value) -> Result<Self, ReadError> {
        let signers = json["OperatorIDs"].as_array().map(Vec::as_slice);
        let signers = signers.unwrap_or_default().iter();
        let data = json["SSVMessage"]["Data"].as_str().ok_or(ReadError)?;
        let mut message = Self::from_data(&base64(data)?, DEPTH_MAX)?;
        message.signers = signers.filter_map(Value::as_u64).collect();
        message.value = base64(json["FullData"].as_str().unwrap_or_default())?;
        Ok(message)
    }

    /// From the JSON of a list of signed messages.
    pub(super) fn list_from_json(json: &Value) -> Result<Vec<Self>, ReadError> {
        let list = json.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().map(Self::from_json).collect()
    }

    fn from_data(data: &[u8], depth: usize) -> Result<Self, ReadError> {
        let mut fields = Container::new(data);
        let (kind, height, round) = (fields.number()?, fields.number()?, fields.number()?);
        let _identifier = fields.offset()?;
        let root = fields.fixed(32)?.try_into().map_err(|_| ReadError)?;
        let prepared_round = fields.number()?;
        let (changes, prepares) = (fields.offset()?, fields.offset()?);
        let quoted = |bytes| -> Result<Vec<Self>, ReadError> {
            let depth = depth.checked_sub(1).ok_or(ReadError)?;
            let items = list(bytes)?.into_iter();
            items.map(|item| Self::from_signed(item, depth)).collect()
        };
        Ok(Self {
            signers: Vec::new(),
            kind,
            height,
            round,
            root,
            prepared_round,
            round_changes: quoted(fields.field(changes, Some(prepares))?)?,
            prepares: quoted(fields.field(prepares, None)?)?,
            value: Vec::new(),
        })
    }

    fn from_signed(bytes: &[u8], depth: usize) -> Result<Self, ReadError> {
        let mut fields = Container::new(bytes);
        let _signatures = fields.offset()?;
        let (signers, inner, value) = (fields.offset()?, fields.offset()?, fields.offset()?);
        let mut message = Container::new(fields.field(inner, Some(value))?);
        let (_kind, _id) = (message.number()?, message.fixed(56)?);
        let data = message.offset()?;
        let mut decoded = Self::from_data(message.field(data, None)?, depth)?;
        let signers = fields.field(signers, Some(inner))?.chunks_exact(8);
        decoded.signers = signers
            .map(|chunk| {
                chunk
                    .iter()
                    .rev()
                    .fold(0, |id, byte| id << 8 | u64::from(*byte))
            })
            .collect();
        decoded.value = fields.field(value, None)?.to_vec();
        Ok(decoded)
    }
}
