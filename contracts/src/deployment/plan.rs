//! The transactions, in order.

use super::addresses::nonces;
use super::{ContractAddresses, DeploymentParameters};
use crate::bindings::{
    access_manager::AccessManager,
    bartering_coupons::BarteringCoupons,
    consent_and_access::ConsentAndAccess,
    data_anchor::DataAnchor,
    data_marketplace::{DataMarketplace, MarketState},
    ed25519_verifier::Ed25519Verifier,
    erc1967_proxy::ERC1967Proxy,
    erc7913_p256_verifier::ERC7913P256Verifier,
    erc7913_webauthn_verifier::ERC7913WebAuthnVerifier,
    federation_ballots::{FederationBallots, FederationState as BallotsState},
    federation_registry::{FederationRegistry, FederationState},
    gatekeeper::Gatekeeper,
    identity::{IIdentity, Identity},
    incident_registry::IncidentRegistry,
    market_orders::{MarketOrders, MarketState as OrdersState},
    medina_token::MedinaToken,
    permissioning::{IPermissioning, Permissioning},
    private_groups::PrivateGroups,
    sealed_delivery::SealedDelivery,
    sensor_registry::SensorRegistry,
    sla_registry::SlaRegistry,
    trust_and_reputation::{ITrustAndReputation, TrustAndReputation},
};
use crate::values::access_roles as roles;
use alloy_primitives::{Address, Bytes, FixedBytes};
use alloy_sol_types::{SolCall, SolConstructor};

/// One transaction of the deployer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Creates a contract.
    Create {
        /// What it is, for messages.
        name: &'static str,
        /// Where it must come to lie.
        address: Address,
        /// Creation code with constructor arguments.
        init_code: Bytes,
    },
    /// Calls one that exists by then; must not revert.
    Call {
        /// What it does, for messages.
        name: String,
        /// The contract.
        to: Address,
        /// Selector and arguments.
        data: Bytes,
    },
}

/// The suite as transactions of one deployer, nonce 0 first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentPlan {
    /// Who runs it; has no role afterwards.
    pub deployer: Address,
    /// In this order, each with the next nonce, value 0.
    pub steps: Vec<Step>,
    /// Where everything lies afterwards.
    pub addresses: ContractAddresses,
}

/// The plan for `parameters`: a function of its arguments, nothing else.
#[must_use]
pub fn plan(parameters: &DeploymentParameters, deployer: Address) -> DeploymentPlan {
    let addresses = ContractAddresses::of(deployer);
    let mut planner = Planner {
        deployer,
        addresses,
        steps: Vec::new(),
    };
    planner.create_all(parameters);
    planner.use_admin_rights(parameters);
    planner.assign_functions();
    planner.name_roles();
    planner.grant_roles(parameters);
    planner.leave();
    DeploymentPlan {
        deployer,
        steps: planner.steps,
        addresses,
    }
}

struct Planner {
    deployer: Address,
    addresses: ContractAddresses,
    steps: Vec<Step>,
}

impl Planner {
    fn create_all(&mut self, parameters: &DeploymentParameters) {
        let at = self.addresses;
        let authority = at.access_manager;
        self.create(
            "AccessManager",
            nonces::ACCESS_MANAGER,
            &AccessManager::BYTECODE,
            AccessManager::constructorCall {
                initialAdmin: self.deployer,
            }
            .abi_encode(),
        );
        self.create(
            "MedinaToken",
            nonces::MEDINA_TOKEN,
            &MedinaToken::BYTECODE,
            MedinaToken::constructorCall {
                name: parameters.token.name.clone(),
                symbol: parameters.token.symbol.clone(),
                cap: parameters.token.cap,
                treasury_: parameters.token.treasury,
                authority,
            }
            .abi_encode(),
        );
        self.create(
            "Identity implementation",
            nonces::IDENTITY,
            &Identity::BYTECODE,
            Vec::new(),
        );
        let seeds = parameters.organisations.iter().map(seed).collect();
        self.proxy(
            "Identity",
            nonces::IDENTITY,
            &Identity::initializeCall { authority, seeds },
        );
        self.create(
            "SensorRegistry implementation",
            nonces::SENSOR_REGISTRY,
            &SensorRegistry::BYTECODE,
            SensorRegistry::constructorCall {
                identity: at.identity,
            }
            .abi_encode(),
        );
        let initialize = SensorRegistry::initializeCall { authority };
        self.proxy("SensorRegistry", nonces::SENSOR_REGISTRY, &initialize);
        self.create(
            "DataAnchor",
            nonces::DATA_ANCHOR,
            &DataAnchor::BYTECODE,
            DataAnchor::constructorCall {
                identity: at.identity,
                registry: at.sensor_registry,
            }
            .abi_encode(),
        );
        self.create(
            "FederationRegistry implementation",
            nonces::FEDERATION_REGISTRY,
            &FederationRegistry::BYTECODE,
            FederationRegistry::constructorCall {
                modules: FederationState::Modules {
                    identity: at.identity,
                    registry: at.sensor_registry,
                    trust: at.trust_and_reputation,
                    sla: at.sla_registry,
                },
                ballots: self.deployer.create(nonces::FEDERATION_BALLOTS),
            }
            .abi_encode(),
        );
        let initialize = FederationRegistry::initializeCall { authority };
        self.proxy(
            "FederationRegistry",
            nonces::FEDERATION_REGISTRY,
            &initialize,
        );
        self.create_market_modules(parameters);
        self.create(
            "Ed25519Verifier",
            nonces::ED25519_VERIFIER,
            &Ed25519Verifier::BYTECODE,
            Vec::new(),
        );
        self.create(
            "ERC7913P256Verifier",
            nonces::P256_VERIFIER,
            &ERC7913P256Verifier::BYTECODE,
            Vec::new(),
        );
        self.create(
            "Gatekeeper",
            nonces::GATEKEEPER,
            &Gatekeeper::BYTECODE,
            Gatekeeper::constructorCall { authority }.abi_encode(),
        );
        self.create_permissioning(parameters);
        self.create(
            "MarketOrders",
            nonces::MARKET_ORDERS,
            &MarketOrders::BYTECODE,
            MarketOrders::constructorCall {
                modules: OrdersState::Modules {
                    identity: at.identity,
                    token: at.medina_token,
                    registry: at.sensor_registry,
                    federation: at.federation_registry,
                    trust: at.trust_and_reputation,
                    consent: at.consent_and_access,
                },
            }
            .abi_encode(),
        );
        self.create(
            "ConsentAndAccess implementation",
            nonces::CONSENT_AND_ACCESS,
            &ConsentAndAccess::BYTECODE,
            ConsentAndAccess::constructorCall {
                identity: at.identity,
                registry: at.sensor_registry,
            }
            .abi_encode(),
        );
        let initialize = ConsentAndAccess::initializeCall { authority };
        self.proxy("ConsentAndAccess", nonces::CONSENT_AND_ACCESS, &initialize);
        self.create_agreements();
        self.create_incidents_and_judge();
        self.create(
            "FederationBallots",
            nonces::FEDERATION_BALLOTS,
            &FederationBallots::BYTECODE,
            FederationBallots::constructorCall {
                modules: BallotsState::Modules {
                    identity: at.identity,
                    registry: at.sensor_registry,
                    trust: at.trust_and_reputation,
                    sla: at.sla_registry,
                },
            }
            .abi_encode(),
        );
        self.create(
            "ERC7913WebAuthnVerifier",
            nonces::WEBAUTHN_VERIFIER,
            &ERC7913WebAuthnVerifier::BYTECODE,
            Vec::new(),
        );
        self.create_private_groups();
    }

    fn create_private_groups(&mut self) {
        let at = self.addresses;
        self.create(
            "PrivateGroups implementation",
            nonces::PRIVATE_GROUPS,
            &PrivateGroups::BYTECODE,
            PrivateGroups::constructorCall {
                identity: at.identity,
                permissioning: at.permissioning,
                ed25519: at.ed25519_verifier,
            }
            .abi_encode(),
        );
        let initialize = PrivateGroups::initializeCall {
            authority: at.access_manager,
        };
        self.proxy("PrivateGroups", nonces::PRIVATE_GROUPS, &initialize);
    }

    fn create_agreements(&mut self) {
        let at = self.addresses;
        self.create(
            "SlaRegistry implementation",
            nonces::SLA_REGISTRY,
            &SlaRegistry::BYTECODE,
            SlaRegistry::constructorCall {
                modules: SlaRegistry::Modules {
                    identity: at.identity,
                    registry: at.sensor_registry,
                    anchor: at.data_anchor,
                    federation: at.federation_registry,
                    trust: at.trust_and_reputation,
                    token: at.medina_token,
                },
            }
            .abi_encode(),
        );
        let initialize = SlaRegistry::initializeCall {
            authority: at.access_manager,
        };
        self.proxy("SlaRegistry", nonces::SLA_REGISTRY, &initialize);
    }

    fn create_incidents_and_judge(&mut self) {
        let at = self.addresses;
        self.create(
            "IncidentRegistry implementation",
            nonces::INCIDENT_REGISTRY,
            &IncidentRegistry::BYTECODE,
            IncidentRegistry::constructorCall {
                identity: at.identity,
                registry: at.sensor_registry,
            }
            .abi_encode(),
        );
        let initialize = IncidentRegistry::initializeCall {
            authority: at.access_manager,
        };
        self.proxy("IncidentRegistry", nonces::INCIDENT_REGISTRY, &initialize);
        self.create(
            "SealedDelivery",
            nonces::SEALED_DELIVERY,
            &SealedDelivery::BYTECODE,
            SealedDelivery::constructorCall {
                identity: at.identity,
                market: at.data_marketplace,
            }
            .abi_encode(),
        );
    }

    fn create_permissioning(&mut self, parameters: &DeploymentParameters) {
        let at = self.addresses;
        self.create(
            "Permissioning implementation",
            nonces::PERMISSIONING,
            &Permissioning::BYTECODE,
            Permissioning::constructorCall {
                identity: at.identity,
            }
            .abi_encode(),
        );
        let lists = &parameters.permissioning;
        let initialize = Permissioning::initializeCall {
            authority: at.access_manager,
            seeds: lists.nodes.iter().map(node).collect(),
            orgs: lists.full_access.clone(),
            accounts: lists.accounts.clone(),
        };
        self.proxy("Permissioning", nonces::PERMISSIONING, &initialize);
    }

    fn create_market_modules(&mut self, parameters: &DeploymentParameters) {
        let at = self.addresses;
        let authority = at.access_manager;
        self.create(
            "TrustAndReputation implementation",
            nonces::TRUST_AND_REPUTATION,
            &TrustAndReputation::BYTECODE,
            TrustAndReputation::constructorCall {
                modules: TrustAndReputation::Modules {
                    identity: at.identity,
                    registry: at.sensor_registry,
                    anchor: at.data_anchor,
                    federation: at.federation_registry,
                    market: at.data_marketplace,
                    coupons: at.bartering_coupons,
                    sla: at.sla_registry,
                },
            }
            .abi_encode(),
        );
        let initialize = TrustAndReputation::initializeCall {
            authority,
            p: trust(parameters),
        };
        self.proxy(
            "TrustAndReputation",
            nonces::TRUST_AND_REPUTATION,
            &initialize,
        );
        self.create(
            "BarteringCoupons implementation",
            nonces::BARTERING_COUPONS,
            &BarteringCoupons::BYTECODE,
            BarteringCoupons::constructorCall {
                identity: at.identity,
                registry: at.sensor_registry,
                federation: at.federation_registry,
                trust: at.trust_and_reputation,
            }
            .abi_encode(),
        );
        let initialize = BarteringCoupons::initializeCall { authority };
        self.proxy("BarteringCoupons", nonces::BARTERING_COUPONS, &initialize);
        self.create(
            "DataMarketplace implementation",
            nonces::DATA_MARKETPLACE,
            &DataMarketplace::BYTECODE,
            DataMarketplace::constructorCall {
                modules: MarketState::Modules {
                    identity: at.identity,
                    token: at.medina_token,
                    registry: at.sensor_registry,
                    federation: at.federation_registry,
                    trust: at.trust_and_reputation,
                    consent: at.consent_and_access,
                },
                orders: self.deployer.create(nonces::MARKET_ORDERS),
            }
            .abi_encode(),
        );
        let initialize = DataMarketplace::initializeCall {
            authority,
            feeBps: parameters.market.fee_bps,
            rebateBps: parameters.market.rebate_bps,
            disputeIn: parameters.market.dispute_in_s,
        };
        self.proxy("DataMarketplace", nonces::DATA_MARKETPLACE, &initialize);
    }

    /// A restricted function that has no role yet is ADMIN's, which is the deployer's until the end.
    fn use_admin_rights(&mut self, parameters: &DeploymentParameters) {
        let at = self.addresses;
        for holder in &parameters.token.holders {
            let call = MedinaToken::mintCall {
                to: holder.account,
                amount: holder.amount,
            };
            self.call(
                format!("mint for {}", holder.account),
                at.medina_token,
                &call,
            );
        }
        for verifier in [at.ed25519_verifier, at.p256_verifier, at.webauthn_verifier] {
            let call = SensorRegistry::setVerifierCall {
                verifier,
                allowed: true,
            };
            self.call(
                format!("allow device verifier {verifier}"),
                at.sensor_registry,
                &call,
            );
        }
        let judge = DataMarketplace::setJudgeCall {
            judge: at.sealed_delivery,
            allowed: true,
        };
        self.call(
            "allow judge SealedDelivery".to_owned(),
            at.data_marketplace,
            &judge,
        );
    }

    fn assign_functions(&mut self) {
        let at = self.addresses;
        let upgrade = Identity::upgradeToAndCallCall::SELECTOR;
        self.assign(
            at.medina_token,
            roles::MINTER,
            &[MedinaToken::mintCall::SELECTOR],
        );
        self.assign(
            at.gatekeeper,
            roles::GUARDIAN,
            &[Gatekeeper::closeCall::SELECTOR],
        );
        self.assign(at.identity, roles::GOVERNOR, &[upgrade]);
        self.assign(
            at.identity,
            roles::PUBLIC,
            &[
                Identity::registerOrgCall::SELECTOR,
                Identity::enrolCall::SELECTOR,
            ],
        );
        self.assign(
            at.permissioning,
            roles::GOVERNOR,
            &[upgrade, Permissioning::closeBootCall::SELECTOR],
        );
        self.assign(
            at.permissioning,
            roles::PUBLIC,
            &[Permissioning::addNodeCall::SELECTOR],
        );
        self.assign(
            at.sensor_registry,
            roles::GOVERNOR,
            &[upgrade, SensorRegistry::setVerifierCall::SELECTOR],
        );
        self.assign(
            at.sensor_registry,
            roles::PUBLIC,
            &[
                SensorRegistry::registerCall::SELECTOR,
                SensorRegistry::registerManyCall::SELECTOR,
                SensorRegistry::transferCall::SELECTOR,
            ],
        );
        self.assign_consent(upgrade);
        self.assign(at.federation_registry, roles::GOVERNOR, &[upgrade]);
        self.assign(
            at.federation_registry,
            roles::PUBLIC,
            &[
                FederationRegistry::createCall::SELECTOR,
                FederationRegistry::reportDeniedCall::SELECTOR,
            ],
        );
        self.assign(at.sla_registry, roles::GOVERNOR, &[upgrade]);
        self.assign(
            at.sla_registry,
            roles::PUBLIC,
            &[SlaRegistry::bondCall::SELECTOR],
        );
        self.assign(at.incident_registry, roles::GOVERNOR, &[upgrade]);
        self.assign(
            at.incident_registry,
            roles::PUBLIC,
            &[
                IncidentRegistry::raiseAlertCall::SELECTOR,
                IncidentRegistry::reportCall::SELECTOR,
            ],
        );
        self.assign(at.private_groups, roles::GOVERNOR, &[upgrade]);
        self.assign(
            at.private_groups,
            roles::PUBLIC,
            &[
                PrivateGroups::registerPartyCall::SELECTOR,
                PrivateGroups::createGroupCall::SELECTOR,
            ],
        );
        let set_params = TrustAndReputation::setParamsCall::SELECTOR;
        self.assign(
            at.trust_and_reputation,
            roles::GOVERNOR,
            &[upgrade, set_params],
        );
        self.assign(
            at.trust_and_reputation,
            roles::MONITOR,
            &[TrustAndReputation::reportCall::SELECTOR],
        );
        self.assign(at.bartering_coupons, roles::GOVERNOR, &[upgrade]);
        self.assign(
            at.bartering_coupons,
            roles::PUBLIC,
            &[
                BarteringCoupons::registerCall::SELECTOR,
                BarteringCoupons::swapCall::SELECTOR,
                BarteringCoupons::barterCall::SELECTOR,
            ],
        );
        self.assign(
            at.data_marketplace,
            roles::GOVERNOR,
            &[
                upgrade,
                DataMarketplace::setParamsCall::SELECTOR,
                DataMarketplace::setJudgeCall::SELECTOR,
                DataMarketplace::collectFeesCall::SELECTOR,
            ],
        );
        self.assign(
            at.data_marketplace,
            roles::PUBLIC,
            &[
                DataMarketplace::listCall::SELECTOR,
                DataMarketplace::buyCall::SELECTOR,
                DataMarketplace::buyWithPermitCall::SELECTOR,
                DataMarketplace::buyForCall::SELECTOR,
                DataMarketplace::renewCall::SELECTOR,
            ],
        );
    }

    fn assign_consent(&mut self, upgrade: [u8; 4]) {
        let at = self.addresses.consent_and_access;
        self.assign(at, roles::GOVERNOR, &[upgrade]);
        self.assign(
            at,
            roles::PUBLIC,
            &[
                ConsentAndAccess::grantCall::SELECTOR,
                ConsentAndAccess::grantForCall::SELECTOR,
                ConsentAndAccess::delegateCall::SELECTOR,
                ConsentAndAccess::askCall::SELECTOR,
            ],
        );
    }

    fn name_roles(&mut self) {
        let labels = [
            (roles::GOVERNOR, "GOVERNOR"),
            (roles::GUARDIAN, "GUARDIAN"),
            (roles::CERTIFIER, "CERTIFIER"),
            (roles::ARBITER, "ARBITER"),
            (roles::MONITOR, "MONITOR"),
            (roles::MINTER, "MINTER"),
        ];
        let manager = self.addresses.access_manager;
        for (role, label) in labels {
            let call = AccessManager::labelRoleCall {
                roleId: role,
                label: label.to_owned(),
            };
            self.call(format!("label role {label}"), manager, &call);
        }
        // ADMIN can have no guardian of its own, and what it does to the AccessManager is worth the most: a
        // cancellation asks for the guardian of the role named here, permission still for ADMIN.
        self.assign(
            manager,
            roles::GOVERNOR,
            &[
                AccessManager::labelRoleCall::SELECTOR,
                AccessManager::setRoleAdminCall::SELECTOR,
                AccessManager::setRoleGuardianCall::SELECTOR,
                AccessManager::setGrantDelayCall::SELECTOR,
                AccessManager::setTargetAdminDelayCall::SELECTOR,
                AccessManager::updateAuthorityCall::SELECTOR,
                AccessManager::setTargetClosedCall::SELECTOR,
                AccessManager::setTargetFunctionRoleCall::SELECTOR,
                AccessManager::grantRoleCall::SELECTOR,
                AccessManager::revokeRoleCall::SELECTOR,
            ],
        );
        for role in [roles::GOVERNOR, roles::MINTER] {
            let call = AccessManager::setRoleGuardianCall {
                roleId: role,
                guardian: roles::GUARDIAN,
            };
            self.call(
                format!("guardians may cancel what role {role} scheduled"),
                manager,
                &call,
            );
        }
    }

    fn grant_roles(&mut self, parameters: &DeploymentParameters) {
        let lists = [
            (roles::GUARDIAN, &parameters.guardians, 0),
            (roles::CERTIFIER, &parameters.certifiers, 0),
            (roles::ARBITER, &parameters.arbiters, 0),
            (roles::MONITOR, &parameters.monitors, 0),
            (
                roles::MINTER,
                &parameters.minters,
                parameters.minter_delay_s,
            ),
        ];
        for (role, accounts, delay) in lists {
            for account in accounts {
                self.grant(role, *account, delay);
            }
        }
        let delay = parameters.governor_delay_s;
        self.grant(roles::GOVERNOR, parameters.governor, delay);
        self.grant(roles::ADMIN, self.addresses.gatekeeper, 0);
        self.grant(roles::ADMIN, parameters.governor, delay);
    }

    fn leave(&mut self) {
        let call = AccessManager::renounceRoleCall {
            roleId: roles::ADMIN,
            callerConfirmation: self.deployer,
        };
        self.call(
            "deployer leaves".to_owned(),
            self.addresses.access_manager,
            &call,
        );
    }

    fn create(&mut self, name: &'static str, nonce: u64, code: &Bytes, arguments: Vec<u8>) {
        debug_assert_eq!(
            nonce,
            self.steps.len() as u64,
            "{name} is created out of order"
        );
        let init_code = [code.as_ref(), &arguments].concat().into();
        let address = self.deployer.create(nonce);
        self.steps.push(Step::Create {
            name,
            address,
            init_code,
        });
    }

    /// The proxy of the implementation at `implementation`, one nonce later.
    fn proxy(&mut self, name: &'static str, implementation: u64, initialize: &impl SolCall) {
        let arguments = ERC1967Proxy::constructorCall {
            implementation: self.deployer.create(implementation),
            _data: initialize.abi_encode().into(),
        };
        self.create(
            name,
            implementation + 1,
            &ERC1967Proxy::BYTECODE,
            arguments.abi_encode(),
        );
    }

    fn call(&mut self, name: String, to: Address, call: &impl SolCall) {
        self.steps.push(Step::Call {
            name,
            to,
            data: call.abi_encode().into(),
        });
    }

    fn assign(&mut self, target: Address, role: u64, selectors: &[[u8; 4]]) {
        let call = AccessManager::setTargetFunctionRoleCall {
            target,
            selectors: selectors.iter().map(FixedBytes::from).collect(),
            roleId: role,
        };
        self.call(
            format!("role {role} of {target}"),
            self.addresses.access_manager,
            &call,
        );
    }

    fn grant(&mut self, role: u64, account: Address, delay: u32) {
        let call = AccessManager::grantRoleCall {
            roleId: role,
            account,
            executionDelay: delay,
        };
        self.call(
            format!("role {role} to {account}"),
            self.addresses.access_manager,
            &call,
        );
    }
}

fn seed(seed: &super::OrganisationSeed) -> IIdentity::Seed {
    IIdentity::Seed {
        org: seed.org,
        userId: seed.user_id,
        account: seed.account,
        role: seed.role.into(),
    }
}

fn node(seed: &super::NodeSeed) -> IPermissioning::NodeSeed {
    IPermissioning::NodeSeed {
        org: seed.org,
        nodeKey: seed.key,
        operator: seed.operator.unwrap_or_default(),
    }
}

fn trust(parameters: &DeploymentParameters) -> ITrustAndReputation::Params {
    let trust = &parameters.trust;
    ITrustAndReputation::Params {
        prior: trust.prior,
        w: trust.prior_weight,
        halfFeedback: trust.half_feedback_s,
        halfUptime: trust.half_uptime_s,
        halfMisdeed: trust.half_misdeed_s,
        wFH: trust.weight_history,
        wBT: trust.weight_bartering,
        wAD: trust.weight_access_denied,
        wFB: trust.weight_feedback,
        compat: trust.compat,
        dust: trust.dust,
    }
}
