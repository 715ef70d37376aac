//! A chain with something on it: every type of transaction, creations, events,
//! calls between contracts, reverts, and one transaction that waits.

use alloy_consensus::SignableTransaction as _;
use alloy_eips::{eip2718::Encodable2718 as _, eip7702::Authorization};
use alloy_network::{EthereumWallet, TransactionBuilder as _, TransactionBuilder7702 as _};
use alloy_primitives::{Address, B256, Bytes, U256, bytes};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_rpc_types_eth::{AccessList, AccessListItem, TransactionReceipt, TransactionRequest};
use alloy_signer::SignerSync as _;
use alloy_signer_local::{MnemonicBuilder, PrivateKeySigner, coins_bip39::English};
use std::time::Duration;

use crate::processes::PATIENCE;

/// The accounts that every development chain has.
const MNEMONIC: &str = "test test test test test test test test test test test junk";
/// Creates a contract that, called with nothing, raises slot 1, tells of it in two
/// events and calls itself with one byte; called with data, it reverts with the
/// reason `no`.
const CONTRACT: Bytes = bytes!(
    "605080600b6000396000f336602c5760015460010180600155600052600760206000a160206000a060006000600160006000305af150005b6308c379a060e01b60005260206004526002602452616e6f60f01b60445260646000fd"
);
/// Gas that every transaction here may take.
const GAS: u64 = 500_000;

/// What was put on a chain.
#[derive(Clone, Debug)]
pub struct Filled {
    /// The account that sent everything.
    pub sender: Address,
    /// A contract with code, storage and events.
    pub contract: Address,
    /// Transactions by what they are.
    pub transactions: Vec<(&'static str, B256)>,
    /// A signed transaction that nobody has sent.
    pub unsent: Bytes,
    /// Height of the last block.
    pub height: u64,
}

fn account(index: u32) -> PrivateKeySigner {
    let builder = MnemonicBuilder::<English>::default().phrase(MNEMONIC);
    let builder = builder.index(index).expect("a small index");
    builder.build().expect("the well-known mnemonic")
}

/// Fills the chain of a node whose development accounts have coins.
///
/// # Panics
/// When a transaction is not taken, or does not end as it must.
pub async fn fill(url: &str) -> Filled {
    let signer = account(0);
    let sender = signer.address();
    let provider = ProviderBuilder::new()
        .wallet(EthereumWallet::from(signer.clone()))
        .connect_http(url.parse().expect("a URL"));
    provider
        .client()
        .set_poll_interval(Duration::from_millis(20));
    let chain_id = provider.get_chain_id().await.expect("a chain id");
    let mut transactions = Vec::new();
    let created = request(None).with_input(CONTRACT);
    let receipt = mined(&provider, created).await;
    let contract = receipt.contract_address.expect("it creates a contract");
    transactions.push(("creation", receipt.transaction_hash));
    let listed = AccessList(vec![AccessListItem {
        address: contract,
        storage_keys: vec![B256::with_last_byte(1)],
    }]);
    let authority = account(9);
    let nonce = provider.get_transaction_count(authority.address()).await;
    let authorization = Authorization {
        chain_id: U256::from(chain_id),
        address: contract,
        nonce: nonce.expect("a nonce"),
    };
    let signature = authority.sign_hash_sync(&authorization.signature_hash());
    let authorization = authorization.into_signed(signature.expect("a local key signs"));
    let to_contract = || request(Some(contract));
    for (name, wanted) in [
        ("legacy", to_contract().with_gas_price(1_000_000_000)),
        ("access list", {
            let legacy = to_contract().with_gas_price(1_000_000_000);
            legacy.with_access_list(listed.clone())
        }),
        ("dynamic fee", dynamic(to_contract())),
        ("delegation", {
            let plain = dynamic(request(Some(authority.address())));
            plain.with_authorization_list(vec![authorization])
        }),
        (
            "transfer",
            dynamic(request(Some(Address::repeat_byte(9))).with_value(U256::ONE)),
        ),
        ("revert", dynamic(to_contract().with_input(bytes!("01")))),
    ] {
        let receipt = mined(&provider, wanted).await;
        assert_eq!(receipt.status(), name != "revert", "{name}");
        transactions.push((name, receipt.transaction_hash));
    }
    let nonce = provider
        .get_transaction_count(sender)
        .await
        .expect("a nonce");
    // Far ahead, so that it waits, for whoever fills the chain again too.
    let waiting = signed(&signer, chain_id, nonce + 40, contract);
    let sent = provider.send_raw_transaction(&waiting).await;
    let _waits = sent.expect("the pool keeps transactions for later");
    Filled {
        sender,
        contract,
        transactions,
        unsent: signed(&signer, chain_id, nonce, contract),
        height: provider.get_block_number().await.expect("a height"),
    }
}

fn request(to: Option<Address>) -> TransactionRequest {
    let request = TransactionRequest::default().with_gas_limit(GAS);
    match to {
        Some(to) => request.with_to(to),
        None => request.into_create(),
    }
}

fn dynamic(request: TransactionRequest) -> TransactionRequest {
    request
        .with_max_fee_per_gas(2_000_000_000)
        .with_max_priority_fee_per_gas(1_000_000_000)
}

async fn mined(provider: &impl Provider, request: TransactionRequest) -> TransactionReceipt {
    let pending = provider.send_transaction(request).await;
    let pending = pending.expect("the pool takes it");
    let receipt = pending.with_timeout(Some(PATIENCE)).get_receipt().await;
    receipt.expect("a receipt")
}

fn signed(signer: &PrivateKeySigner, chain_id: u64, nonce: u64, to: Address) -> Bytes {
    let transaction = alloy_consensus::TxEip1559 {
        chain_id,
        nonce,
        gas_limit: GAS,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: to.into(),
        ..Default::default()
    };
    let signature = signer.sign_hash_sync(&transaction.signature_hash());
    let signature = signature.expect("a local key signs");
    let envelope: alloy_consensus::TxEnvelope = transaction.into_signed(signature).into();
    envelope.encoded_2718().into()
}
