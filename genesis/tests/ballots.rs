//! A generated network governs itself from its first block: its organisations add a node, its operators admit it,
//! its new operator activates it, and the next height has one validator more.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolValue};
use medina_contracts::{permissioning::Permissioning::*, values::BallotKind};
use medina_execution::{BuildAttributes, ExecutedBlock, Executor};
use medina_genesis::{
    GeneratedNetwork, NetworkOptions, OPERATOR_KEY_FILE, generate_network, test_account,
};
use medina_storage::Store;
use medina_types::{NodePublicKey, NodeSecretKey, RecoveredTransaction, Transaction, Validator};
use std::{collections::BTreeMap, path::Path, sync::Arc};

const GAS: u64 = 2_000_000;

/// Calls of `Permissioning` by anybody, in order.
struct Calls {
    chain_id: u64,
    permissioning: Address,
    nonces: BTreeMap<Address, u64>,
    transactions: Vec<Arc<RecoveredTransaction>>,
}

impl Calls {
    fn of(network: &GeneratedNetwork) -> Self {
        let spec = network.genesis.spec();
        Self {
            chain_id: spec.chain_id,
            permissioning: spec.contracts["permissioning"],
            nonces: BTreeMap::new(),
            transactions: Vec::new(),
        }
    }

    fn add(&mut self, signer: &PrivateKeySigner, call: &impl SolCall) {
        let nonce = self.nonces.entry(signer.address()).or_default();
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce: *nonce,
            gas_limit: GAS,
            max_fee_per_gas: 0,
            max_priority_fee_per_gas: 0,
            to: TxKind::Call(self.permissioning),
            value: U256::ZERO,
            access_list: Default::default(),
            input: call.abi_encode().into(),
        };
        *nonce += 1;
        let hash = transaction.signature_hash();
        let signature = signer.sign_hash_sync(&hash).unwrap();
        let signed: Transaction = transaction.into_signed(signature).into();
        let recovered = RecoveredTransaction::recover(signed).unwrap();
        self.transactions.push(Arc::new(recovered));
    }

    /// The newcomer's node, added by the admin of an organisation, admitted by these operators, activated.
    fn admit(
        &mut self,
        admin: &PrivateKeySigner,
        org: B256,
        operators: &[PrivateKeySigner],
        newcomer: (&PrivateKeySigner, NodePublicKey),
    ) {
        let (operator, key) = newcomer;
        let node_key = B256::from(key.0);
        let ballot = U256::ONE;
        self.add(
            admin,
            &addNodeCall {
                org,
                nodeKey: node_key,
            },
        );
        let propose = proposeCall {
            kind: BallotKind::AddValidator.into(),
            data: (node_key, operator.address()).abi_encode().into(),
        };
        self.add(&operators[0], &propose);
        for voter in operators {
            self.add(voter, &voteCall { ballot, yes: true });
        }
        self.add(&operators[0], &executeCall { ballot });
        self.add(operator, &activateCall { nodeKey: node_key });
    }

    fn into_block(self, network: &GeneratedNetwork, folder: &Path) -> ExecutedBlock {
        let genesis = &network.genesis;
        let store = Store::open(folder, medina_storage::OpenOptions::default()).unwrap();
        store.initialize_genesis(&genesis.state()).unwrap();
        let head = store.head();
        let attributes = BuildAttributes {
            beneficiary: head.context.validators.get(0).unwrap().operator,
            timestamp_s: head.header.timestamp + 1,
            extra_data: Bytes::new(),
        };
        let count = self.transactions.len();
        let mut waiting = self.transactions.into_iter();
        let block = Executor::new(Arc::new(genesis.spec().clone()))
            .build(
                &store,
                &head,
                &attributes,
                &mut || waiting.next(),
                &mut || false,
            )
            .unwrap();
        assert_eq!(block.receipts.len(), count);
        for (index, receipt) in block.receipts.iter().enumerate() {
            assert!(receipt.success, "transaction {index}");
        }
        block
    }
}

fn options(folder: &Path, admin: Option<Address>) -> NetworkOptions {
    NetworkOptions {
        validators: 3,
        admin,
        ..NetworkOptions::new(folder.join("net"), 1_700_000_000)
    }
}

fn test_signer(index: u32) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&test_account(index).private_key).unwrap()
}

/// The set of genesis and one more.
fn grown(network: &GeneratedNetwork, key: NodePublicKey, operator: Address) -> Vec<Validator> {
    let mut validators = network.genesis.spec().validators.validators().to_vec();
    validators.push(Validator { key, operator });
    validators
}

#[test]
fn test_accounts_admit_another_validator() {
    let folder = tempfile::tempdir().unwrap();
    let network = generate_network(&options(folder.path(), None)).unwrap();
    let key = NodeSecretKey::from_bytes([9; 32]).public_key();
    let newcomer = test_signer(5);
    let mut calls = Calls::of(&network);
    let operators: Vec<_> = (0..2).map(test_signer).collect();
    calls.admit(&newcomer, keccak256("org-5"), &operators, (&newcomer, key));
    let block = calls.into_block(&network, &folder.path().join("data"));
    assert!(block.validators_refused.is_none());
    let expected = grown(&network, key, newcomer.address());
    assert_eq!(block.next_validators.validators(), expected);
}

#[test]
fn operators_of_a_network_with_an_admin_admit_another_validator() {
    let folder = tempfile::tempdir().unwrap();
    let admin = test_signer(0);
    let network = generate_network(&options(folder.path(), Some(admin.address()))).unwrap();
    let operators: Vec<_> = network.nodes[..2]
        .iter()
        .map(|node| {
            let path = node.config.with_file_name(OPERATOR_KEY_FILE);
            let text = std::fs::read_to_string(path).unwrap();
            text.trim().parse().unwrap()
        })
        .collect();
    let key = NodeSecretKey::from_bytes([9; 32]).public_key();
    // Nobody knew this account before.
    let newcomer = PrivateKeySigner::from_bytes(&B256::repeat_byte(3)).unwrap();
    let mut calls = Calls::of(&network);
    calls.admit(&admin, keccak256("org-0"), &operators, (&newcomer, key));
    let block = calls.into_block(&network, &folder.path().join("data"));
    let expected = grown(&network, key, newcomer.address());
    assert_eq!(block.next_validators.validators(), expected);
}
