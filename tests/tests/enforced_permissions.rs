//! A network whose genesis says that permissions are enforced: who is refused, why,
//! and that the refusal follows the contract from block to block.

use alloy_network::{EthereumWallet, TransactionBuilder as _};
use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use alloy_provider::{DynProvider, Provider as _, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer_local::{MnemonicBuilder, PrivateKeySigner, coins_bip39::English};
use alloy_sol_types::{SolCall as _, SolValue as _};
use medina_contracts::bindings::{
    identity::Identity,
    permissioning::Permissioning::{self, PermissioningInstance},
};
use medina_tests::processes::{NetworkOfProcesses, PATIENCE, eventually};
use serde_json::json;
use std::time::Duration;

const MNEMONIC: &str = "test test test test test test test test test test test junk";
/// Governor and administrator of a new network.
const GOVERNOR: usize = 0;
/// Kind of a ballot about the access of an organisation.
const ORG_ACCESS: u8 = 0;
const TRANSACT: U256 = U256::ONE;
/// ERC-1967: where a proxy keeps the address of its code.
const IMPLEMENTATION_SLOT: B256 = B256::new(hex!(
    "360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"
));

fn signer(account: usize) -> PrivateKeySigner {
    MnemonicBuilder::<English>::default()
        .phrase(MNEMONIC)
        .index(u32::try_from(account).expect("a small number"))
        .and_then(|builder| builder.build())
        .expect("the test mnemonic has this account")
}

struct Story {
    network: NetworkOfProcesses,
}

impl Story {
    async fn start() -> Self {
        let mut network = NetworkOfProcesses::create_with(4, &["--permissions", "enforced"]);
        for index in 0..network.len() {
            network.run(index);
        }
        for index in 0..network.len() {
            network.ready(index).await;
            network.linked(index, 3).await;
        }
        Self { network }
    }

    fn provider(&self, signer: PrivateKeySigner) -> DynProvider {
        let provider = ProviderBuilder::new()
            .with_simple_nonce_management()
            .wallet(EthereumWallet::from(signer))
            .connect_http(self.network.rpc_url(0).parse().expect("a URL"))
            .erased();
        provider
            .client()
            .set_poll_interval(Duration::from_millis(20));
        provider
    }

    async fn address_of(&self, contract: &str) -> Address {
        let contracts = self.network.call(0, "medina_contracts", json!([])).await;
        let address = contracts[contract].as_str().expect("deployed");
        address.parse().expect("an address")
    }

    async fn permissioning(&self, account: usize) -> PermissioningInstance<DynProvider> {
        let at = self.address_of("permissioning").await;
        Permissioning::new(at, self.provider(signer(account)))
    }

    /// Sends and waits; the node's words where it refuses.
    async fn send(
        &self,
        from: PrivateKeySigner,
        request: TransactionRequest,
    ) -> Result<(), String> {
        let provider = self.provider(from);
        // Explicit gas: an estimate asks for no permission.
        let request = request.with_gas_limit(2_000_000);
        let sent = provider.send_transaction(request).await;
        let sent = sent.map_err(|error| error.to_string())?;
        let receipt = sent.with_timeout(Some(PATIENCE)).get_receipt().await;
        assert!(receipt.expect("a receipt").status());
        Ok(())
    }

    async fn pays(&self, from: PrivateKeySigner) -> Result<(), String> {
        let request = TransactionRequest::default().with_to(Address::repeat_byte(0x77));
        self.send(from, request).await
    }

    async fn deploys(&self, from: PrivateKeySigner) -> Result<(), String> {
        // Leaves one byte of code: STOP.
        let code = Bytes::from_static(&hex!("60015ff3"));
        let request = TransactionRequest::default().with_deploy_code(code);
        self.send(from, request).await
    }

    async fn calls(&self, account: usize, to: Address, data: Vec<u8>) {
        let request = TransactionRequest::default()
            .with_to(to)
            .with_input(Bytes::from(data));
        let sent = self.send(signer(account), request).await;
        sent.expect("a permitted transaction");
    }

    /// A ballot of the operators 0 to 2 of four.
    async fn ballot(&self, kind: u8, data: Vec<u8>) {
        let contract = self.permissioning(GOVERNOR).await;
        let at = *contract.address();
        let propose = Permissioning::proposeCall {
            kind,
            data: data.into(),
        };
        self.calls(0, at, propose.abi_encode()).await;
        let ballot = contract.ballotCount().call().await.expect("a count");
        for voter in 0..3 {
            let vote = Permissioning::voteCall { ballot, yes: true };
            self.calls(voter, at, vote.abi_encode()).await;
        }
        let execute = Permissioning::executeCall { ballot };
        self.calls(0, at, execute.abi_encode()).await;
    }

    fn key(&self, node: usize) -> B256 {
        let path = self.network.node_folder(node).join("node.key");
        let text = std::fs::read_to_string(path).expect("every node has a key");
        let secret = medina_types::NodeSecretKey::from_hex(&text).expect("a key");
        secret.public_key().0.into()
    }

    async fn peers(&self, node: usize) -> Option<String> {
        let count = self.network.try_call(node, "net_peerCount", json!([]));
        Some(count.await?.as_str()?.to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stranger_is_refused_with_the_reason_and_rights_follow_the_contract() {
    let story = Story::start().await;
    let stranger = PrivateKeySigner::random();
    let refused = story.pays(stranger.clone()).await.expect_err("a stranger");
    assert!(refused.contains("not permitted"), "{refused}");
    assert!(refused.contains("no live id"), "{refused}");
    assert!(
        refused.contains(&stranger.address().to_string()),
        "{refused}"
    );

    // While the network is being set up, the accounts of genesis may do all.
    story.pays(signer(5)).await.expect("listed in genesis");
    story.deploys(signer(5)).await.expect("listed in genesis");
    let close = Permissioning::closeBootCall {};
    let permissioning = story.address_of("permissioning").await;
    story
        .calls(GOVERNOR, permissioning, close.abi_encode())
        .await;
    story
        .deploys(signer(5))
        .await
        .expect("its organisation has access Full");

    let org = keccak256("org-5");
    story.ballot(ORG_ACCESS, (org, TRANSACT).abi_encode()).await;
    let refused = story
        .deploys(signer(5))
        .await
        .expect_err("no access Deploy");
    assert!(refused.contains("not create contracts"), "{refused}");
    story.pays(signer(5)).await.expect("it may still transact");

    let suspend = Identity::setStatusCall {
        userId: keccak256("user-5"),
        s: 2,
        reason: B256::ZERO,
    };
    let identity = story.address_of("identity").await;
    story.calls(GOVERNOR, identity, suspend.abi_encode()).await;
    let refused = story.pays(signer(5)).await.expect_err("suspended");
    assert!(refused.contains("no live id"), "{refused}");
    // Reading needs no permission.
    let provider = story.provider(stranger);
    assert!(provider.get_balance(signer(5).address()).await.is_ok());
    story.network.agree(&[0, 1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_that_fails_is_mended_by_those_whom_genesis_lists() {
    let story = Story::start().await;
    let proxy = story.address_of("permissioning").await;
    let identity = story.address_of("identity").await;
    let provider = story.provider(signer(GOVERNOR));
    let implementation = |proxy| {
        let slot = provider.get_storage_at(proxy, IMPLEMENTATION_SLOT.into());
        async { Address::from_word(slot.await.expect("a slot").into()) }
    };
    let (working, foreign) = (implementation(proxy).await, implementation(identity).await);
    let upgrade = |to| Permissioning::upgradeToAndCallCall {
        newImplementation: to,
        data: Bytes::new(),
    };
    // Identity's code in its place knows none of the node's questions.
    let broken = upgrade(foreign).abi_encode();
    story.calls(GOVERNOR, proxy, broken).await;
    story.pays(signer(7)).await.expect("listed in genesis");
    let refused = story.pays(PrivateKeySigner::random()).await;
    assert!(refused.is_err_and(|text| text.contains("not permitted")));
    story.network.agree(&[0, 1, 2, 3]).await;
    let mended = upgrade(working).abi_encode();
    story.calls(GOVERNOR, proxy, mended).await;
    let contract = story.permissioning(GOVERNOR).await;
    let operators = contract.getValidators().call().await.expect("a list");
    assert_eq!(operators.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn node_connects_when_the_contract_admits_it_and_is_cut_off_when_it_does_not() {
    let mut story = Story::start().await;
    story.pays(signer(6)).await.expect("listed in genesis");
    // It is in everybody's file of known nodes, which admits nobody here.
    let node = story.network.add_follower();
    story.network.run(node);
    let dialled = || async {
        let log = story.network.log(0);
        log.contains("refused a peer").then_some(())
    };
    eventually("a validator refuses the new node", dialled).await;
    assert_eq!(story.peers(node).await.as_deref(), Some("0x0"));

    let permissioning = story.address_of("permissioning").await;
    let (org, key) = (keccak256("org-6"), story.key(node));
    let add = Permissioning::addNodeCall { org, nodeKey: key };
    story.calls(6, permissioning, add.abi_encode()).await;
    story.network.linked(node, 4).await;
    story.network.agree(&[0, 1, 2, 3, node]).await;

    let inactive = Permissioning::setNodeCall { nodeKey: key, s: 2 };
    story.calls(6, permissioning, inactive.abi_encode()).await;
    eventually("all links of the node are closed", || async {
        (story.peers(node).await? == "0x0").then_some(())
    })
    .await;
    story.pays(signer(6)).await.expect("the validators go on");
    story.network.agree(&[0, 1, 2, 3]).await;
}
