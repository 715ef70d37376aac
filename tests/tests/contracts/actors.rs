//! Nine people of three organisations and a stranger, and upgrades in the middle of their business.

use crate::harness::{Chain, VALIDATORS, key, node_key, org};
use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolConstructor;
use medina_contracts::{
    DeploymentParameters,
    bartering_coupons::BarteringCoupons,
    consent_and_access::ConsentAndAccess,
    data_marketplace::{DataMarketplace, MarketState},
    identity::Identity,
    incident_registry::IncidentRegistry,
    market_orders::{MarketOrders, MarketState as OrdersState},
    permissioning::Permissioning,
    sensor_registry::SensorRegistry,
    trust_and_reputation::TrustAndReputation,
    values::BusinessRole,
};

/// People of the three organisations; account I belongs to organisation I % 3, account 9 to its own.
pub(crate) const PEOPLE: usize = 9;

/// The suite with accounts 0 to 2 as admins (0 also Administrator and governor), 3 to 5 as Members, 6 and 7 as
/// Managers and 8 as Moderator of organisations 0 to 2.
pub(crate) fn three_organisations() -> Chain {
    let keys: Vec<_> = (0..10)
        .map(|index| key(&format!("account {index}")))
        .collect();
    let accounts: Vec<_> = keys.iter().map(|key| key.address()).collect();
    let mut parameters = DeploymentParameters::development(&accounts);
    for (index, seed) in parameters.organisations.iter_mut().enumerate() {
        if index >= PEOPLE {
            continue;
        }
        seed.org = home(index);
        seed.role = match index {
            0 => BusinessRole::Administrator,
            3..=5 => BusinessRole::Member,
            8 => BusinessRole::Moderator,
            _ => BusinessRole::Manager,
        };
    }
    let validators = (0..VALIDATORS).map(|index| (node_key(index), accounts[index]));
    Chain::with(&parameters.with_validators(validators), keys)
}

/// Organisation of an account of `three_organisations`.
pub(crate) fn home(account: usize) -> B256 {
    org(if account < PEOPLE {
        account % 3
    } else {
        account
    })
}

/// An upgradeable module of those that are tested here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Module {
    Identity,
    Permissioning,
    Sensors,
    Market,
    Trust,
    Coupons,
    Consent,
    Incidents,
}

/// Replaces the code of a module by a new deployment of the same sources, as the governor.
pub(crate) fn upgrade(chain: &mut Chain, module: Module) {
    let at = chain.at;
    let (proxy, code) = match module {
        Module::Identity => (at.identity, Identity::BYTECODE.clone()),
        Module::Permissioning => {
            let arguments = Permissioning::constructorCall {
                identity: at.identity,
            };
            (at.permissioning, with(&Permissioning::BYTECODE, &arguments))
        }
        Module::Trust => {
            let arguments = TrustAndReputation::constructorCall {
                modules: TrustAndReputation::Modules {
                    identity: at.identity,
                    registry: at.sensor_registry,
                    anchor: at.data_anchor,
                    federation: at.federation_registry,
                    market: at.data_marketplace,
                    coupons: at.bartering_coupons,
                    sla: at.sla_registry,
                },
            };
            (
                at.trust_and_reputation,
                with(&TrustAndReputation::BYTECODE, &arguments),
            )
        }
        Module::Coupons => {
            let arguments = BarteringCoupons::constructorCall {
                identity: at.identity,
                registry: at.sensor_registry,
                federation: at.federation_registry,
                trust: at.trust_and_reputation,
            };
            (
                at.bartering_coupons,
                with(&BarteringCoupons::BYTECODE, &arguments),
            )
        }
        Module::Sensors => {
            let arguments = SensorRegistry::constructorCall {
                identity: at.identity,
            };
            (
                at.sensor_registry,
                with(&SensorRegistry::BYTECODE, &arguments),
            )
        }
        Module::Consent => {
            let arguments = ConsentAndAccess::constructorCall {
                identity: at.identity,
                registry: at.sensor_registry,
            };
            (
                at.consent_and_access,
                with(&ConsentAndAccess::BYTECODE, &arguments),
            )
        }
        Module::Incidents => {
            let arguments = IncidentRegistry::constructorCall {
                identity: at.identity,
                registry: at.sensor_registry,
            };
            (
                at.incident_registry,
                with(&IncidentRegistry::BYTECODE, &arguments),
            )
        }
        Module::Market => {
            let orders = orders(chain);
            let arguments = DataMarketplace::constructorCall {
                modules: MarketState::Modules {
                    identity: at.identity,
                    token: at.medina_token,
                    registry: at.sensor_registry,
                    federation: at.federation_registry,
                    trust: at.trust_and_reputation,
                    consent: at.consent_and_access,
                },
                orders,
            };
            (
                at.data_marketplace,
                with(&DataMarketplace::BYTECODE, &arguments),
            )
        }
    };
    let implementation = chain.create(&code);
    let call = SensorRegistry::upgradeToAndCallCall {
        newImplementation: implementation,
        data: Bytes::new(),
    };
    chain.ok(0, proxy, &call);
}

/// The market's other half.
fn orders(chain: &mut Chain) -> Address {
    let at = chain.at;
    let arguments = MarketOrders::constructorCall {
        modules: OrdersState::Modules {
            identity: at.identity,
            token: at.medina_token,
            registry: at.sensor_registry,
            federation: at.federation_registry,
            trust: at.trust_and_reputation,
            consent: at.consent_and_access,
        },
    };
    chain.create(&with(&MarketOrders::BYTECODE, &arguments))
}

fn with(code: &Bytes, arguments: &impl SolConstructor) -> Bytes {
    [code.as_ref(), &arguments.abi_encode()].concat().into()
}
