//! Powers over the suite: who is governor, guardian, certifier, arbiter, monitor or minter.

use alloy_primitives::{Address, Bytes};
use medina_contracts::access_manager::AccessManager;
use medina_contracts::values::access_roles;
use serde::{Deserialize, Serialize};

use super::{ClientError, MarketClient, Receipt};

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
        let call = AccessManager::hasRoleCall {
            roleId: role.number(),
            account,
        };
        let found = self.call(self.access_manager(), call).await?;
        Ok((found.isMember, found.executionDelay))
    }

    /// The governor gives a role, with a delay in seconds for what is done with it.
    pub async fn grant_role(
        &self,
        role: AccessRole,
        account: Address,
        delay: u32,
    ) -> Result<Receipt, ClientError> {
        let call = AccessManager::grantRoleCall {
            roleId: role.number(),
            account,
            executionDelay: delay,
        };
        self.send(self.access_manager(), call).await
    }

    /// The governor takes a role.
    pub async fn revoke_role(
        &self,
        role: AccessRole,
        account: Address,
    ) -> Result<Receipt, ClientError> {
        let call = AccessManager::revokeRoleCall {
            roleId: role.number(),
            account,
        };
        self.send(self.access_manager(), call).await
    }

    /// Announces a call that a delay applies to; it can be executed from `when`, Unix seconds (0:
    /// as soon as the delay is over).
    pub async fn schedule_call(
        &self,
        target: Address,
        data: Bytes,
        when: u64,
    ) -> Result<Receipt, ClientError> {
        let call = AccessManager::scheduleCall {
            target,
            data,
            when: crate::device::time48(when)?,
        };
        self.send(self.access_manager(), call).await
    }

    /// Executes a call that was announced.
    pub async fn execute_scheduled(
        &self,
        target: Address,
        data: Bytes,
    ) -> Result<Receipt, ClientError> {
        let call = AccessManager::executeCall { target, data };
        self.send(self.access_manager(), call).await
    }
}
