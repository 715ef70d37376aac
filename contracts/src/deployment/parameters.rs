//! What a genesis chooses for the suite.

use crate::values::BusinessRole;
use alloy_primitives::{Address, B256, U256, keccak256};
use serde::{Deserialize, Serialize};

/// One token, 18 decimals.
const TOKEN: u128 = 1_000_000_000_000_000_000;
/// Seconds of a day.
const DAY: u32 = 24 * 60 * 60;

/// Everything the plan needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeploymentParameters {
    /// The market's money.
    pub token: TokenParameters,
    /// Gets ADMIN and GOVERNOR at the end.
    pub governor: Address,
    /// Delay of everything the governor does, seconds.
    #[serde(default)]
    pub governor_delay_s: u32,
    /// Delay of minting, seconds.
    #[serde(default)]
    pub minter_delay_s: u32,
    /// Cancel scheduled operations and close targets, without delay.
    #[serde(default)]
    pub guardians: Vec<Address>,
    /// Sign enrolments.
    #[serde(default)]
    pub certifiers: Vec<Address>,
    /// Resolve disputes.
    #[serde(default)]
    pub arbiters: Vec<Address>,
    /// Report metrics.
    #[serde(default)]
    pub monitors: Vec<Address>,
    /// Mint tokens.
    #[serde(default)]
    pub minters: Vec<Address>,
    /// First organisations and users; one must be an Administrator, or nobody can register more.
    pub organisations: Vec<OrganisationSeed>,
    /// Trust formulas.
    #[serde(default)]
    pub trust: TrustParameters,
    /// Fees and windows.
    #[serde(default)]
    pub market: MarketParameters,
    /// First nodes and validators.
    #[serde(default)]
    pub permissioning: PermissioningParameters,
}

/// The lists with which `Permissioning` starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PermissioningParameters {
    /// Nodes that connect until boot is closed, validators included, in the order of the set.
    pub nodes: Vec<NodeSeed>,
    /// Organisations with access Full: they deploy contracts and add nodes.
    pub full_access: Vec<B256>,
    /// Transact and deploy until boot is closed.
    pub accounts: Vec<Address>,
}

/// A node of genesis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSeed {
    /// Whose it is.
    pub org: B256,
    /// Its ed25519 key.
    pub key: B256,
    /// The operator of a validator; none for a node that does not validate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Address>,
}

/// The market's money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenParameters {
    /// As wallets show it; also the name of the ERC-2612 domain.
    pub name: String,
    /// As wallets show it.
    pub symbol: String,
    /// Most tokens there can ever be, base units.
    pub cap: U256,
    /// Where collected fees go.
    pub treasury: Address,
    /// Who owns tokens at genesis.
    #[serde(default)]
    pub holders: Vec<TokenHolder>,
}

/// An owner of tokens at genesis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenHolder {
    /// The account.
    pub account: Address,
    /// Base units.
    pub amount: U256,
}

/// One organisation and one of its users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrganisationSeed {
    /// Its id; where it equals `user_id`, the user is an individual and its own organisation.
    pub org: B256,
    /// The id of the user.
    pub user_id: B256,
    /// The account of the user and, for the first user of an organisation, its admin.
    pub account: Address,
    /// What the user may do.
    pub role: BusinessRole,
}

/// `TrustAndReputation.Params`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TrustParameters {
    /// Feedback of an organisation nobody has rated, basis points.
    pub prior: u16,
    /// Weight of the prior, units of evidence.
    pub prior_weight: u8,
    /// Half-life of feedback, seconds.
    pub half_feedback_s: u32,
    /// Half-life of uptime, seconds.
    pub half_uptime_s: u32,
    /// Half-life of misdeeds, seconds.
    pub half_misdeed_s: u32,
    /// Weight of the federation history in a reputation.
    pub weight_history: u8,
    /// Weight of bartering.
    pub weight_bartering: u8,
    /// Weight of refused accesses.
    pub weight_access_denied: u8,
    /// Weight of feedback.
    pub weight_feedback: u8,
    /// Exactly symbIoTe.
    pub compat: bool,
    /// Payments below it weigh nothing, base units.
    #[serde(with = "decimal")]
    pub dust: u128,
}

/// `DataMarketplace.setParams`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MarketParameters {
    /// Of what reaches the seller, basis points, at most 500.
    pub fee_bps: u16,
    /// Of the fee, to a buyer who rates, basis points.
    pub rebate_bps: u16,
    /// How long an arbiter has, seconds.
    pub dispute_in_s: u32,
}

impl Default for TrustParameters {
    fn default() -> Self {
        Self {
            prior: 5_000,
            prior_weight: 4,
            half_feedback_s: 90 * DAY,
            half_uptime_s: 7 * DAY,
            half_misdeed_s: 30 * DAY,
            weight_history: 10,
            weight_bartering: 5,
            weight_access_denied: 1,
            weight_feedback: 8,
            compat: false,
            dust: TOKEN / 100,
        }
    }
}

impl Default for MarketParameters {
    fn default() -> Self {
        Self {
            fee_bps: 100,
            rebate_bps: 1_000,
            dispute_in_s: 7 * DAY,
        }
    }
}

impl DeploymentParameters {
    /// A network for development: no delays; the first account is governor, administrator, certifier and so on;
    /// every account owns a million tokens and is admin and first user of its own organisation, with id
    /// keccak256("org-I") and user id keccak256("user-I"). There are no validators until
    /// [`Self::with_validators`] names them.
    ///
    /// Accounts whose keys everybody knows hold all power here: a node keeps its RPC to loopback on such chains.
    #[must_use]
    pub fn development(accounts: &[Address]) -> Self {
        let admin = accounts.first().copied().unwrap_or_default();
        let roles = std::iter::once(BusinessRole::Administrator)
            .chain(std::iter::repeat(BusinessRole::Manager));
        let organisations: Vec<_> = accounts
            .iter()
            .zip(roles)
            .enumerate()
            .map(|(index, (account, role))| OrganisationSeed::numbered(index, *account, role))
            .collect();
        let permissioning = PermissioningParameters {
            nodes: Vec::new(),
            full_access: organisations.iter().map(|seed| seed.org).collect(),
            accounts: accounts.to_vec(),
        };
        let amount = U256::from(1_000_000) * U256::from(TOKEN);
        let holders = accounts
            .iter()
            .map(|account| TokenHolder {
                account: *account,
                amount,
            })
            .collect();
        Self {
            token: TokenParameters {
                name: "Medina".to_owned(),
                symbol: "MDN".to_owned(),
                cap: U256::from(1_000_000_000) * U256::from(TOKEN),
                treasury: admin,
                holders,
            },
            governor: admin,
            governor_delay_s: 0,
            minter_delay_s: 0,
            guardians: vec![admin],
            certifiers: vec![admin],
            arbiters: vec![admin],
            monitors: vec![admin],
            minters: vec![admin],
            organisations,
            trust: TrustParameters::default(),
            market: MarketParameters::default(),
            permissioning,
        }
    }

    /// Adds validators, each as ed25519 key and operator, in this order. The node belongs to the organisation of
    /// its operator; an operator without one becomes admin of the next numbered organisation, so that every
    /// operator votes for its own.
    #[must_use]
    pub fn with_validators(
        mut self,
        validators: impl IntoIterator<Item = (B256, Address)>,
    ) -> Self {
        for (key, operator) in validators {
            let org = self.organisation_of(operator);
            self.permissioning.nodes.push(NodeSeed {
                org,
                key,
                operator: Some(operator),
            });
        }
        self
    }

    fn organisation_of(&mut self, account: Address) -> B256 {
        let known = self
            .organisations
            .iter()
            .find(|seed| seed.account == account);
        if let Some(seed) = known {
            return seed.org;
        }
        let index = self.organisations.len();
        let seed = OrganisationSeed::numbered(index, account, BusinessRole::Manager);
        let org = seed.org;
        self.organisations.push(seed);
        self.permissioning.full_access.push(org);
        self.permissioning.accounts.push(account);
        org
    }
}

impl OrganisationSeed {
    /// Organisation keccak256("org-`index`") with its first user keccak256("user-`index`").
    #[must_use]
    pub fn numbered(index: usize, account: Address, role: BusinessRole) -> Self {
        Self {
            org: keccak256(format!("org-{index}")),
            user_id: keccak256(format!("user-{index}")),
            account,
            role,
        }
    }
}

/// Token amounts as decimal strings: JSON numbers end at 2^53.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<u128, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}
