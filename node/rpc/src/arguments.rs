//! Reads the arguments of a call one by one, with geth's words where they do not fit.

use jsonrpsee::types::Params;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::errors::{Answer, invalid_params};

/// Positional arguments of one call. Those that nobody reads are ignored.
#[derive(Debug)]
pub(crate) struct Arguments {
    values: std::vec::IntoIter<Value>,
    read: usize,
}

impl Arguments {
    /// Takes the `params` of a request: an array, or nothing.
    pub(crate) fn of(params: &Params<'_>) -> Answer<Self> {
        let values: Option<Vec<Value>> = params
            .parse()
            .map_err(|_| invalid_params("non-array args"))?;
        Ok(Self {
            values: values.unwrap_or_default().into_iter(),
            read: 0,
        })
    }

    /// One argument, for a method that asks another.
    pub(crate) fn with(value: Value) -> Self {
        Self {
            values: vec![value].into_iter(),
            read: 0,
        }
    }

    /// The next argument, which must be there.
    pub(crate) fn required<T: DeserializeOwned>(&mut self) -> Answer<T> {
        let index = self.read;
        self.optional()?
            .ok_or_else(|| invalid_params(format!("missing value for required argument {index}")))
    }

    /// The next argument, which must be there, be it `null`.
    pub(crate) fn given<T: DeserializeOwned>(&mut self) -> Answer<Option<T>> {
        let index = self.read;
        if self.values.len() == 0 {
            let text = format!("missing value for required argument {index}");
            return Err(invalid_params(text));
        }
        self.optional()
    }

    /// The next argument; `null` and the end of the list count as none.
    pub(crate) fn optional<T: DeserializeOwned>(&mut self) -> Answer<Option<T>> {
        let index = self.read;
        self.read += 1;
        match self.values.next() {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|error| invalid_params(format!("invalid argument {index}: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Address;

    fn arguments(text: &'static str) -> Answer<Arguments> {
        Arguments::of(&Params::new(Some(text)))
    }

    #[test]
    fn missing_and_wrong_arguments_are_named_by_index() {
        let mut given = arguments(r#"[true]"#).unwrap();
        assert_eq!(given.required::<bool>(), Ok(true));
        let missing = given.required::<bool>().unwrap_err();
        assert_eq!(missing.message(), "missing value for required argument 1");
        let wrong = arguments(r#"["0x12"]"#)
            .unwrap()
            .required::<Address>()
            .unwrap_err();
        assert_eq!(wrong.code(), -32602);
        assert!(
            wrong.message().starts_with("invalid argument 0: "),
            "{}",
            wrong.message()
        );
    }

    #[test]
    fn null_counts_as_absent_and_objects_are_refused() {
        assert_eq!(arguments("[null]").unwrap().optional::<bool>(), Ok(None));
        assert_eq!(arguments("[null]").unwrap().given::<bool>(), Ok(None));
        let missing = arguments("[]").unwrap().given::<bool>().unwrap_err();
        assert_eq!(missing.message(), "missing value for required argument 0");
        assert_eq!(
            Arguments::of(&Params::new(None))
                .unwrap()
                .optional::<bool>(),
            Ok(None)
        );
        assert_eq!(arguments("{}").unwrap_err().message(), "non-array args");
    }
}
