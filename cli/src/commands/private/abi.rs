//! Functions and arguments as people write them: `priceOf(bytes32)(uint256) 0x…`.
//!
//! | Written | Means |
//! |---|---|
//! | `0x…` | the data themselves |
//! | `set(bytes32,uint256)` | a function and the types of its arguments |
//! | `priceOf(bytes32)(uint256)` | and of what it returns; `returns (uint256)` does too |
//!
//! Arrays are written `[1,2]`, tuples `(1,2)`; a text is what it is.

use crate::{
    commands::{read_bytes, read_text},
    errors::{Failure, Outcome},
};
use alloy_dyn_abi::{DynSolType, DynSolValue, FunctionExt as _, JsonAbiExt as _, Specifier as _};
use alloy_json_abi::{Constructor, Function, Param};
use alloy_primitives::{Bytes, hex};
use serde_json::{Value, json};
use std::path::Path;

/// Bytes of a file with a compiled contract.
const ARTIFACT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What is called, as it was written.
#[derive(Debug)]
pub(super) enum Call {
    /// Data that are sent as they are.
    Raw(Bytes),
    /// A function whose answer can be read.
    Function(Box<Function>, Bytes),
}

impl Call {
    /// Reads a function with its arguments.
    pub(super) fn read(function: &str, arguments: &[String]) -> Outcome<Self> {
        if let Some(digits) = function.strip_prefix("0x") {
            if !arguments.is_empty() {
                return Err(Failure::new("data in hex take no arguments"));
            }
            let bytes = hex::decode(digits)
                .map_err(|error| Failure::new(format!("{function:?} is no data: {error}")))?;
            return Ok(Self::Raw(bytes.into()));
        }
        let written = function.replace(")(", ") returns (");
        let parsed = Function::parse(&written).map_err(|error| {
            Failure::new(format!("{function:?} is no function: {error}")).hint(
                "write its name, the types of its arguments and of what it returns: \
                 \"priceOf(bytes32)(uint256)\"",
            )
        })?;
        let values = values(&parsed.inputs, arguments)?;
        let input = parsed.abi_encode_input(&values)?;
        Ok(Self::Function(Box::new(parsed), input.into()))
    }

    /// What is sent.
    pub(super) fn data(&self) -> Bytes {
        match self {
            Self::Raw(data) | Self::Function(_, data) => data.clone(),
        }
    }

    /// What came back, one value per thing that the function returns.
    pub(super) fn answer(&self, output: &Bytes) -> Outcome<Value> {
        match self {
            Self::Raw(_) => Ok(json!(output)),
            Self::Function(function, _) if function.outputs.is_empty() => Ok(json!(output)),
            Self::Function(function, _) => {
                let wrong = |error| {
                    Failure::new(format!("the contract answered {output}: {error}"))
                        .hint("is the function's type right, and the contract of this group?")
                };
                let found = function.abi_decode_output(output).map_err(wrong)?;
                let shown: Vec<_> = found.iter().map(shown).collect();
                Ok(match <[Value; 1]>::try_from(shown) {
                    Ok([only]) => only,
                    Err(several) => json!(several),
                })
            }
        }
    }
}

/// Creation code with its arguments: hex, a file of hex, or a compiler's JSON, whose ABI knows the
/// arguments' types.
pub(super) fn init_code(
    code: &str,
    constructor: Option<&str>,
    arguments: &[String],
) -> Outcome<Bytes> {
    let (code, own) = if code.starts_with("0x") {
        (code_of(code)?, None)
    } else {
        file_code(Path::new(code))?
    };
    let given = constructor.map(parse_constructor).transpose()?;
    let inputs = given.or(own).unwrap_or_default();
    let values = values(&inputs, arguments)?;
    let constructor = Constructor {
        inputs,
        state_mutability: alloy_json_abi::StateMutability::NonPayable,
    };
    let encoded = constructor.abi_encode_input_raw(&values)?;
    Ok([code.as_ref(), &encoded].concat().into())
}

fn parse_constructor(text: &str) -> Outcome<Vec<Param>> {
    let whole = if text.trim_start().starts_with("constructor") {
        text.to_owned()
    } else {
        format!("constructor{}", text.trim())
    };
    let parsed = Constructor::parse(&whole).map_err(|error| {
        Failure::new(format!("{text:?} is no constructor: {error}"))
            .hint("write the types of its arguments: \"(uint256,address)\"")
    })?;
    Ok(parsed.inputs)
}

fn code_of(text: &str) -> Outcome<Bytes> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let code = hex::decode(digits)
        .map_err(|error| Failure::new(format!("this is no contract's code: {error}")))?;
    if code.is_empty() {
        return Err(Failure::new("there is no code: is it an interface?"));
    }
    Ok(code.into())
}

/// Code of a file, and the constructor's arguments where the file tells them.
fn file_code(path: &Path) -> Outcome<(Bytes, Option<Vec<Param>>)> {
    let is_text = read_bytes(path, ARTIFACT_BYTES_MAX)?.is_ascii();
    let during = |failure: Failure| failure.during(path.display());
    if !is_text {
        return Err(during(Failure::new(
            "expected hexadecimal code or a compiler's JSON",
        )));
    }
    let text = read_text(path, ARTIFACT_BYTES_MAX)?;
    // Code without letters would be a number in JSON.
    if !text.trim_start().starts_with('{') {
        return Ok((code_of(&text).map_err(during)?, None));
    }
    let json: Value = serde_json::from_str(&text).map_err(|error| during(Failure::from(error)))?;
    // solc and Foundry nest it, Hardhat and this repository do not.
    let bytecode = [
        "/bytecode",
        "/bytecode/object",
        "/evm/bytecode/object",
        "/data/bytecode/object",
    ];
    let found = bytecode
        .iter()
        .find_map(|place| json.pointer(place)?.as_str());
    let found = found.ok_or_else(|| during(Failure::new("this JSON has no bytecode")))?;
    let abi = json["abi"].as_array().into_iter().flatten();
    let constructor = abi
        .filter(|entry| entry["type"] == "constructor")
        .find_map(|entry| serde_json::from_value::<Vec<Param>>(entry["inputs"].clone()).ok());
    Ok((
        code_of(found).map_err(during)?,
        Some(constructor.unwrap_or_default()),
    ))
}

fn values(inputs: &[Param], arguments: &[String]) -> Outcome<Vec<DynSolValue>> {
    if inputs.len() != arguments.len() {
        let types: Vec<_> = inputs.iter().map(|input| input.ty.as_str()).collect();
        return Err(Failure::new(format!(
            "{} arguments are given, the function takes ({})",
            arguments.len(),
            types.join(",")
        )));
    }
    let read = |(input, argument): (&Param, &String)| {
        let kind: DynSolType = input.resolve()?;
        // Texts stand as they are, also with brackets and commas in them.
        if kind == DynSolType::String {
            return Ok(DynSolValue::String(argument.clone()));
        }
        kind.coerce_str(argument)
            .map_err(|error| Failure::new(format!("{argument:?} is no {}: {error}", input.ty)))
    };
    inputs.iter().zip(arguments).map(read).collect()
}

/// A value as people and programs read it: numbers in decimals, as text, because JSON's end at 2^53.
fn shown(value: &DynSolValue) -> Value {
    match value {
        DynSolValue::Bool(is) => json!(is),
        DynSolValue::Int(number, _) => json!(number.to_string()),
        DynSolValue::Uint(number, _) => json!(number.to_string()),
        DynSolValue::FixedBytes(word, size) => {
            json!(format!("0x{}", hex::encode(&word[..(*size).min(32)])))
        }
        DynSolValue::Address(address) => json!(address),
        DynSolValue::Function(function) => json!(function.to_string()),
        DynSolValue::Bytes(bytes) => json!(format!("0x{}", hex::encode(bytes))),
        DynSolValue::String(text) => json!(text),
        DynSolValue::Array(values)
        | DynSolValue::FixedArray(values)
        | DynSolValue::Tuple(values) => values.iter().map(shown).collect(),
        other => json!(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn functions_are_written_in_three_ways() {
        for text in [
            "balanceOf(address)(uint256)",
            "balanceOf(address) returns (uint256)",
            "function balanceOf(address owner) view returns (uint256)",
        ] {
            let arguments = words(&["0x00000000000000000000000000000000000000aa"]);
            let call = Call::read(text, &arguments).expect("a function");
            let data = call.data();
            assert_eq!(data[..4], [0x70, 0xa0, 0x82, 0x31], "{text}");
            assert_eq!((data.len(), data[35]), (36, 0xaa));
            let output = Bytes::from([&[0_u8; 31][..], &[7]].concat());
            assert_eq!(call.answer(&output).expect("a number"), "7");
            assert!(call.answer(&Bytes::new()).is_err());
        }
        let raw = Call::read("0x70a08231", &[]).expect("data");
        assert_eq!(raw.data().len(), 4);
        assert!(Call::read("0x70a08231", &words(&["1"])).is_err());
        assert!(Call::read("no function", &[]).is_err());
        assert!(Call::read("f(uint256)", &[]).is_err());
        assert!(Call::read("f(uint256)", &words(&["much"])).is_err());
    }

    #[test]
    fn texts_arrays_and_tuples_are_arguments() {
        let call = Call::read(
            "f(string,uint256[],(bool,bytes32))",
            &words(&[
                "a, [b] (c)",
                "[1,2]",
                &format!("(true,0x{})", "11".repeat(32)),
            ]),
        );
        let Call::Function(function, data) = call.expect("a call") else {
            panic!("a function");
        };
        let read = function.abi_decode_input(&data[4..]).expect("decodes");
        assert_eq!(shown(&read[0]), "a, [b] (c)");
        assert_eq!(shown(&read[1]), json!(["1", "2"]));
        assert_eq!(
            shown(&read[2]),
            json!([true, format!("0x{}", "11".repeat(32))])
        );
    }

    #[test]
    fn code_is_hex_or_a_compilers_file() {
        let arguments = words(&["5"]);
        let code = init_code("0x6000", Some("(uint256)"), &arguments).expect("code");
        assert_eq!((code.len(), code[33]), (34, 5));
        assert!(init_code("0x", None, &[]).is_err());
        assert!(init_code("0x6000", None, &arguments).is_err());
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("Store.json");
        let artifact = json!({
            "abi": [{ "type": "constructor", "inputs": [{ "name": "x", "type": "uint256" }] }],
            "bytecode": { "object": "0x6000" },
        });
        std::fs::write(&path, artifact.to_string()).expect("written");
        let name = path.to_str().expect("a plain name");
        assert_eq!(init_code(name, None, &arguments).expect("code"), code);
        let hex = folder.path().join("Store.hex");
        std::fs::write(&hex, "6000\n").expect("written");
        let name = hex.to_str().expect("a plain name");
        assert_eq!(init_code(name, None, &[]).expect("code").len(), 2);
    }
}
