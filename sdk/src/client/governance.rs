//! Powers over the suite: who is governor, guardian, certifier, arbiter, monitor or minter, and what
//! they do with them.
//!
//! What a power is used for may have to wait: the AccessManager has a delay per account and role.
//! [`MarketClient::govern`] does an action at once where there is none, else announces it, to be
//! executed by the same account when its time has come and before it is forgotten a week later.
//! A guardian may cancel it meanwhile.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;
use medina_contracts::access_manager::AccessManager;
use medina_contracts::data_marketplace::DataMarketplace;
use medina_contracts::gatekeeper::Gatekeeper;
use medina_contracts::identity::Identity;
use medina_contracts::medina_token::MedinaToken;
use medina_contracts::permissioning::Permissioning;
use medina_contracts::sensor_registry::SensorRegistry;
use medina_contracts::trust_and_reputation::TrustAndReputation;
use medina_contracts::values::access_roles;
use serde::{Deserialize, Serialize};

use super::logs::Indexed;
use super::{ClientError, MarketClient, Receipt};

pub use medina_contracts::trust_and_reputation::ITrustAndReputation::Params as TrustParams;

/// A role of the suite's AccessManager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessRole {
    /// Upgrades, parameters, allow lists.
    Governor,
    /// Cancels scheduled operations, closes targets.
    Guardian,
    /// Signs enrolments.
    Certifier,
    /// Resolves disputes.
    Arbiter,
    /// Reports metrics.
    Monitor,
    /// Mints tokens.
    Minter,
}

impl AccessRole {
    /// Every role.
    pub const ALL: [Self; 6] = [
        Self::Governor,
        Self::Guardian,
        Self::Certifier,
        Self::Arbiter,
        Self::Monitor,
        Self::Minter,
    ];

    fn number(self) -> u64 {
        match self {
            Self::Governor => access_roles::GOVERNOR,
            Self::Guardian => access_roles::GUARDIAN,
            Self::Certifier => access_roles::CERTIFIER,
            Self::Arbiter => access_roles::ARBITER,
            Self::Monitor => access_roles::MONITOR,
            Self::Minter => access_roles::MINTER,
        }
    }
}

/// What a governor (or minter, for [`Self::Mint`]) does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GovernanceAction {
    /// Sets the market's fee and the rebate of it to raters, basis points, and the seconds after
    /// which a dispute that nobody decides ends.
    MarketParameters {
        /// Of what reaches the seller, at most 500.
        fee_bps: u16,
        /// Of the fee.
        rebate_bps: u16,
        /// Seconds.
        dispute_in: u32,
    },
    /// Sets the parameters of trust.
    TrustParameters(TrustParams),
    /// Lets a contract judge signatures of devices, or not any more.
    Verifier {
        /// The contract.
        verifier: Address,
        /// Whether it may.
        allowed: bool,
    },
    /// Lets a contract judge orders, or not any more.
    Judge {
        /// The contract.
        judge: Address,
        /// Whether it may.
        allowed: bool,
    },
    /// Sends fees of the market to the treasury, base units.
    CollectFees(u128),
    /// Gives a module new code.
    Upgrade {
        /// The module.
        module: Address,
        /// A contract with the new code.
        implementation: Address,
        /// A call of the new code, or nothing.
        data: Bytes,
    },
    /// Opens a contract that a guardian has closed.
    Open(Address),
    /// Gives a role, with a delay in seconds for what is done with it.
    GrantRole {
        /// The role.
        role: AccessRole,
        /// Who gets it.
        account: Address,
        /// Seconds.
        delay: u32,
    },
    /// Takes a role.
    RevokeRole {
        /// The role.
        role: AccessRole,
        /// From whom.
        account: Address,
    },
    /// Sets how many seconds after it is given a role begins to count.
    GrantDelay {
        /// The role.
        role: AccessRole,
        /// Seconds.
        delay: u32,
    },
    /// Makes tokens, base units.
    Mint {
        /// Who gets them.
        to: Address,
        /// How many.
        amount: U256,
    },
    /// Ends the time in which the lists of genesis rule.
    CloseBoot,
}

/// A call to one of the suite's contracts.
struct Call {
    target: Address,
    data: Bytes,
    name: &'static str,
}

impl Call {
    fn new<C: SolCall>(target: Address, call: &C) -> Self {
        Self {
            target,
            data: call.abi_encode().into(),
            name: C::SIGNATURE,
        }
    }
}

/// What became of an action.
#[derive(Debug, Clone)]
pub enum Governed {
    /// It is done.
    Done(Receipt),
    /// It is announced, and is done by [`MarketClient::execute_operation`] later.
    Announced(ScheduledOperation, Receipt),
}

/// A call that waits for its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScheduledOperation {
    /// Its id.
    pub id: B256,
    /// Who announced it, and alone can execute it.
    pub caller: Address,
    /// The contract.
    pub target: Address,
    /// Its name, if it is of the suite.
    pub contract: Option<String>,
    /// The function, if the suite knows it.
    pub function: Option<String>,
    /// Function and arguments.
    pub data: Bytes,
    /// From when on it can be executed, Unix seconds.
    #[serde(rename = "readyAt")]
    pub ready_at: u64,
    /// Until when, Unix seconds.
    pub until: u64,
}

impl MarketClient {
    fn access_manager(&self) -> Address {
        self.contracts.access_manager
    }

    /// Whether an account holds a role, and the delay in seconds of what it does with it.
    pub async fn holds_role(
        &self,
        role: AccessRole,
        account: Address,
    ) -> Result<(bool, u32), ClientError> {
        self.holds(role.number(), account).await
    }

    async fn holds(&self, role_id: u64, account: Address) -> Result<(bool, u32), ClientError> {
        let call = AccessManager::hasRoleCall {
            roleId: role_id,
            account,
        };
        let found = self.call(self.access_manager(), call).await?;
        Ok((found.isMember, found.executionDelay))
    }

    /// The parameters of trust as they are.
    pub async fn trust_params(&self) -> Result<TrustParams, ClientError> {
        let trust = self.contracts.trust_and_reputation;
        self.call(trust, TrustAndReputation::paramsCall {}).await
    }

    /// Does an action at once if the sender may, else announces it.
    pub async fn govern(&self, action: &GovernanceAction) -> Result<Governed, ClientError> {
        let call = self.governance_call(action);
        if self.delay_of(&call).await? == 0 {
            let receipt = self.send_input(call.target, call.data, call.name).await?;
            return Ok(Governed::Done(receipt));
        }
        let manager = self.access_manager();
        let announce = AccessManager::scheduleCall {
            target: call.target,
            data: call.data,
            when: crate::device::time48(0)?,
        };
        let receipt = self.send(manager, announce).await?;
        let event: AccessManager::OperationScheduled = receipt.event(manager)?;
        let operation = self.described(event).await?;
        Ok(Governed::Announced(operation, receipt))
    }

    /// What is announced and neither executed, cancelled nor forgotten, oldest first.
    pub async fn scheduled_operations(&self) -> Result<Vec<ScheduledOperation>, ClientError> {
        let events: Vec<AccessManager::OperationScheduled> = self
            .events(self.access_manager(), Indexed::default())
            .await?;
        let mut found: Vec<ScheduledOperation> = Vec::new();
        for event in events {
            let call = AccessManager::getScheduleCall {
                id: event.operationId,
            };
            let ready: u64 = self.call(self.access_manager(), call).await?.to();
            // The same call may have been announced before; only the last counts.
            if ready != 0 && ready == event.schedule.to::<u64>() {
                found.push(self.described(event).await?);
            }
        }
        Ok(found)
    }

    /// The announced call of this id.
    pub async fn scheduled_operation(&self, id: B256) -> Result<ScheduledOperation, ClientError> {
        let mut found = self.scheduled_operations().await?.into_iter();
        found
            .find(|operation| operation.id == id)
            .ok_or_else(|| ClientError::Unknown {
                what: "announced operation",
                id: id.to_string(),
            })
    }

    /// Who announced a call executes it, when its time has come.
    pub async fn execute_operation(
        &self,
        operation: &ScheduledOperation,
    ) -> Result<Receipt, ClientError> {
        let call = AccessManager::executeCall {
            target: operation.target,
            data: operation.data.clone(),
        };
        self.send(self.access_manager(), call).await
    }

    /// A guardian, or who announced it, cancels a call.
    pub async fn cancel_operation(
        &self,
        operation: &ScheduledOperation,
    ) -> Result<Receipt, ClientError> {
        let call = AccessManager::cancelCall {
            caller: operation.caller,
            target: operation.target,
            data: operation.data.clone(),
        };
        self.send(self.access_manager(), call).await
    }

    /// A guardian closes a contract: nothing new begins there, exits and answers go on.
    pub async fn close_contract(&self, target: Address) -> Result<Receipt, ClientError> {
        let gatekeeper = self.contracts.gatekeeper;
        self.send(gatekeeper, Gatekeeper::closeCall { target })
            .await
    }

    /// Whether a contract is closed.
    pub async fn is_closed(&self, target: Address) -> Result<bool, ClientError> {
        let call = AccessManager::isTargetClosedCall { target };
        self.call(self.access_manager(), call).await
    }

    /// Seconds the sender has to wait with a call; 0 also where it may not call at all, which the
    /// contract then says by name.
    async fn delay_of(&self, call: &Call) -> Result<u32, ClientError> {
        let caller = self.account()?.address();
        if call.target == self.access_manager() {
            let (_, delay) = self.holds(access_roles::ADMIN, caller).await?;
            return Ok(delay);
        }
        let selector = call.data.first_chunk::<4>().copied().unwrap_or_default();
        let asked = AccessManager::canCallCall {
            caller,
            target: call.target,
            selector: selector.into(),
        };
        Ok(self.call(self.access_manager(), asked).await?.delay)
    }

    async fn described(
        &self,
        event: AccessManager::OperationScheduled,
    ) -> Result<ScheduledOperation, ClientError> {
        let expiration = AccessManager::expirationCall {};
        let lasts = self.call(self.access_manager(), expiration).await?;
        let ready_at: u64 = event.schedule.to();
        Ok(ScheduledOperation {
            id: event.operationId,
            caller: event.caller,
            target: event.target,
            contract: self.contract_name(event.target),
            function: super::error::function_name(&event.data),
            data: event.data,
            ready_at,
            until: ready_at.saturating_add(lasts.into()),
        })
    }

    fn governance_call(&self, action: &GovernanceAction) -> Call {
        let (at, manager) = (&self.contracts, self.access_manager());
        match action.clone() {
            GovernanceAction::MarketParameters {
                fee_bps,
                rebate_bps,
                dispute_in,
            } => Call::new(
                at.data_marketplace,
                &DataMarketplace::setParamsCall {
                    feeBps: fee_bps,
                    rebateBps: rebate_bps,
                    disputeIn: dispute_in,
                },
            ),
            GovernanceAction::TrustParameters(p) => Call::new(
                at.trust_and_reputation,
                &TrustAndReputation::setParamsCall { p },
            ),
            GovernanceAction::Verifier { verifier, allowed } => Call::new(
                at.sensor_registry,
                &SensorRegistry::setVerifierCall { verifier, allowed },
            ),
            GovernanceAction::Judge { judge, allowed } => Call::new(
                at.data_marketplace,
                &DataMarketplace::setJudgeCall { judge, allowed },
            ),
            GovernanceAction::CollectFees(amount) => Call::new(
                at.data_marketplace,
                &DataMarketplace::collectFeesCall { amount },
            ),
            GovernanceAction::Upgrade {
                module,
                implementation,
                data,
            } => Call::new(
                module,
                &Identity::upgradeToAndCallCall {
                    newImplementation: implementation,
                    data,
                },
            ),
            GovernanceAction::Open(target) => Call::new(
                manager,
                &AccessManager::setTargetClosedCall {
                    target,
                    closed: false,
                },
            ),
            GovernanceAction::GrantRole {
                role,
                account,
                delay,
            } => Call::new(
                manager,
                &AccessManager::grantRoleCall {
                    roleId: role.number(),
                    account,
                    executionDelay: delay,
                },
            ),
            GovernanceAction::RevokeRole { role, account } => Call::new(
                manager,
                &AccessManager::revokeRoleCall {
                    roleId: role.number(),
                    account,
                },
            ),
            GovernanceAction::GrantDelay { role, delay } => Call::new(
                manager,
                &AccessManager::setGrantDelayCall {
                    roleId: role.number(),
                    newDelay: delay,
                },
            ),
            GovernanceAction::Mint { to, amount } => {
                Call::new(at.medina_token, &MedinaToken::mintCall { to, amount })
            }
            GovernanceAction::CloseBoot => {
                Call::new(at.permissioning, &Permissioning::closeBootCall {})
            }
        }
    }
}
