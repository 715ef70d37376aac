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

    /// Tokens there are and tokens there may be at most, base units.
    pub async fn supply(&self) -> Result<(U256, U256), ClientError> {
        let now = self
            .call(self.token(), MedinaToken::totalSupplyCall {})
            .await?;
        let cap = self.call(self.token(), MedinaToken::capCall {}).await?;
        Ok((now, cap))
    }

    /// The sender destroys tokens of its own, base units.
    pub async fn burn(&self, amount: U256) -> Result<Receipt, ClientError> {
        self.send(self.token(), MedinaToken::burnCall { amount })
            .await
    }

    /// What `spender` may take of an owner's tokens, base units.
    pub async fn allowance(&self, owner: Address, spender: Address) -> Result<U256, ClientError> {
        self.call(self.token(), MedinaToken::allowanceCall { owner, spender })
            .await
    }

    /// Lets `spender` take up to `amount` of the sender's tokens, base units.
    pub async fn approve(&self, spender: Address, amount: U256) -> Result<Receipt, ClientError> {
        let call = MedinaToken::approveCall {
            spender,
            value: amount,
        };
        self.send(self.token(), call).await
    }

    /// Gives an allowance where the present one is too small.
    pub(super) async fn allow(&self, spender: Address, amount: u128) -> Result<(), ClientError> {
        let owner = self.account()?.address();
        let amount = U256::from(amount);
        if self.allowance(owner, spender).await? < amount {
            self.approve(spender, amount).await?;
        }
        Ok(())
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
