//! A small chain on a real store: four validators, funded accounts, a few contracts.
#![allow(dead_code, reason = "every test file uses another part of this")]

pub(crate) mod permissioning;
pub(crate) mod private;

use alloy_consensus::{
    Header, SignableTransaction, TxEip1559, TxEip7702, TxLegacy,
    constants::{EMPTY_ROOT_HASH, EMPTY_WITHDRAWALS},
};
use alloy_eips::{
    eip7685::EMPTY_REQUESTS_HASH,
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_trie::{TrieAccount, root};
use medina_execution::{
    BuildAttributes, ExecutedBlock, Executor, GenesisAccount, GenesisBuilder, PERMISSIONING,
    private::PRIVATE_GROUPS, system_contracts,
};
use medina_storage::{BlockCommit, GenesisState, Head, OpenOptions, Store, SyncMode};
use medina_types::{
    Certificate, ChainSpec, ConsensusParameters, Fork, ForkSchedule, GasCreditParameters,
    GasPolicy, HeaderRules, HeightContext, MeteredGas, NodeSecretKey, PermissionLists,
    PermissionMode, RecoveredTransaction, Round, StateChanges, Transaction, Validator,
    ValidatorSet,
};
use std::sync::Arc;

pub(crate) const CHAIN_ID: u64 = 1337;
pub(crate) const GAS_LIMIT: u64 = 30_000_000;
pub(crate) const GENESIS_TIME: u64 = 1_700_000_000;
pub(crate) const ETHER: u64 = 1_000_000_000_000_000_000;
pub(crate) const TREASURY: Address = Address::repeat_byte(0x77);
/// Counts calls in slot 0 and logs its caller.
pub(crate) const COUNTER: [u8; 12] = hex!("5f546001015f55335f5fa100");
/// Reverts with the number 42.
pub(crate) const REVERTER: [u8; 8] = hex!("602a5f5260205ffd");
/// Runs until the gas is gone.
pub(crate) const LOOPER: [u8; 3] = hex!("5b5f56");

pub(crate) fn account(number: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(number + 1)).unwrap()
}

pub(crate) fn operator(number: u8) -> Address {
    Address::repeat_byte(0xa0 + number)
}

/// Init code that leaves this runtime code (at most 32 bytes).
pub(crate) fn init_code(runtime: &[u8]) -> Bytes {
    let length = u8::try_from(runtime.len()).unwrap();
    let mut code = vec![0x5f + length];
    code.extend(runtime);
    code.extend([0x5f, 0x52, 0x60, length, 0x60, 32 - length, 0xf3]);
    code.into()
}

pub(crate) fn validators() -> ValidatorSet {
    let validator = |number: u8| Validator {
        key: NodeSecretKey::from_bytes([number + 1; 32]).public_key(),
        operator: operator(number),
    };
    ValidatorSet::new((0..4).map(validator).collect()).unwrap()
}

pub(crate) fn free() -> GasPolicy {
    GasPolicy::Free(GasCreditParameters {
        capacity_gas: 1,
        refill_gas_per_s: 1,
        shared_capacity_gas: 1,
        shared_refill_gas_per_s: 1,
    })
}

pub(crate) fn metered(share_bps: u16) -> GasPolicy {
    GasPolicy::Metered(MeteredGas {
        initial_base_fee: 1_000_000_000,
        treasury: TREASURY,
        treasury_share_bps: share_bps,
    })
}

/// A chain in a temporary folder.
pub(crate) struct Chain {
    pub(crate) store: Store,
    pub(crate) executor: Executor,
    pub(crate) counter: Address,
    pub(crate) reverter: Address,
    pub(crate) looper: Address,
    _folder: tempfile::TempDir,
}

pub(crate) fn builder() -> GenesisBuilder {
    let mut builder = GenesisBuilder::new(CHAIN_ID, GENESIS_TIME);
    for contract in system_contracts() {
        builder
            .set_account(contract.address, contract.into())
            .unwrap();
    }
    for number in 0..5 {
        let rich = GenesisAccount {
            balance: U256::from(100 * u128::from(ETHER)),
            ..Default::default()
        };
        builder
            .set_account(account(number).address(), rich)
            .unwrap();
    }
    builder
}

impl Chain {
    pub(crate) fn new(gas_policy: GasPolicy) -> Self {
        Self::with_builder(gas_policy, U256::ZERO, builder())
    }

    pub(crate) fn with_reward(gas_policy: GasPolicy, reward: u64) -> Self {
        Self::with_builder(gas_policy, U256::from(reward), builder())
    }

    pub(crate) fn with_builder(
        gas_policy: GasPolicy,
        reward: U256,
        builder: GenesisBuilder,
    ) -> Self {
        Self::with_spec(builder, |state_root| spec(gas_policy, reward, state_root))
    }

    /// A chain with free gas that starts with one fork and goes on to others.
    pub(crate) fn with_forks(forks: ForkSchedule) -> Self {
        Self::with_spec(builder(), |state_root| {
            let mut spec = spec(free(), U256::ZERO, state_root);
            let first = forks.at_block(0, GENESIS_TIME).fork;
            let header = &mut spec.genesis_header;
            if first < Fork::Shanghai {
                header.withdrawals_root = None;
            }
            if first < Fork::Cancun {
                header.blob_gas_used = None;
                header.excess_blob_gas = None;
                header.parent_beacon_block_root = None;
            }
            if first < Fork::Prague {
                header.requests_hash = None;
            }
            spec.genesis_hash = header.hash_slow();
            ChainSpec { forks, ..spec }
        })
    }

    /// A chain that was made before there were private groups.
    pub(crate) fn without_private_groups() -> Self {
        let builder = builder();
        Self::with_spec(builder, |state_root| ChainSpec {
            contracts: Default::default(),
            ..spec(free(), U256::ZERO, state_root)
        })
    }

    /// A chain with free gas whose validators are also those of a `Permissioning` contract.
    pub(crate) fn with_permissioning(
        builder: GenesisBuilder,
        validators: ValidatorSet,
        permissioning: Option<Address>,
    ) -> Self {
        Self::with_spec(builder, |state_root| ChainSpec {
            validators,
            contracts: permissioning
                .map(|at| (PERMISSIONING.to_owned(), at))
                .into_iter()
                .collect(),
            ..spec(free(), U256::ZERO, state_root)
        })
    }

    /// The same where the contract decides who may transact, and these accounts if it does not answer.
    pub(crate) fn with_enforced_permissions(
        builder: GenesisBuilder,
        permissioning: Option<Address>,
        listed: impl IntoIterator<Item = Address>,
    ) -> Self {
        let lists = PermissionLists {
            accounts: listed.into_iter().collect(),
            ..Default::default()
        };
        Self::with_spec(builder, |state_root| ChainSpec {
            permissions: PermissionMode::Enforced,
            permission_lists: lists,
            contracts: permissioning
                .map(|at| (PERMISSIONING.to_owned(), at))
                .into_iter()
                .collect(),
            ..spec(free(), U256::ZERO, state_root)
        })
    }

    fn with_spec(mut builder: GenesisBuilder, spec_of: impl FnOnce(B256) -> ChainSpec) -> Self {
        let deployer = account(0).address();
        let [counter, reverter, looper] = [&COUNTER[..], &REVERTER, &LOOPER].map(|code| {
            builder
                .deploy(deployer, init_code(code), U256::ZERO)
                .unwrap()
        });
        let state = builder.finish().unwrap();
        let spec = spec_of(full_state_root(&state));
        let genesis = GenesisState {
            header: spec.genesis_header.clone(),
            state,
            context: HeightContext::genesis(spec.validators.clone()),
        };
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), OpenOptions::default()).unwrap();
        store.initialize_genesis(&genesis).unwrap();
        let executor = Executor::new(Arc::new(spec));
        Self {
            store,
            executor,
            counter,
            reverter,
            looper,
            _folder: folder,
        }
    }

    pub(crate) fn head(&self) -> Arc<Head> {
        self.store.head()
    }

    pub(crate) fn attributes(&self) -> BuildAttributes {
        let head = self.head();
        let validators = &head.context.validators;
        let turn = usize::try_from(head.height.0).unwrap() % validators.len();
        BuildAttributes {
            beneficiary: validators.get(turn).unwrap().operator,
            timestamp_s: head.header.timestamp + 1,
            extra_data: Bytes::new(),
        }
    }

    /// Builds on the head from these transactions, in their order.
    pub(crate) fn build(&self, transactions: &[Transaction]) -> ExecutedBlock {
        let mut waiting = transactions
            .iter()
            .map(recovered)
            .collect::<Vec<_>>()
            .into_iter();
        self.executor
            .build(
                &self.store,
                &self.head(),
                &self.attributes(),
                &mut || waiting.next(),
                &mut || false,
            )
            .unwrap()
    }

    pub(crate) fn commit(&self, executed: ExecutedBlock) {
        let head = self.head();
        let header = executed.block.header();
        let context = head.context.after(
            executed.block.height(),
            header.beneficiary,
            executed.next_validators,
        );
        self.store
            .commit(BlockCommit {
                block: &executed.block,
                receipts: &executed.receipts,
                changes: &executed.changes,
                root: executed.root,
                certificate: &Certificate::new(Round::ZERO, []),
                context: &context,
                consensus_record: None,
                sync: SyncMode::Deferred,
            })
            .unwrap();
    }

    /// Builds, validates as another node would, compares and commits.
    pub(crate) fn advance(&self, transactions: &[Transaction]) -> Vec<medina_types::Receipt> {
        let built = self.build(transactions);
        assert_eq!(
            built.block.sealed.transactions().len(),
            transactions.len(),
            "all included"
        );
        let checked = self
            .executor
            .validate(&self.store, &self.head(), &built.block.sealed, |_| None)
            .unwrap();
        assert_eq!(checked.block, built.block);
        assert_eq!(checked.receipts, built.receipts);
        assert_eq!(checked.changes, built.changes);
        assert_eq!(checked.root, built.root);
        assert_eq!(checked.next_validators, built.next_validators);
        let receipts = built.receipts.clone();
        self.commit(built);
        receipts
    }

    pub(crate) fn balance(&self, address: Address) -> U256 {
        use medina_storage::StateReader;
        self.store
            .state()
            .account(address)
            .unwrap()
            .map_or(U256::ZERO, |account| account.balance)
    }

    pub(crate) fn slot(&self, address: Address, key: u64) -> U256 {
        use medina_storage::StateReader;
        self.store.state().slot(address, U256::from(key)).unwrap()
    }

    pub(crate) fn exists(&self, address: Address) -> bool {
        use medina_storage::StateReader;
        self.store.state().account(address).unwrap().is_some()
    }
}

fn spec(gas_policy: GasPolicy, block_reward: U256, state_root: B256) -> ChainSpec {
    let genesis_header = Header {
        state_root,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        gas_limit: GAS_LIMIT,
        timestamp: GENESIS_TIME,
        base_fee_per_gas: Some(0),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    };
    ChainSpec {
        name: "test".into(),
        chain_id: CHAIN_ID,
        genesis_hash: genesis_header.hash_slow(),
        genesis_header,
        header_rules: HeaderRules::Medina,
        forks: ForkSchedule::default(),
        consensus: ConsensusParameters::default(),
        gas_limit: GAS_LIMIT,
        gas_policy,
        block_reward,
        permissions: PermissionMode::Open,
        permission_lists: Default::default(),
        validators: validators(),
        contracts: [(PRIVATE_GROUPS.to_owned(), Address::repeat_byte(0x99))].into(),
    }
}

/// Root of a state given as changes from nothing, computed in full.
pub(crate) fn full_state_root(changes: &StateChanges) -> B256 {
    root::state_root_unhashed(changes.accounts.iter().map(|(address, change)| {
        let after = change.after.expect("genesis accounts exist");
        let slots = change
            .storage
            .iter()
            .map(|(key, slot)| (B256::from(*key), slot.after));
        let account = TrieAccount {
            nonce: after.nonce,
            balance: after.balance,
            storage_root: root::storage_root_unhashed(slots),
            code_hash: after.code_hash,
        };
        (*address, account)
    }))
}

pub(crate) fn recovered(transaction: &Transaction) -> Arc<RecoveredTransaction> {
    Arc::new(RecoveredTransaction::recover(transaction.clone()).unwrap())
}

fn sign<T: SignableTransaction<Signature>>(
    signer: &PrivateKeySigner,
    transaction: T,
) -> alloy_consensus::Signed<T> {
    let signature = signer
        .sign_hash_sync(&transaction.signature_hash())
        .unwrap();
    transaction.into_signed(signature)
}

/// Everything of an EIP-1559 transaction that tests vary.
#[derive(Clone, Debug)]
pub(crate) struct Send {
    pub(crate) from: u8,
    pub(crate) nonce: u64,
    pub(crate) to: TxKind,
    pub(crate) value: u64,
    pub(crate) gas: u64,
    pub(crate) max_fee: u128,
    pub(crate) tip: u128,
    pub(crate) input: Bytes,
}

impl Send {
    pub(crate) fn new(from: u8, nonce: u64, to: Address) -> Self {
        Self {
            from,
            nonce,
            to: TxKind::Call(to),
            value: 0,
            gas: 100_000,
            max_fee: 0,
            tip: 0,
            input: Bytes::new(),
        }
    }

    pub(crate) fn create(from: u8, nonce: u64, init_code: Bytes) -> Self {
        Self {
            to: TxKind::Create,
            input: init_code,
            ..Self::new(from, nonce, Address::ZERO)
        }
    }

    pub(crate) fn value(self, value: u64) -> Self {
        Self { value, ..self }
    }

    pub(crate) fn gas(self, gas: u64) -> Self {
        Self { gas, ..self }
    }

    pub(crate) fn fees(self, max_fee: u128, tip: u128) -> Self {
        Self {
            max_fee,
            tip,
            ..self
        }
    }

    pub(crate) fn signed(&self) -> Transaction {
        let transaction = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: self.nonce,
            gas_limit: self.gas,
            max_fee_per_gas: self.max_fee,
            max_priority_fee_per_gas: self.tip,
            to: self.to,
            value: U256::from(self.value),
            access_list: Default::default(),
            input: self.input.clone(),
        };
        sign(&account(self.from), transaction).into()
    }

    pub(crate) fn signed_legacy(&self) -> Transaction {
        let transaction = TxLegacy {
            chain_id: Some(CHAIN_ID),
            nonce: self.nonce,
            gas_price: self.max_fee,
            gas_limit: self.gas,
            to: self.to,
            value: U256::from(self.value),
            input: self.input.clone(),
        };
        sign(&account(self.from), transaction).into()
    }

    /// The same as an EIP-7702 transaction.
    pub(crate) fn signed_with(&self, authorizations: Vec<SignedAuthorization>) -> Transaction {
        let TxKind::Call(to) = self.to else {
            panic!("EIP-7702 creates nothing")
        };
        let transaction = TxEip7702 {
            chain_id: CHAIN_ID,
            nonce: self.nonce,
            gas_limit: self.gas,
            max_fee_per_gas: self.max_fee,
            max_priority_fee_per_gas: self.tip,
            to,
            value: U256::from(self.value),
            access_list: Default::default(),
            authorization_list: authorizations,
            input: self.input.clone(),
        };
        sign(&account(self.from), transaction).into()
    }
}

/// Account `from` lets its address run the code at `delegate`.
pub(crate) fn authorize(from: u8, nonce: u64, delegate: Address) -> SignedAuthorization {
    let authorization = Authorization {
        chain_id: U256::from(CHAIN_ID),
        address: delegate,
        nonce,
    };
    let signature = account(from)
        .sign_hash_sync(&authorization.signature_hash())
        .unwrap();
    authorization.into_signed(signature)
}

/// Topic that the counter logs for a caller.
pub(crate) fn caller_topic(caller: Address) -> B256 {
    caller.into_word()
}

pub(crate) fn code_hash(code: &[u8]) -> B256 {
    keccak256(code)
}
