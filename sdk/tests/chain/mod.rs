//! A chain in a test: the suite deployed in an EVM, one block per transaction, behind JSON-RPC.
//!
//! It answers what the client asks and nothing else, in the shapes of a real node, so that the
//! client's encodings, nonces and error names are tested without one.

#![allow(dead_code, reason = "every test file uses another part of this")]

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{Transaction, TxEnvelope};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256, keccak256};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use medina_contracts::{ContractAddresses, DeploymentParameters, Step, plan};
use medina_sdk::wallet::{Account, Mnemonic, TEST_MNEMONIC};
use parking_lot::Mutex;
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::database::{CacheDB, EmptyDB};
use revm::database_interface::DatabaseCommit;
use revm::primitives::hardfork::SpecId;
use revm::{Context, ExecuteEvm, MainBuilder, MainContext};
use serde_json::{Value, json};

/// The chain's id.
pub(crate) const CHAIN_ID: u64 = 1_337;
/// Seconds of the first block.
pub(crate) const GENESIS_TIME: u64 = 1_800_000_000;
const GAS_LIMIT: u64 = 16_000_000;
const DEPLOYER: Address = Address::repeat_byte(0xde);

/// A served chain.
pub(crate) struct TestChain {
    /// Its JSON-RPC.
    pub(crate) url: String,
    chain: Arc<Mutex<Chain>>,
}

struct Chain {
    db: CacheDB<EmptyDB>,
    addresses: ContractAddresses,
    nonces: BTreeMap<Address, u64>,
    blocks: Vec<Mined>,
    trouble: Trouble,
}

/// What goes wrong on purpose.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trouble {
    /// Transactions that are taken and then lost, as by a node that is killed.
    pub(crate) lose: usize,
    /// Transactions that offer less per gas are taken and wait for ever.
    pub(crate) base_fee: u128,
    /// Blocks that still tell of no fee.
    pub(crate) still_free: usize,
    /// Requests that are answered with nothing but a closed connection.
    pub(crate) silent: usize,
}

/// One block with its one transaction.
struct Mined {
    hash: B256,
    from: Address,
    success: bool,
    gas: u64,
    logs: Vec<Log>,
}

struct Outcome {
    success: bool,
    output: Bytes,
    logs: Vec<Log>,
    gas: u64,
}

/// Account `index` of the test mnemonic.
pub(crate) fn account(index: u32) -> Account {
    Mnemonic::parse(TEST_MNEMONIC)
        .expect("valid")
        .account(index)
        .expect("in range")
}

/// Organisation of account `index`.
pub(crate) fn org(index: u32) -> B256 {
    keccak256(format!("org-{index}"))
}

impl TestChain {
    /// Deploys the suite and serves it.
    pub(crate) async fn start() -> Self {
        Self::with_validators([]).await
    }

    /// As [`Self::start`], with these node keys and operators as validators.
    pub(crate) async fn with_validators(
        validators: impl IntoIterator<Item = (B256, Address)>,
    ) -> Self {
        let chain = Arc::new(Mutex::new(Chain::deploy(validators)));
        let router = Router::new()
            .route("/", post(answer))
            .with_state(chain.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("listens");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, chain }
    }

    /// Where the contracts are.
    pub(crate) fn addresses(&self) -> ContractAddresses {
        self.chain.lock().addresses
    }

    /// Lets something go wrong from now on.
    pub(crate) fn set_trouble(&self, trouble: Trouble) {
        self.chain.lock().trouble = trouble;
    }

    /// Transactions that were included.
    pub(crate) fn included(&self) -> u64 {
        self.chain.lock().head()
    }
}

impl Chain {
    fn deploy(validators: impl IntoIterator<Item = (B256, Address)>) -> Self {
        let accounts: Vec<_> = (0..10).map(|index| account(index).address()).collect();
        let parameters = DeploymentParameters::development(&accounts).with_validators(validators);
        let plan = plan(&parameters, DEPLOYER);
        let mut chain = Self {
            db: CacheDB::new(EmptyDB::default()),
            addresses: plan.addresses,
            nonces: BTreeMap::new(),
            blocks: Vec::new(),
            trouble: Trouble::default(),
        };
        for step in plan.steps {
            let (kind, data) = match step {
                Step::Create { init_code, .. } => (TxKind::Create, init_code),
                Step::Call { to, data, .. } => (TxKind::Call(to), data),
            };
            assert!(chain.run(DEPLOYER, kind, data, GAS_LIMIT, true).success);
        }
        chain
    }

    fn head(&self) -> u64 {
        self.blocks.len() as u64
    }

    fn run(&mut self, from: Address, kind: TxKind, data: Bytes, gas: u64, keep: bool) -> Outcome {
        let time = U256::from(GENESIS_TIME + self.head() + 1);
        let mut evm = Context::mainnet()
            .with_db(&mut self.db)
            .modify_cfg_chained(|cfg| {
                cfg.set_spec_and_mainnet_gas_params(SpecId::OSAKA);
                cfg.chain_id = CHAIN_ID;
                cfg.disable_nonce_check = true;
            })
            .modify_block_chained(|block| {
                block.timestamp = time;
                block.gas_limit = 2 * GAS_LIMIT;
            })
            .build_mainnet();
        let transaction = TxEnv::builder()
            .caller(from)
            .kind(kind)
            .data(data)
            .gas_limit(gas)
            .chain_id(Some(CHAIN_ID))
            .build_fill();
        let result = evm.transact(transaction).expect("a valid transaction");
        drop(evm);
        if keep {
            self.db.commit(result.state);
        }
        let gas = result.result.gas().total_gas_spent();
        match result.result {
            ExecutionResult::Success { logs, output, .. } => Outcome {
                success: true,
                output: output.into_data(),
                logs,
                gas,
            },
            ExecutionResult::Revert { output, .. } => Outcome {
                success: false,
                output,
                logs: Vec::new(),
                gas,
            },
            ExecutionResult::Halt { reason, .. } => panic!("halted: {reason:?}"),
        }
    }

    fn mine(&mut self, raw: &[u8]) -> Result<B256, Value> {
        let envelope = TxEnvelope::decode_2718(&mut &*raw).expect("a transaction");
        let from = envelope.recover_signer().expect("a signature");
        let next = self.nonces.get(&from).copied().unwrap_or_default();
        if envelope.nonce() < next {
            return Err(error(-32000, "nonce too low", None));
        }
        assert_eq!(envelope.chain_id(), Some(CHAIN_ID));
        let waits = envelope.nonce() > next || envelope.max_fee_per_gas() < self.trouble.base_fee;
        if self.trouble.lose > 0 {
            self.trouble.lose -= 1;
            return Ok(*envelope.tx_hash());
        }
        if waits {
            return Ok(*envelope.tx_hash());
        }
        let outcome = self.run(
            from,
            envelope.kind(),
            envelope.input().clone(),
            envelope.gas_limit(),
            true,
        );
        self.nonces.insert(from, next + 1);
        let hash = *envelope.tx_hash();
        let Outcome {
            success, logs, gas, ..
        } = outcome;
        self.blocks.push(Mined {
            hash,
            from,
            success,
            gas,
            logs,
        });
        Ok(hash)
    }

    fn handle(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        match method {
            "eth_chainId" => Ok(json!(format!("{CHAIN_ID:#x}"))),
            "medina_contracts" => Ok(json!(self.addresses)),
            "eth_blockNumber" => Ok(json!(format!("{:#x}", self.head()))),
            "eth_maxPriorityFeePerGas" => Ok(json!("0x0")),
            "eth_getTransactionCount" => {
                let address: Address = parse(&params[0]);
                let nonce = self.nonces.get(&address).copied().unwrap_or_default();
                Ok(json!(format!("{nonce:#x}")))
            }
            "eth_call" => self
                .simulate(&params[0])
                .map(|outcome| json!(outcome.output)),
            "eth_estimateGas" => {
                // What a search would find: the 64th that calls keep back, and 6's reserve.
                let estimate = |outcome: Outcome| outcome.gas + outcome.gas / 10 + 400_000;
                self.simulate(&params[0])
                    .map(|outcome| json!(format!("{:#x}", estimate(outcome))))
            }
            "eth_sendRawTransaction" => {
                let raw: Bytes = parse(&params[0]);
                self.mine(&raw).map(|hash| json!(hash))
            }
            "eth_getTransactionReceipt" => Ok(self.receipt(parse(&params[0]))),
            "eth_getBlockByNumber" => {
                let asked = serde_json::from_value::<U256>(params[0].clone());
                let number = asked.map_or(self.head(), |number| number.to());
                let is_free = self.trouble.still_free > 0;
                self.trouble.still_free = self.trouble.still_free.saturating_sub(1);
                let fee = if is_free { 0 } else { self.trouble.base_fee };
                Ok(block(number, fee))
            }
            "eth_getLogs" => self.logs(&params[0]),
            other => Err(error(
                -32601,
                &format!("the test chain has no {other}"),
                None,
            )),
        }
    }

    fn simulate(&mut self, request: &Value) -> Result<Outcome, Value> {
        let from = request.get("from").map_or(DEPLOYER, parse);
        let input = request.get("input").or(request.get("data"));
        let data = input.map_or(Bytes::new(), parse);
        let kind = TxKind::Call(parse(&request["to"]));
        let outcome = self.run(from, kind, data, GAS_LIMIT, false);
        if outcome.success {
            Ok(outcome)
        } else {
            Err(error(3, "execution reverted", Some(outcome.output)))
        }
    }

    fn receipt(&self, hash: B256) -> Value {
        let found = self.blocks.iter().position(|mined| mined.hash == hash);
        let Some(place) = found else {
            return Value::Null;
        };
        let mined = &self.blocks[place];
        let number = place as u64 + 1;
        json!({
            "transactionHash": hash, "transactionIndex": "0x0", "type": "0x2",
            "blockHash": keccak256(number.to_be_bytes()), "blockNumber": format!("{number:#x}"),
            "from": mined.from, "to": null, "contractAddress": null,
            "gasUsed": format!("{:#x}", mined.gas), "cumulativeGasUsed": format!("{:#x}", mined.gas),
            "effectiveGasPrice": "0x0", "status": if mined.success { "0x1" } else { "0x0" },
            "logsBloom": format!("0x{}", "00".repeat(256)), "logs": logs_of(mined, number),
        })
    }

    /// At most 64 blocks at once, so that the client has to ask in parts.
    fn logs(&self, filter: &Value) -> Result<Value, Value> {
        let addresses: Vec<Address> = match &filter["address"] {
            Value::Null => Vec::new(),
            Value::Array(several) => several.iter().map(parse).collect(),
            one => vec![parse(one)],
        };
        let bound = |name: &str| -> u64 { parse::<U256>(&filter[name]).to() };
        let blocks = bound("fromBlock")..=bound("toBlock");
        if blocks.end() - blocks.start() >= 64 {
            return Err(error(-32602, "at most 64 blocks", None));
        }
        let topics = filter["topics"].as_array().cloned().unwrap_or_default();
        let fits = |log: &&Value| {
            let has = |(place, wanted): (usize, &Value)| match wanted {
                Value::Null => true,
                Value::Array(any) => any.contains(&log["topics"][place]),
                one => *one == log["topics"][place],
            };
            let of_it = addresses.is_empty() || addresses.contains(&parse(&log["address"]));
            of_it && topics.iter().enumerate().all(has)
        };
        let all = (1_u64..)
            .zip(&self.blocks)
            .filter(|(number, _)| blocks.contains(number));
        let logs: Vec<_> = all
            .flat_map(|(number, mined)| logs_of(mined, number))
            .collect();
        Ok(json!(logs.iter().filter(fits).collect::<Vec<_>>()))
    }
}

fn logs_of(mined: &Mined, number: u64) -> Vec<Value> {
    let log = |(index, log): (usize, &Log)| {
        json!({
            "address": log.address, "topics": log.topics(), "data": log.data.data,
            "blockHash": keccak256(number.to_be_bytes()), "blockNumber": format!("{number:#x}"),
            "transactionHash": mined.hash, "transactionIndex": "0x0",
            "logIndex": format!("{index:#x}"), "removed": false,
        })
    };
    mined.logs.iter().enumerate().map(log).collect()
}

fn block(number: u64, base_fee: u128) -> Value {
    let zero = B256::ZERO;
    json!({
        "number": format!("{number:#x}"), "hash": keccak256(number.to_be_bytes()), "parentHash": zero,
        "sha3Uncles": zero, "miner": Address::ZERO, "stateRoot": zero, "transactionsRoot": zero,
        "receiptsRoot": zero, "logsBloom": format!("0x{}", "00".repeat(256)), "difficulty": "0x0",
        "gasLimit": "0x1c9c380", "gasUsed": "0x0", "timestamp": format!("{:#x}", GENESIS_TIME + number),
        "extraData": "0x", "mixHash": zero, "nonce": "0x0000000000000000", "baseFeePerGas": format!("{base_fee:#x}"),
        "uncles": [], "transactions": [], "size": "0x0",
    })
}

fn parse<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("what the client sends is well formed")
}

fn error(code: i64, message: &str, data: Option<Bytes>) -> Value {
    json!({ "code": code, "message": message, "data": data })
}

async fn answer(
    State(chain): State<Arc<Mutex<Chain>>>,
    Json(request): Json<Value>,
) -> Result<Json<Value>, axum::http::StatusCode> {
    {
        let trouble = &mut chain.lock().trouble;
        if trouble.silent > 0 {
            trouble.silent -= 1;
            return Err(axum::http::StatusCode::BAD_GATEWAY);
        }
    }
    let method = request["method"].as_str().expect("a method");
    let answered = chain.lock().handle(method, &request["params"]);
    let id = &request["id"];
    Ok(Json(match answered {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    }))
}
