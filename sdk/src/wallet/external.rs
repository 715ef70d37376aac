//! Keys that are kept elsewhere: a hardware wallet, a signing service, a person with a card.
//!
//! An [`ExternalSigner`] is told what it signs, not only a hash, so that it can show it and refuse
//! it. Whatever it answers is checked: a signature of another key never leaves this crate.
//! [`CommandSigner`] asks a program, which is how any device with a command-line tool is used.

use std::fmt;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_primitives::{Address, B256, Signature, eip191_hash_message, hex, keccak256};
use serde_json::{Value, json};

use super::WalletError;
use crate::limits::EXTERNAL_ANSWER_BYTES_MAX;

/// What is to be signed.
#[derive(Debug, Clone, Copy)]
pub enum SigningRequest<'a> {
    /// An EIP-1559 transaction.
    Transaction(&'a TxEip1559),
    /// A message as `personal_sign` takes it (EIP-191).
    Message(&'a [u8]),
    /// A struct of a contract's (EIP-712).
    TypedData(&'a TypedRequest),
    /// A hash by a rule the caller answers for.
    Hash(B256),
}

/// A struct of a contract's as devices take it: hashes, and what they are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedRequest {
    /// Hash of the domain.
    pub domain_separator: B256,
    /// Hash of the struct.
    pub struct_hash: B256,
    /// The struct's type as EIP-712 encodes it, such as `UnitVoucher(uint256 order,uint64 cumulative)`.
    pub type_text: String,
    /// The encoded members, 32 bytes each.
    pub members: Vec<u8>,
}

impl TypedRequest {
    /// The hash that is signed.
    pub fn digest(&self) -> B256 {
        let parts = [
            &[0x19, 0x01],
            self.domain_separator.as_slice(),
            self.struct_hash.as_slice(),
        ];
        keccak256(parts.concat())
    }
}

impl SigningRequest<'_> {
    /// The 32 bytes that the signature is over.
    pub fn digest(&self) -> B256 {
        match self {
            Self::Transaction(transaction) => transaction.signature_hash(),
            Self::Message(message) => eip191_hash_message(message),
            Self::TypedData(typed) => typed.digest(),
            Self::Hash(hash) => *hash,
        }
    }

    /// The request as one JSON object, for programs.
    pub fn to_json(&self) -> Value {
        let mut value = match self {
            Self::Transaction(transaction) => json!({
                "kind": "transaction",
                "unsigned": hex::encode_prefixed(transaction.encoded_for_signing()),
                "chainId": transaction.chain_id,
                "nonce": transaction.nonce,
                "to": transaction.to.to(),
                "input": transaction.input,
                "gasLimit": transaction.gas_limit,
                "maxFeePerGas": transaction.max_fee_per_gas.to_string(),
            }),
            Self::Message(message) => json!({
                "kind": "message",
                "message": hex::encode_prefixed(message),
            }),
            Self::TypedData(typed) => json!({
                "kind": "typedData",
                "domainSeparator": typed.domain_separator,
                "structHash": typed.struct_hash,
                "type": typed.type_text,
                "members": hex::encode_prefixed(&typed.members),
            }),
            Self::Hash(_) => json!({ "kind": "hash" }),
        };
        value["digest"] = json!(self.digest());
        value
    }
}

/// Holds a key that this process never sees.
///
/// ```
/// use medina_sdk::wallet::{Account, ExternalSigner, SigningRequest, WalletError};
/// use alloy_primitives::{Address, Signature};
///
/// /// Stands for a device: here the key is in memory.
/// #[derive(Debug)]
/// struct Device(Account);
///
/// impl ExternalSigner for Device {
///     fn address(&self) -> Address {
///         self.0.address()
///     }
///     fn sign(&self, request: &SigningRequest<'_>) -> Result<Signature, WalletError> {
///         // A real device shows `request` and waits for a button.
///         self.0.sign_hash(request.digest())
///     }
/// }
///
/// let device = Device(Account::random()?);
/// let account = Account::external(device);
/// let signature = account.sign_message(b"hello")?;
/// assert_eq!(
///     medina_sdk::wallet::recover_message(b"hello", &signature.as_bytes())?,
///     account.address(),
/// );
/// # Ok::<(), WalletError>(())
/// ```
pub trait ExternalSigner: fmt::Debug + Send + Sync {
    /// Whose signatures it makes.
    fn address(&self) -> Address;

    /// Signs, or says why not. May take as long as a person needs.
    fn sign(&self, request: &SigningRequest<'_>) -> Result<Signature, WalletError>;
}

/// Signs by asking a program: the request goes to its standard input as one line of JSON, the
/// 65-byte signature comes back in hex on its standard output.
#[derive(Debug, Clone)]
pub struct CommandSigner {
    program: Program,
    address: Address,
}

/// A program that answers one line with one.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    name: String,
    arguments: Vec<String>,
}

impl CommandSigner {
    /// A command line, split at white space, that signs for `address`.
    pub fn new(command: &str, address: Address) -> Result<Self, WalletError> {
        let program = Program::new(command)?;
        Ok(Self { program, address })
    }
}

impl Program {
    /// A command line, split at white space.
    pub(crate) fn new(command: &str) -> Result<Self, WalletError> {
        let mut words = command.split_whitespace().map(str::to_owned);
        let name = words
            .next()
            .ok_or_else(|| WalletError::External("no program was named".into()))?;
        Ok(Self {
            name,
            arguments: words.collect(),
        })
    }

    pub(crate) fn failed(&self, reason: impl fmt::Display) -> WalletError {
        WalletError::External(format!("{}: {reason}", self.name))
    }

    /// What it answers to a request to sign.
    pub(crate) fn ask(&self, request: &Value) -> Result<String, WalletError> {
        let (is_done, answer) = self
            .run(&format!("{request}\n"))
            .map_err(|error| self.failed(error))?;
        if is_done {
            Ok(answer)
        } else {
            Err(self.failed("it refused to sign"))
        }
    }

    fn run(&self, line: &str) -> std::io::Result<(bool, String)> {
        let mut child = Command::new(&self.name)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // A program that needs only its own screen may close its input early.
            let _ = input.write_all(line.as_bytes());
        }
        let mut answer = String::new();
        if let Some(output) = child.stdout.take() {
            output
                .take(EXTERNAL_ANSWER_BYTES_MAX)
                .read_to_string(&mut answer)?;
        }
        Ok((child.wait()?.success(), answer))
    }
}

impl ExternalSigner for CommandSigner {
    fn address(&self) -> Address {
        self.address
    }

    fn sign(&self, request: &SigningRequest<'_>) -> Result<Signature, WalletError> {
        let mut value = request.to_json();
        value["account"] = json!(self.address);
        let answer = self.program.ask(&value)?;
        let failed = |reason| self.program.failed(reason);
        let bytes = hex::decode(answer.trim())
            .map_err(|_| failed("it did not answer with a signature in hex"))?;
        Signature::from_raw(&bytes)
            .map_err(|_| failed("its answer is no 65-byte signature r, s, v"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::{Account, recover_message};

    #[test]
    fn typed_request_has_the_digest_of_eip_712() {
        use alloy_sol_types::SolStruct;
        use medina_contracts::eip712::{UnitVoucher, domain};
        let voucher = UnitVoucher {
            order: alloy_primitives::U256::from(7),
            cumulative: 3,
        };
        let domain = domain("DataMarketplace", 1, Address::repeat_byte(1));
        let request = TypedRequest {
            domain_separator: domain.separator(),
            struct_hash: voucher.eip712_hash_struct(),
            type_text: UnitVoucher::eip712_encode_type().into(),
            members: voucher.eip712_encode_data(),
        };
        assert_eq!(request.digest(), voucher.eip712_signing_hash(&domain));
        assert_eq!(request.members.len(), 64);
    }

    #[cfg(unix)]
    #[test]
    fn program_that_signs_wrong_or_not_at_all_is_refused() {
        let address = Address::repeat_byte(3);
        for (command, reason) in [
            ("false", "refused"),
            ("echo nonsense", "in hex"),
            ("echo 0x00", "65-byte"),
            ("no-such-program-here", "no-such-program-here"),
        ] {
            let signer = CommandSigner::new(command, address).expect("a program");
            let error = Account::external(signer)
                .sign_message(b"x")
                .expect_err(command);
            assert!(error.to_string().contains(reason), "{command}: {error}");
        }
        assert!(CommandSigner::new("  ", address).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn signature_of_another_key_never_leaves() {
        let (mine, other) = (Account::random().expect("a key"), Account::random());
        let signature = other
            .expect("a key")
            .sign_message(b"hello")
            .expect("signs")
            .as_bytes();
        let command = format!("echo {}", hex::encode(signature));
        let signer = CommandSigner::new(&command, mine.address()).expect("a program");
        let refused = Account::external(signer).sign_message(b"hello");
        assert!(matches!(refused, Err(WalletError::External(_))));

        let own = mine.sign_message(b"hello").expect("signs").as_bytes();
        let command = format!("echo 0x{}", hex::encode(own));
        let signer = CommandSigner::new(&command, mine.address()).expect("a program");
        let account = Account::external(signer);
        let signature = account.sign_message(b"hello").expect("is its own");
        let signer = recover_message(b"hello", &signature.as_bytes());
        assert_eq!(signer.expect("recovers"), mine.address());
        assert!(account.to_bytes().is_err());
    }
}
