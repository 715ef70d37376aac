//! Money: balances, transfers, permits.

use alloy_primitives::{Address, U256};
use medina_contracts::eip712::Permit;
use medina_contracts::medina_token::MedinaToken;

use super::{ClientError, MarketClient, Receipt};
use crate::device::domain;

/// A signed ERC-2612 permit.
#[derive(Debug, Clone, Copy)]
pub(super) struct SignedPermit {
    pub(super) deadline: U256,
    pub(super) v: u8,
    pub(super) r: alloy_primitives::B256,
    pub(super) s: alloy_primitives::B256,
}

impl MarketClient {
    /// Tokens of an account, base units.
    pub async fn balance(&self, account: Address) -> Result<U256, ClientError> {
        self.call(self.token(), MedinaToken::balanceOfCall { account })
            .await
    }

    /// Sends tokens, base units.
    pub async fn transfer(&self, to: Address, amount: U256) -> Result<Receipt, ClientError> {
        self.send(
            self.token(),
            MedinaToken::transferCall { to, value: amount },
        )
        .await
    }

    /// Lets the market take up to `amount` of the sender's tokens, by signature only.
    pub(super) async fn permit_market(
        &self,
        amount: u128,
        deadline: u64,
    ) -> Result<SignedPermit, ClientError> {
        let account = self.account()?;
        let owner = account.address();
        let name = self.call(self.token(), MedinaToken::nameCall {}).await?;
        let nonce = self
            .call(self.token(), MedinaToken::noncesCall { owner })
            .await?;
        let deadline = U256::from(deadline);
        let spender = self.contracts.data_marketplace;
        let permit = Permit {
            owner,
            spender,
            value: U256::from(amount),
            nonce,
            deadline,
        };
        let domain = domain(&name, self.chain_id, self.token());
        let signature = account.sign_typed(&permit, &domain)?;
        Ok(SignedPermit {
            deadline,
            v: 27 + u8::from(signature.v()),
            r: signature.r().into(),
            s: signature.s().into(),
        })
    }

    fn token(&self) -> Address {
        self.contracts.medina_token
    }
}
