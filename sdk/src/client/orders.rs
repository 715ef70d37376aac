//! What becomes of listings and orders besides delivery and confirmation: vouchers, intents,
//! renewals, disputes, and what a seller has earned.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::Eip712Domain;
use medina_contracts::data_marketplace::{DataMarketplace, IDataMarketplace};
use medina_contracts::eip712;
use serde::{Deserialize, Serialize};

use super::logs::Indexed;
use super::{ClientError, MarketClient, Receipt};
use crate::device::{domain, time48};

/// A purchase that somebody else brings on chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PurchaseIntent {
    /// The listing.
    pub listing: u64,
    /// How many units.
    pub units: u64,
    /// Who pays, from its allowance for the market.
    pub buyer: Address,
    /// Who may read.
    pub user: Address,
    /// The most it may cost, base units.
    #[serde(with = "decimal")]
    pub max_amount: u128,
    /// Hash of what the data are for.
    pub purpose: B256,
    /// Until when it may be brought, Unix seconds.
    pub deadline: u64,
    /// Each number of a buyer works once.
    pub number: u64,
}

/// A purchase intent with its buyer's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedIntent {
    /// What is wanted.
    pub intent: PurchaseIntent,
    /// The buyer's signature.
    pub signature: Bytes,
}

/// JSON numbers end at 2^53.
mod decimal {
    use serde::Deserialize as _;

    pub(super) fn serialize<S: serde::Serializer>(
        value: &u128,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a listing has earned so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IncomeRow {
    /// How many orders.
    pub orders: u64,
    /// How many of them are open.
    pub open: u64,
    /// What waits in escrow for them, base units.
    pub escrow: u128,
    /// What the seller was credited with, after the fee, base units.
    pub earned: u128,
    /// What the market kept of it, base units.
    pub fees: u128,
    /// What buyers got back, base units.
    pub refunded: u128,
}

/// What an organisation has earned, by listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Income {
    /// By listing's number.
    pub listings: BTreeMap<u64, IncomeRow>,
}

impl Income {
    /// All listings together.
    pub fn total(&self) -> IncomeRow {
        self.listings
            .values()
            .fold(IncomeRow::default(), |sum, row| IncomeRow {
                orders: sum.orders + row.orders,
                open: sum.open + row.open,
                escrow: sum.escrow.saturating_add(row.escrow),
                earned: sum.earned.saturating_add(row.earned),
                fees: sum.fees.saturating_add(row.fees),
                refunded: sum.refunded.saturating_add(row.refunded),
            })
    }
}

impl MarketClient {
    fn market_domain(&self) -> Eip712Domain {
        domain("DataMarketplace", self.chain_id, self.market())
    }

    /// The sender, a buyer, signs a purchase that somebody else brings. The market takes the money
    /// from the buyer's allowance ([`Self::allow_market`]).
    pub fn sign_intent(&self, intent: PurchaseIntent) -> Result<SignedIntent, ClientError> {
        let payload = eip712::BuyIntent {
            listing: intent.listing,
            units: intent.units,
            buyer: intent.buyer,
            user: intent.user,
            maxAmount: intent.max_amount,
            purpose: intent.purpose,
            deadline: time48(intent.deadline)?,
            number: intent.number,
        };
        let signature = self
            .account()?
            .sign_typed(&payload, &self.market_domain())?;
        Ok(SignedIntent {
            intent,
            signature: signature.as_bytes().to_vec().into(),
        })
    }

    /// Lets the market take up to `amount` of the sender's tokens, base units.
    pub async fn allow_market(&self, amount: u128) -> Result<(), ClientError> {
        self.allow(self.market(), amount).await
    }

    /// Brings a signed purchase; gives the order's number.
    pub async fn buy_for(&self, signed: &SignedIntent) -> Result<(U256, Receipt), ClientError> {
        let intent = &signed.intent;
        let call = DataMarketplace::buyForCall {
            i: IDataMarketplace::BuyIntent {
                listing: intent.listing,
                units: intent.units,
                buyer: intent.buyer,
                user: intent.user,
                maxAmount: intent.max_amount,
                purpose: intent.purpose,
                deadline: time48(intent.deadline)?,
                number: intent.number,
            },
            buyerSig: signed.signature.clone(),
        };
        let receipt = self.send(self.market(), call).await?;
        let bought: DataMarketplace::Bought = receipt.event(self.market())?;
        Ok((bought.order, receipt))
    }

    /// The sender, who reads by an order, signs to have received so many units of it in all.
    pub fn sign_voucher(&self, order: U256, cumulative: u64) -> Result<Bytes, ClientError> {
        let payload = eip712::UnitVoucher { order, cumulative };
        let signature = self
            .account()?
            .sign_typed(&payload, &self.market_domain())?;
        Ok(signature.as_bytes().to_vec().into())
    }

    /// Brings a voucher: the seller is credited with the units since the last one.
    pub async fn claim_units(
        &self,
        order: U256,
        cumulative: u64,
        signature: Bytes,
    ) -> Result<Receipt, ClientError> {
        let call = DataMarketplace::claimUnitsCall {
            order,
            cumulative,
            userSig: signature,
        };
        self.send(self.market(), call).await
    }

    /// The buyer adds periods to a running order, paying its present price.
    pub async fn renew_order(
        &self,
        order: U256,
        periods: u64,
        max_amount: Option<u128>,
    ) -> Result<Receipt, ClientError> {
        let max_amount = match max_amount {
            Some(amount) => amount,
            None => {
                self.quote(self.order(order).await?.listing, periods)
                    .await?
            }
        };
        self.allow_market(max_amount).await?;
        let call = DataMarketplace::renewCall {
            order,
            periods,
            maxAmount: max_amount,
        };
        self.send(self.market(), call).await
    }

    /// An arbiter (or the listing's judge) gives the buyer a part of what is contested, in basis
    /// points, and the seller the rest.
    pub async fn resolve(&self, order: U256, buyer_share: u16) -> Result<Receipt, ClientError> {
        let call = DataMarketplace::resolveCall {
            order,
            buyerBps: buyer_share,
        };
        self.send(self.market(), call).await
    }

    /// Ends a dispute that nobody answered in time.
    pub async fn expire_dispute(&self, order: U256) -> Result<Receipt, ClientError> {
        self.send(self.market(), DataMarketplace::expireCall { order })
            .await
    }

    /// The seller's organisation sets what may change of a listing: 1 live, 2 paused, 3 retired,
    /// and the hashes of its documents.
    pub async fn set_listing(
        &self,
        id: u64,
        status: u8,
        meta: B256,
        policy: B256,
    ) -> Result<Receipt, ClientError> {
        let call = DataMarketplace::setListingCall {
            id,
            status,
            meta,
            policy,
        };
        self.send(self.market(), call).await
    }

    /// Pays what the market owes an account to that account; anyone may.
    pub async fn withdraw_for(&self, owner: Address) -> Result<Receipt, ClientError> {
        self.send(self.market(), DataMarketplace::withdrawForCall { owner })
            .await
    }

    /// Its user makes an order the one that access is judged by.
    pub async fn use_order(&self, order: U256) -> Result<Receipt, ClientError> {
        self.send(self.market(), DataMarketplace::useOrderCall { order })
            .await
    }

    /// First second without access, Unix seconds; 2^48-1 if there is no end, 0 if the order gives
    /// none.
    pub async fn expires_at(&self, order: U256) -> Result<u64, ClientError> {
        let call = DataMarketplace::expiresAtCall { order };
        Ok(self.call(self.market(), call).await?.to())
    }

    /// Every listing of an organisation, or every listing there is, by number.
    pub async fn listing_ids(&self, org: Option<B256>) -> Result<Vec<u64>, ClientError> {
        let indexed = Indexed {
            third: org,
            ..Indexed::default()
        };
        let events: Vec<DataMarketplace::Listed> = self.events(self.market(), indexed).await?;
        Ok(events.into_iter().map(|event| event.id).collect())
    }

    /// What an organisation has earned with its listings.
    pub async fn income(&self, org: B256) -> Result<Income, ClientError> {
        let mut income = Income::default();
        for id in self.listing_ids(Some(org)).await? {
            let mut row = IncomeRow::default();
            for order in self.orders_for(id).await? {
                row.orders += 1;
                if is_open(&order) {
                    row.open += 1;
                    row.escrow = row.escrow.saturating_add(order.amount - order.paid);
                }
                self.add_payments(order.id, &mut row).await?;
            }
            income.listings.insert(id, row);
        }
        Ok(income)
    }

    async fn add_payments(&self, order: U256, row: &mut IncomeRow) -> Result<(), ClientError> {
        let of_it = Indexed {
            first: Some(order.into()),
            ..Indexed::default()
        };
        let paid: Vec<DataMarketplace::Paid> = self.events(self.market(), of_it).await?;
        for event in paid {
            row.fees = row.fees.saturating_add(event.fee);
            let net = event.amount.saturating_sub(event.fee);
            row.earned = row.earned.saturating_add(net);
        }
        let back: Vec<DataMarketplace::Refunded> = self.events(self.market(), of_it).await?;
        for event in back {
            row.refunded = row.refunded.saturating_add(event.amount);
        }
        Ok(())
    }
}

fn is_open(order: &super::MarketOrder) -> bool {
    use super::OrderState::{Active, Delivered, Disputed, Funded};
    matches!(order.state, Ok(Funded | Delivered | Active | Disputed))
}
