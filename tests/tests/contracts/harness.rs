//! A chain of one state: the suite deployed, ten accounts, a clock that the test moves.

use crate::MedinaPrecompiles;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, Log, Signature, TxKind, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{Eip712Domain, SolCall, SolError, SolEvent, SolStruct};
use ed25519_dalek::SigningKey;
use medina_contracts::{
    ContractAddresses, DeploymentParameters, Step,
    data_marketplace::{DataMarketplace, IDataMarketplace},
    eip712,
    federation_registry::FederationRegistry,
    medina_token::MedinaToken,
    plan,
    sensor_registry::{ISensorRegistry, SensorRegistry},
};
use revm::{
    Context, ExecuteEvm, MainContext,
    context::{CfgEnv, Evm, FrameStack, TxEnv, result::ExecutionResult},
    database::{AccountState, CacheDB, EmptyDB},
    database_interface::{Database, DatabaseCommit, WrapDatabaseRef},
    handler::instructions::EthInstructions,
    primitives::hardfork::SpecId,
    state::EvmState,
};

/// Id of the test chain.
pub(crate) const CHAIN_ID: u64 = 1_337;
/// Seconds at which the chain begins.
pub(crate) const GENESIS_TIME: u64 = 1_800_000_000;
/// One token.
pub(crate) const TOKEN: u128 = 1_000_000_000_000_000_000;
/// Enough for every call, within the limit of a transaction.
const GAS_LIMIT: u64 = 16_000_000;
/// Genesis is bound by no block.
const GENESIS_GAS: u64 = 1_000_000_000;
/// Validators of the chain; account I operates the one of organisation I.
pub(crate) const VALIDATORS: usize = 4;
/// Runs the plan; without a key, as in a genesis.
pub(crate) const DEPLOYER: Address = Address::repeat_byte(0xde);

/// A deployed suite. Account 0 governs; accounts 0..9 act for organisations 0..9.
#[derive(Clone)]
pub(crate) struct Chain {
    db: CacheDB<EmptyDB>,
    /// Of the next transaction, seconds.
    pub(crate) time: u64,
    /// Where everything lies.
    pub(crate) at: ContractAddresses,
    keys: Vec<PrivateKeySigner>,
}

/// What became of a call.
pub(crate) struct Outcome {
    /// Return or revert data.
    pub(crate) output: Bytes,
    /// Whether it returned.
    pub(crate) success: bool,
    /// Events.
    pub(crate) logs: Vec<Log>,
    /// Spent, refunds not deducted.
    pub(crate) gas: u64,
}

impl Outcome {
    fn returned(&self, what: &str) -> Result<(), String> {
        let text = || format!("{what}: {}", self.output);
        self.success.then_some(()).ok_or_else(text)
    }

    /// The only event of this type.
    pub(crate) fn event<E: SolEvent>(&self) -> E {
        let found: Vec<E> = self
            .logs
            .iter()
            .filter_map(|log| E::decode_log(log).ok().map(|log| log.data))
            .collect();
        let [event] = <[E; 1]>::try_from(found)
            .unwrap_or_else(|found| panic!("{} events of type {}", found.len(), E::SIGNATURE));
        event
    }
}

impl Chain {
    /// The suite as `medina dev` has it.
    pub(crate) fn new() -> Self {
        let keys: Vec<_> = (0..10)
            .map(|index| key(&format!("account {index}")))
            .collect();
        let accounts: Vec<_> = keys.iter().map(PrivateKeySigner::address).collect();
        let validators = (0..VALIDATORS).map(|index| (node_key(index), accounts[index]));
        let parameters = DeploymentParameters::development(&accounts).with_validators(validators);
        Self::with(&parameters, keys)
    }

    /// The suite with other parameters.
    pub(crate) fn with(parameters: &DeploymentParameters, keys: Vec<PrivateKeySigner>) -> Self {
        Self::try_with(parameters, keys).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`Chain::with`]; the step that reverts is named.
    pub(crate) fn try_with(
        parameters: &DeploymentParameters,
        keys: Vec<PrivateKeySigner>,
    ) -> Result<Self, String> {
        let plan = plan(parameters, DEPLOYER);
        let db = CacheDB::new(EmptyDB::default());
        let mut chain = Self {
            db,
            time: GENESIS_TIME,
            at: plan.addresses,
            keys,
        };
        for step in plan.steps {
            match step {
                Step::Create {
                    name,
                    address,
                    init_code,
                } => {
                    let outcome = chain.genesis(TxKind::Create, init_code);
                    outcome.returned(name)?;
                    assert!(chain.has_code(address), "{name} is not at {address}");
                }
                Step::Call { name, to, data } => {
                    chain.genesis(TxKind::Call(to), data).returned(&name)?;
                }
            }
        }
        Ok(chain)
    }

    /// Address of a test account.
    pub(crate) fn account(&self, index: usize) -> Address {
        self.keys[index].address()
    }

    /// Key of a test account.
    pub(crate) fn key(&self, index: usize) -> &PrivateKeySigner {
        &self.keys[index]
    }

    /// Lets time pass.
    pub(crate) fn warp(&mut self, seconds: u64) {
        self.time += seconds;
    }

    /// Calls and keeps the changes.
    pub(crate) fn call<C: SolCall>(&mut self, from: Address, to: Address, call: &C) -> Outcome {
        self.transact(from, TxKind::Call(to), call.abi_encode().into(), None)
            .0
    }

    /// As [`Chain::call`], with data of any kind.
    pub(crate) fn call_data(&mut self, from: Address, to: Address, data: Bytes) -> Outcome {
        self.transact(from, TxKind::Call(to), data, None).0
    }

    /// As [`Chain::call`], with less gas.
    pub(crate) fn call_with_gas<C: SolCall>(
        &mut self,
        from: Address,
        to: Address,
        call: &C,
        gas: u64,
    ) -> Outcome {
        self.transact_with_gas(from, TxKind::Call(to), call.abi_encode().into(), None, gas)
            .0
    }

    /// Puts code there that stops with an invalid instruction.
    pub(crate) fn break_code(&mut self, address: Address) {
        self.put_code(address, Bytes::from_static(&[0xfe]));
    }

    /// Puts code there.
    pub(crate) fn put_code(&mut self, address: Address, code: Bytes) {
        let account = self.db.load_account(address).unwrap();
        // An account that never did anything would stay nobody, whatever its code.
        account.account_state = AccountState::Touched;
        let code = revm::bytecode::Bytecode::new_raw(code);
        account.info.code_hash = code.hash_slow();
        account.info.code = Some(code);
    }

    /// Puts a word into a contract's state.
    pub(crate) fn put_word(&mut self, address: Address, slot: U256, word: U256) {
        self.db
            .insert_account_storage(address, slot, word)
            .expect("a database in memory");
    }

    /// Creates a contract that is not part of the suite.
    pub(crate) fn create(&mut self, init_code: &Bytes) -> Address {
        let (outcome, touched) = self.transact(DEPLOYER, TxKind::Create, init_code.clone(), None);
        assert!(outcome.success, "{}", outcome.output);
        let created = touched.iter().find(|(_, account)| account.is_created());
        *created.expect("a successful creation creates").0
    }

    /// Calls what must succeed.
    pub(crate) fn ok<C: SolCall>(&mut self, from: usize, to: Address, call: &C) -> Outcome {
        let outcome = self.call(self.account(from), to, call);
        assert!(
            outcome.success,
            "{} reverted: {}",
            C::SIGNATURE,
            outcome.output
        );
        outcome
    }

    /// Calls what must revert with this error, which is left without effect.
    #[track_caller]
    pub(crate) fn fails<E: SolError>(&mut self, from: usize, to: Address, call: &impl SolCall) {
        self.fails_from::<E>(self.account(from), to, call);
    }

    /// As [`Chain::fails`], from any address.
    #[track_caller]
    pub(crate) fn fails_from<E: SolError>(
        &mut self,
        from: Address,
        to: Address,
        call: &impl SolCall,
    ) {
        let outcome = self.call(from, to, call);
        assert!(!outcome.success, "succeeded instead of {}", E::SIGNATURE);
        let found = outcome.output.get(..4).unwrap_or_default();
        assert_eq!(
            found,
            E::SELECTOR,
            "instead of {} came {}",
            E::SIGNATURE,
            outcome.output
        );
    }

    /// Asks; nothing changes.
    pub(crate) fn view<C: SolCall>(&self, to: Address, call: &C) -> C::Return {
        let data = call.abi_encode().into();
        let question = transaction(DEPLOYER, TxKind::Call(to), data, None, GAS_LIMIT);
        let (outcome, _) = execute(WrapDatabaseRef(&self.db), self.time, GAS_LIMIT, question);
        assert!(
            outcome.success,
            "{} reverted: {}",
            C::SIGNATURE,
            outcome.output
        );
        C::abi_decode_returns(&outcome.output).unwrap()
    }

    /// As [`Chain::own_gas`] with everything cold but the contract that is called.
    pub(crate) fn cold_gas<C: SolCall>(&self, from: Address, to: Address, call: &C) -> u64 {
        let data: Bytes = call.abi_encode().into();
        let paid_for_data = data_gas(&data);
        let kind = TxKind::Call(to);
        let (outcome, _) = self.clone().transact(from, kind, data, None);
        assert!(outcome.success, "reverted: {}", outcome.output);
        outcome.gas - 21_000 - paid_for_data
    }

    /// Gas of the call itself: no 21 000, no calldata, all addresses and slots warm. Nothing is kept.
    pub(crate) fn own_gas<C: SolCall>(&self, from: Address, to: Address, call: &C) -> u64 {
        let data: Bytes = call.abi_encode().into();
        let kind = TxKind::Call(to);
        let (outcome, touched) = self.clone().transact(from, kind, data.clone(), None);
        assert!(
            outcome.success,
            "{} reverted: {}",
            C::SIGNATURE,
            outcome.output
        );
        let items: Vec<_> = touched
            .iter()
            .map(|(address, account)| AccessListItem {
                address: *address,
                storage_keys: account
                    .storage
                    .keys()
                    .map(|slot| B256::from(*slot))
                    .collect(),
            })
            .collect();
        let slots: usize = items.iter().map(|item| item.storage_keys.len()).sum();
        let paid_for_list = 2_400 * items.len() as u64 + 1_900 * slots as u64;
        let paid_for_data = data_gas(&data);
        let (outcome, _) = self
            .clone()
            .transact(from, kind, data, Some(AccessList(items)));
        outcome.gas - 21_000 - paid_for_list - paid_for_data
    }

    /// Whether a contract lies there.
    pub(crate) fn has_code(&self, address: Address) -> bool {
        self.code_bytes(address) > 0
    }

    /// Size of the code there.
    pub(crate) fn code_bytes(&self, address: Address) -> usize {
        let account = self.db.cache.accounts.get(&address);
        account
            .and_then(|account| account.info.code.as_ref())
            .map_or(0, |code| code.original_bytes().len())
    }

    /// Signing domain of a contract on this chain.
    pub(crate) fn domain(&self, name: &str) -> Eip712Domain {
        let named = self
            .at
            .named()
            .into_iter()
            .find(|(found, _)| *found == name);
        let address = named.expect("a contract of the suite").1;
        eip712::domain(
            if name == "MedinaToken" {
                "Medina"
            } else {
                name
            },
            CHAIN_ID,
            address,
        )
    }

    /// Signature of a test account.
    pub(crate) fn sign(&self, index: usize, contract: &str, message: &impl SolStruct) -> Bytes {
        sign(&self.keys[index], &self.domain(contract), message)
    }

    /// 20-byte signer ‖ signature of a test account.
    pub(crate) fn sign_packed(
        &self,
        index: usize,
        contract: &str,
        message: &impl SolStruct,
    ) -> Bytes {
        eip712::packed(self.account(index), &self.sign(index, contract, message))
    }

    /// Tokens of an account.
    pub(crate) fn balance(&self, owner: Address) -> u128 {
        self.view(
            self.at.medina_token,
            &MedinaToken::balanceOfCall { account: owner },
        )
        .to()
    }

    /// Credit of an account in the market.
    pub(crate) fn credit(&self, owner: Address) -> u128 {
        self.view(
            self.at.data_marketplace,
            &DataMarketplace::creditsCall { owner },
        )
    }

    fn genesis(&mut self, kind: TxKind, data: Bytes) -> Outcome {
        self.transact_with_gas(DEPLOYER, kind, data, None, GENESIS_GAS)
            .0
    }

    fn transact(
        &mut self,
        from: Address,
        kind: TxKind,
        data: Bytes,
        access_list: Option<AccessList>,
    ) -> (Outcome, EvmState) {
        self.transact_with_gas(from, kind, data, access_list, GAS_LIMIT)
    }

    fn transact_with_gas(
        &mut self,
        from: Address,
        kind: TxKind,
        data: Bytes,
        access_list: Option<AccessList>,
        gas_limit: u64,
    ) -> (Outcome, EvmState) {
        let transaction = transaction(from, kind, data, access_list, gas_limit);
        let (outcome, state) = execute(&mut self.db, self.time, gas_limit, transaction);
        self.db.commit(state.clone());
        (outcome, state)
    }
}

fn transaction(
    from: Address,
    kind: TxKind,
    data: Bytes,
    access_list: Option<AccessList>,
    gas_limit: u64,
) -> TxEnv {
    TxEnv::builder()
        .caller(from)
        .kind(kind)
        .data(data)
        .gas_limit(gas_limit)
        .chain_id(Some(CHAIN_ID))
        .access_list(access_list.unwrap_or_default())
        .build_fill()
}

/// Runs a transaction; what it changed is the caller's to keep.
fn execute<D: Database<Error: core::fmt::Debug>>(
    db: D,
    time: u64,
    gas_limit: u64,
    transaction: TxEnv,
) -> (Outcome, EvmState) {
    let mut config = CfgEnv::new_with_spec(SpecId::OSAKA).with_chain_id(CHAIN_ID);
    config.disable_nonce_check = true;
    if gas_limit == GENESIS_GAS {
        config.tx_gas_limit_cap = Some(GENESIS_GAS);
    }
    // A block per second.
    let number = U256::from(1 + time.saturating_sub(GENESIS_TIME));
    let time = U256::from(time);
    let context = Context::mainnet()
        .with_db(db)
        .with_cfg(config)
        .modify_block_chained(|block| {
            block.number = number;
            block.timestamp = time;
            block.gas_limit = gas_limit.max(2 * GAS_LIMIT);
        });
    let mut evm = Evm {
        ctx: context,
        inspector: (),
        instruction: EthInstructions::new_mainnet_with_spec(SpecId::OSAKA),
        precompiles: MedinaPrecompiles::new(SpecId::OSAKA, true),
        frame_stack: FrameStack::new_prealloc(8),
    };
    let result = evm
        .transact(transaction)
        .expect("the transaction itself is valid");
    (outcome_of(result.result), result.state)
}

fn outcome_of(result: ExecutionResult) -> Outcome {
    let gas = result.gas().total_gas_spent();
    match result {
        ExecutionResult::Success { logs, output, .. } => Outcome {
            output: output.into_data(),
            success: true,
            logs,
            gas,
        },
        ExecutionResult::Revert { output, .. } => Outcome {
            output,
            success: false,
            logs: Vec::new(),
            gas,
        },
        ExecutionResult::Halt { reason, .. } => panic!("halted: {reason:?}"),
    }
}

/// A key that is the same in every run.
pub(crate) fn key(name: &str) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&keccak256(name)).unwrap()
}

/// 65-byte signature of a message.
pub(crate) fn sign(
    key: &PrivateKeySigner,
    domain: &Eip712Domain,
    message: &impl SolStruct,
) -> Bytes {
    let signature: Signature = key.sign_typed_data_sync(message, domain).unwrap();
    signature.as_bytes().into()
}

/// Organisation of account `index`.
pub(crate) fn org(index: usize) -> B256 {
    keccak256(format!("org-{index}"))
}

/// What a transaction pays for its data.
fn data_gas(data: &[u8]) -> u64 {
    let bytes = data.iter();
    bytes.map(|byte| if *byte == 0 { 4 } else { 16 }).sum()
}

/// Secret key of the node of account `index`.
pub(crate) fn node_secret(index: usize) -> SigningKey {
    SigningKey::from_bytes(&keccak256(format!("node-{index}")).0)
}

/// Its public half.
pub(crate) fn node_key(index: usize) -> B256 {
    node_secret(index).verifying_key().to_bytes().into()
}

/// User id of account `index`.
pub(crate) fn user(index: usize) -> B256 {
    keccak256(format!("user-{index}"))
}

/// Common scenes.
impl Chain {
    /// A sensor with an account key, without `register`'s signature.
    pub(crate) fn resource(
        &self,
        owner: usize,
        device: &PrivateKeySigner,
    ) -> ISensorRegistry::Resource {
        ISensorRegistry::Resource {
            org: org(owner),
            signer: device.address().to_vec().into(),
            period: 60,
            since: alloy_primitives::Uint::ZERO,
            t: 0,
            status: 0,
            topic: keccak256("temperature"),
            cell: 4_711,
            meta: keccak256("salted description"),
        }
    }

    /// `register` with the device's signature.
    pub(crate) fn registration(
        &self,
        owner: usize,
        id: B256,
        device: &PrivateKeySigner,
    ) -> SensorRegistry::registerCall {
        let deadline = self.deadline();
        let message = eip712::Registration {
            id,
            org: org(owner),
            deadline,
        };
        SensorRegistry::registerCall {
            id,
            r: self.resource(owner, device),
            deadline,
            deviceSig: sign(device, &self.domain("SensorRegistry"), &message),
        }
    }

    /// Registers a sensor; its key is `key(name)`, its id keccak256(name).
    pub(crate) fn register(&mut self, owner: usize, name: &str) -> B256 {
        let id = keccak256(name);
        let call = self.registration(owner, id, &key(name));
        self.ok(owner, self.at.sensor_registry, &call);
        id
    }

    /// An hour from now.
    pub(crate) fn deadline(&self) -> alloy_primitives::Uint<48, 1> {
        seconds(self.time + 3_600)
    }

    /// A Fixed offer of a stream.
    pub(crate) fn listing(
        &self,
        seller: usize,
        subject: B256,
        price: u128,
    ) -> IDataMarketplace::Listing {
        IDataMarketplace::Listing {
            org: org(seller),
            payee: self.account(seller),
            kind: 0,
            price: u8::from(price > 0),
            status: 0,
            minReputation: 0,
            unitPrice: price,
            unit: 0,
            deliverIn: 3_600,
            confirmIn: 7_200,
            judge: Address::ZERO,
            subject,
            audience: B256::ZERO,
            consentScope: B256::ZERO,
            policy: keccak256("policy"),
            meta: keccak256("meta"),
            topic: keccak256("temperature"),
        }
    }

    /// Lists and returns the id.
    pub(crate) fn list(&mut self, seller: usize, listing: IDataMarketplace::Listing) -> u64 {
        let outcome = self.ok(
            seller,
            self.at.data_marketplace,
            &DataMarketplace::listCall { l: listing },
        );
        DataMarketplace::listCall::abi_decode_returns(&outcome.output).unwrap()
    }

    /// Lets the market take tokens.
    pub(crate) fn approve(&mut self, owner: usize, amount: u128) {
        let call = MedinaToken::approveCall {
            spender: self.at.data_marketplace,
            value: U256::from(amount),
        };
        self.ok(owner, self.at.medina_token, &call);
    }

    /// `buy` of one unit for the buyer itself.
    pub(crate) fn purchase(
        &self,
        buyer: usize,
        id: u64,
        max_amount: u128,
    ) -> DataMarketplace::buyCall {
        DataMarketplace::buyCall {
            id,
            units: 1,
            user: self.account(buyer),
            maxAmount: max_amount,
            purpose: keccak256("research"),
        }
    }

    /// Approves, buys one unit and returns the order.
    pub(crate) fn buy(&mut self, buyer: usize, id: u64, price: u128) -> U256 {
        self.approve(buyer, price);
        let call = self.purchase(buyer, id, price);
        let outcome = self.ok(buyer, self.at.data_marketplace, &call);
        DataMarketplace::buyCall::abi_decode_returns(&outcome.output).unwrap()
    }

    /// Buys, delivers and confirms one unit.
    pub(crate) fn complete(&mut self, seller: usize, buyer: usize, id: u64, price: u128) -> U256 {
        let order = self.buy(buyer, id, price);
        let market = self.at.data_marketplace;
        self.ok(
            seller,
            market,
            &DataMarketplace::deliverCall {
                order,
                proof: keccak256("proof"),
            },
        );
        self.ok(buyer, market, &DataMarketplace::confirmCall { order });
        order
    }

    /// A federation with id keccak256(name), founded by one organisation and joined by others.
    pub(crate) fn federate(&mut self, founder: usize, members: &[usize], name: &str) -> B256 {
        let id = keccak256(name);
        let invites = members.iter().map(|index| org(*index)).collect();
        let create = FederationRegistry::createCall {
            id,
            name: id,
            open: false,
            quorumBps: 0,
            infoModel: B256::ZERO,
            c: Vec::new(),
            invites,
        };
        self.ok(founder, self.at.federation_registry, &create);
        for member in members {
            let accept = FederationRegistry::acceptCall {
                fed: id,
                version: 1,
            };
            self.ok(*member, self.at.federation_registry, &accept);
        }
        id
    }

    /// An order as the market knows it.
    pub(crate) fn order(&self, order: U256) -> IDataMarketplace::Order {
        self.view(
            self.at.data_marketplace,
            &DataMarketplace::getOrderCall { order },
        )
    }
}

/// Seconds as contracts take them.
pub(crate) fn seconds(value: u64) -> alloy_primitives::Uint<48, 1> {
    alloy_primitives::Uint::from(value)
}
