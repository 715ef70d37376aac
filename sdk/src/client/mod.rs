//! The market from outside: typed calls and transactions over JSON-RPC, and the buyer's side of
//! the gateway.
//!
//! [`MarketClient`] knows where the contracts are (`medina_contracts`) and sends with an account
//! if it has one. Every transaction is estimated first, so that what a contract refuses is said
//! by name before anything is sent; see [`send`](MarketClient::send) for nonces and fees.
//!
//! Times come from the caller: nothing here reads a clock.
//!
//! ```no_run
//! use alloy_primitives::B256;
//! use medina_sdk::client::{ClientError, MarketClient, Purchase};
//! use medina_sdk::wallet::{Mnemonic, TEST_MNEMONIC};
//! # async fn example() -> Result<(), ClientError> {
//! let account = Mnemonic::parse(TEST_MNEMONIC)?.account(2)?;
//! let buyer = MarketClient::connect("http://127.0.0.1:8545").await?.with_account(account);
//! let wanted = Purchase {
//!     listing: 1,
//!     units: 3,
//!     user: None,
//!     max_amount: None,
//!     purpose: B256::ZERO,
//!     deadline: 2_000_000_000,
//! };
//! match buyer.buy(&wanted).await {
//!     Ok((order, receipt)) => println!("order {order} in block {}", receipt.block),
//!     Err(error) => println!("{error}: {}", error.advice().unwrap_or("no advice")),
//! }
//! # Ok(())
//! # }
//! ```

mod abi;
mod advice;
mod anchors;
mod ballots;
mod buyer;
mod consent;
mod coupons;
mod denials;
mod error;
mod federations;
mod gateway_chain;
mod governance;
mod identity;
mod incidents;
mod index;
mod logs;
mod market;
mod orders;
mod outbox;
mod permissioning;
mod push;
mod sealed;
mod search;
mod send;
mod sensors;
mod simulate;
mod sla;
mod subscribe;
mod token;
mod trading;
mod trust;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use alloy_eips::BlockId;
use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, B256, Bytes};
use alloy_provider::{Provider, RootProvider};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_sol_types::SolCall;
use medina_contracts::ContractAddresses;
use medina_contracts::identity::Identity;

pub use self::anchors::{AnchorStats, AnchoredRoot, Verdict};
pub use self::ballots::{FederationBallot, FederationChange};
pub use self::buyer::{
    BuyerError, Delivery, GatewayBuyer, RootSource, Sold, Target, VerifiedReading,
};
pub use self::consent::{AccessRecord, GrantRecord, GrantTerms, RequestRecord};
pub use self::coupons::{Coupon, CouponStatus, UseRequest, coupon_state_text};
pub use self::denials::{DenialReport, DeniedAccess};
pub use self::error::ClientError;
pub(crate) use self::error::decode_revert;
pub use self::federations::{
    Constraint, FederationRecord, FederationTerms, MembershipRecord, ShareRecord, WishRecord,
};
pub use self::governance::{
    AccessRole, GovernanceAction, Governed, ScheduledOperation, TrustParams,
};
pub use self::identity::{EnrolmentTerms, OrgRecord, SignedEnrolment, UserRecord};
pub use self::incidents::{
    AlertRecord, AlertVerdict, ImpactRecord, IncidentAlert, IncidentHistory, IncidentRecord,
    IncidentReport, Response, ResponseRecord,
};
pub use self::index::{IndexQuery, IndexedListing, IndexedSensor, SearchIndex};
pub use self::market::{ListingTerms, MarketListing, MarketOrder, Purchase};
pub use self::orders::{Income, IncomeRow, PurchaseIntent, SignedIntent};
pub use self::permissioning::{BallotRecord, BallotSubject, NodeRecord, ValidatorChange, Voter};
pub use self::search::{FoundListing, SearchFilter};
pub use self::send::{PlannedTransaction, Receipt};
pub use self::sensors::{NewSensor, SensorRecord};
pub use self::sla::{PenaltyRecord, PolicyTerms, SlaReading, SlaSummary, ViolationRecord};
pub use self::subscribe::{ChainEvent, Cursor, EventFilter, Subscription};
pub use self::trading::{CouponRules, CouponStats, SwapOffer};
pub use self::trust::{Score, TrustReport};
pub use medina_contracts::values::{
    Access, BusinessRole, CouponKind, CouponStatus as CouponState, IdentityStatus, ListingKind,
    NodeState, OrderState, Price, RequestKind, ResourceType,
};

use self::send::Sender;
use self::simulate::DryRun;
use crate::device::Verifiers;
use crate::url::place_of;
use crate::wallet::Account;

/// A connection to a node, the contracts' addresses, and perhaps an account to send with. `Debug`
/// shows the node's host only: its URL may carry a token.
pub struct MarketClient {
    provider: RootProvider,
    contracts: ContractAddresses,
    /// Addresses by the names that the node gave, also of contracts this crate has no field for.
    named: BTreeMap<String, Address>,
    chain_id: u64,
    sender: Option<Sender>,
    dry_run: Option<Arc<DryRun>>,
    /// Where events are pushed from.
    push_url: String,
}

impl MarketClient {
    /// Connects and asks the node for chain id and contract addresses.
    pub async fn connect(rpc_url: &str) -> Result<Self, ClientError> {
        let url = push::http_url_of(rpc_url)
            .parse()
            .map_err(|_| ClientError::bad_url(rpc_url))?;
        let provider = RootProvider::new_http(url);
        let chain_id = provider
            .get_chain_id()
            .await
            .map_err(|error| ClientError::rpc("eth_chainId", rpc_url, &error))?;
        let answer: serde_json::Value =
            provider
                .raw_request("medina_contracts".into(), ())
                .await
                .map_err(|error| ClientError::rpc("medina_contracts", rpc_url, &error))?;
        let contracts = addresses_from(&answer)?;
        Ok(Self {
            provider,
            named: names_from(&answer),
            contracts,
            chain_id,
            sender: None,
            dry_run: None,
            push_url: push::url_of(rpc_url),
        })
    }

    /// Connects where the addresses are known already.
    pub async fn connect_with(
        rpc_url: &str,
        contracts: ContractAddresses,
    ) -> Result<Self, ClientError> {
        let url = push::http_url_of(rpc_url)
            .parse()
            .map_err(|_| ClientError::bad_url(rpc_url))?;
        let provider = RootProvider::new_http(url);
        let chain_id = provider
            .get_chain_id()
            .await
            .map_err(|error| ClientError::rpc("eth_chainId", rpc_url, &error))?;
        let named = contracts.named().into_iter();
        Ok(Self {
            provider,
            named: named
                .map(|(name, address)| (name.to_lowercase(), address))
                .collect(),
            contracts,
            chain_id,
            sender: None,
            dry_run: None,
            push_url: push::url_of(rpc_url),
        })
    }

    /// The same connection, sending as `account`.
    #[must_use]
    pub fn with_account(self, account: Account) -> Self {
        Self {
            sender: Some(Sender::new(account)),
            ..self
        }
    }

    /// A second client on the same connection, sending as `account`.
    #[must_use]
    pub fn for_account(&self, account: Account) -> Self {
        Self {
            provider: self.provider.clone(),
            contracts: self.contracts,
            named: self.named.clone(),
            chain_id: self.chain_id,
            sender: Some(Sender::new(account)),
            dry_run: self.dry_run.clone(),
            push_url: self.push_url.clone(),
        }
    }

    /// The same client, which sends nothing: what would be its first transaction comes back as
    /// [`ClientError::DryRun`], with its gas and cost, or is refused as it would be.
    #[must_use]
    pub fn dry_run(self) -> Self {
        Self {
            dry_run: Some(Arc::new(DryRun::First)),
            ..self
        }
    }

    /// The same client, which sends nothing and goes on as if it had: each transaction is simulated
    /// upon those before it, and what is read from contracts afterwards is how they would leave it.
    /// Events of the past know nothing of them.
    #[must_use]
    pub fn simulation(self) -> Self {
        Self {
            dry_run: Some(Arc::new(DryRun::all())),
            ..self
        }
    }

    /// Where the contracts are.
    pub fn contracts(&self) -> &ContractAddresses {
        &self.contracts
    }

    /// The contracts that judge signatures of devices.
    pub fn verifiers(&self) -> Verifiers {
        Verifiers::from(&self.contracts)
    }

    /// Where a contract of the suite is, by its name in any case.
    pub fn contract(&self, name: &'static str) -> Result<Address, ClientError> {
        let found = self.named.get(&name.to_lowercase()).copied();
        found.ok_or(ClientError::NoContract(name))
    }

    /// The name of the contract of the suite at an address.
    pub fn contract_name(&self, address: Address) -> Option<String> {
        let known = ContractAddresses::named(&self.contracts);
        if let Some((name, _)) = known.iter().find(|(_, at)| *at == address) {
            return Some((*name).to_owned());
        }
        let other = self.named.iter().find(|(_, at)| **at == address);
        other.map(|(name, _)| name.clone())
    }

    /// The chain's id.
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The node's JSON-RPC, for what this client has no function for.
    pub fn provider(&self) -> &RootProvider {
        &self.provider
    }

    /// Who sends.
    pub fn account(&self) -> Result<&Account, ClientError> {
        self.sender
            .as_ref()
            .map(Sender::account)
            .ok_or(ClientError::NoAccount)
    }

    /// Reads from a contract, in the environment of the next block: the head's own time is old on
    /// an idle chain, and access that has ended must not seem alive.
    pub async fn call<C: SolCall>(&self, to: Address, call: C) -> Result<C::Return, ClientError> {
        let mut request = TransactionRequest::default()
            .with_to(to)
            .with_input(call.abi_encode());
        if let Some(sender) = &self.sender {
            request = request.with_from(sender.account().address());
        }
        let answer = match self.simulated(&request, C::SIGNATURE).await? {
            Some(answer) => answer,
            None => self
                .provider
                .call(request)
                .block(BlockId::pending())
                .await
                .map_err(|error| ClientError::from_call(C::SIGNATURE, &error))?,
        };
        C::abi_decode_returns(&answer).map_err(|_| ClientError::BadAnswer(C::SIGNATURE))
    }

    /// The code of an account; empty if it is no contract.
    pub async fn code_at(&self, account: Address) -> Result<Bytes, ClientError> {
        let code = self.provider.get_code_at(account).await;
        code.map_err(|error| ClientError::rpc("eth_getCode", "the node", &error))
    }

    /// The organisation of an account; zero if it has none.
    pub async fn org_of(&self, account: Address) -> Result<B256, ClientError> {
        self.call(self.contracts.identity, Identity::orgOfCall { a: account })
            .await
    }

    /// The business role of an account, 0 (Visitor) to 4 (Administrator).
    pub async fn role_of(&self, account: Address) -> Result<u8, ClientError> {
        self.call(self.contracts.identity, Identity::roleOfCall { a: account })
            .await
    }

    /// The sender's own organisation.
    pub async fn own_org(&self) -> Result<B256, ClientError> {
        let address = self.account()?.address();
        match self.org_of(address).await? {
            B256::ZERO => Err(ClientError::NoOrganisation(address)),
            org => Ok(org),
        }
    }
}

impl fmt::Debug for MarketClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MarketClient")
            .field("node", &place_of(&self.push_url))
            .field("chain_id", &self.chain_id)
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}

/// Every address of the answer by its name in lower case.
fn names_from(answer: &serde_json::Value) -> BTreeMap<String, Address> {
    let fields = answer.as_object().into_iter().flatten();
    let address = |value: &serde_json::Value| value.as_str()?.parse().ok();
    fields
        .filter_map(|(name, value)| Some((name.to_lowercase(), address(value)?)))
        .collect()
}

/// Reads the answer of `medina_contracts`: names in any case, so that camelCase and the contracts'
/// own names both do.
fn addresses_from(answer: &serde_json::Value) -> Result<ContractAddresses, ClientError> {
    let fields = answer
        .as_object()
        .ok_or(ClientError::BadAnswer("medina_contracts"))?;
    let find = |name: &str| {
        let short = name.strip_prefix("ERC7913").unwrap_or(name);
        fields.iter().find(|(field, _)| {
            field.eq_ignore_ascii_case(name) || field.eq_ignore_ascii_case(short)
        })
    };
    let names = ContractAddresses::of(Address::ZERO)
        .named()
        .map(|(name, _)| name);
    let found: serde_json::Map<_, _> = names
        .into_iter()
        .filter_map(|name| find(name).map(|(_, address)| (name.to_owned(), address.clone())))
        .collect();
    serde_json::from_value(found.into())
        .map_err(|error| ClientError::BadContracts(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contract_addresses_are_read_in_both_spellings() {
        let addresses = ContractAddresses::of(Address::repeat_byte(7));
        let json = serde_json::to_value(addresses).expect("serializes");
        assert_eq!(addresses_from(&json).expect("reads"), addresses);
        let lower = |name: &str| {
            let name = name.strip_prefix("ERC7913").unwrap_or(name);
            name[..1].to_lowercase() + &name[1..]
        };
        let camel: serde_json::Map<_, _> = addresses
            .named()
            .into_iter()
            .map(|(name, address)| (lower(name), serde_json::json!(address)))
            .collect();
        assert_eq!(addresses_from(&camel.into()).expect("reads"), addresses);
        assert!(matches!(
            addresses_from(&serde_json::json!({})),
            Err(ClientError::BadContracts(_))
        ));
        assert!(matches!(
            addresses_from(&serde_json::json!(1)),
            Err(ClientError::BadAnswer(_))
        ));
    }

    #[tokio::test]
    async fn nonsense_url_and_silent_node_are_clear_errors() {
        assert!(matches!(
            MarketClient::connect("not a url").await,
            Err(ClientError::BadUrl(_))
        ));
        let error = MarketClient::connect("http://127.0.0.1:1")
            .await
            .expect_err("nobody is there");
        assert!(error.to_string().contains("http://127.0.0.1:1"), "{error}");
    }

    /// A server that answers whatever comes with the same bytes.
    async fn mute(answer: &'static [u8]) -> std::net::SocketAddr {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn token_of_a_url_is_in_no_error() {
        let refusing = "127.0.0.1:1".parse().expect("an address");
        let closing = mute(b"").await;
        let unauthorized = mute(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
        let other = mute(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
        for place in [refusing, closing, unauthorized, other] {
            for url in [
                format!("http://{place}/?token=secret"),
                format!("http://{place}/secret/rpc"),
                format!("ws://me:secret@{place}"),
            ] {
                let addresses = ContractAddresses::of(Address::ZERO);
                for answer in [
                    MarketClient::connect(&url).await,
                    MarketClient::connect_with(&url, addresses).await,
                ] {
                    let error = answer.expect_err("this is no node");
                    let text = format!("{error} {error:?}");
                    assert!(!text.contains("secret"), "{url}: {text}");
                    assert!(text.contains(&place.to_string()), "{url}: {text}");
                }
            }
        }
        let bad = MarketClient::connect("http://a b/?token=secret").await;
        let text = bad.expect_err("is no URL").to_string();
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn debug_of_a_client_and_its_subscription_shows_the_host_only() {
        let url = "http://me:secret@127.0.0.1:1/secret?token=secret";
        let client = MarketClient {
            provider: RootProvider::new_http(url.parse().expect("a URL")),
            contracts: ContractAddresses::of(Address::ZERO),
            named: BTreeMap::new(),
            chain_id: 1,
            sender: None,
            dry_run: None,
            push_url: push::url_of(url),
        };
        let events = client.subscribe(EventFilter::default(), Cursor::default());
        let text = format!("{client:?} {events:?}");
        assert!(
            text.contains("127.0.0.1:1") && !text.contains("secret"),
            "{text}"
        );
    }
}
