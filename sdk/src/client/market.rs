//! Listings and orders: sell, buy, deliver, confirm, get paid.

use alloy_primitives::{Address, B256, U256};
use medina_contracts::data_marketplace::{DataMarketplace, IDataMarketplace};

use super::logs::Indexed;
use super::{ClientError, ListingKind, MarketClient, OrderState, Price, Receipt};

/// What a seller offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingTerms {
    /// Who is credited; the sender if `None`.
    pub payee: Option<Address>,
    /// What is sold.
    pub kind: ListingKind,
    /// How it is paid.
    pub price: Price,
    /// Price of one unit, base units; 0 if free.
    pub unit_price: u128,
    /// Seconds of access in all; 0 is endless.
    pub access_seconds: u32,
    /// Seconds the seller has to deliver.
    pub deliver_seconds: u32,
    /// Seconds the buyer has to confirm or dispute.
    pub confirm_seconds: u32,
    /// Least reputation of a buyer's organisation, basis points; 0 asks none.
    pub min_reputation: u16,
    /// Resource id (Stream, Service) or anchored root (Dataset).
    pub subject: B256,
    /// Zero for everybody, an organisation, or a federation of both.
    pub audience: B256,
    /// Zero, or whose consent a purchase needs.
    pub consent_scope: B256,
    /// Hash of an ODRL policy.
    pub policy: B256,
    /// Hash of a salted document.
    pub meta: B256,
    /// Hash of the property, to be found by.
    pub topic: B256,
    /// A contract that alone delivers and decides (Fixed only), such as the one of
    /// [`MarketClient::sealed_judge`].
    pub judge: Option<Address>,
}

impl ListingTerms {
    /// A resource's readings for one fixed price: endless access, a day to deliver, a day to
    /// confirm.
    pub fn stream(resource: B256, topic: B256, unit_price: u128) -> Self {
        Self {
            payee: None,
            kind: ListingKind::Stream,
            price: if unit_price == 0 {
                Price::Free
            } else {
                Price::Fixed
            },
            unit_price,
            access_seconds: 0,
            deliver_seconds: 86_400,
            confirm_seconds: 86_400,
            min_reputation: 0,
            subject: resource,
            audience: B256::ZERO,
            consent_scope: B256::ZERO,
            policy: B256::ZERO,
            meta: B256::ZERO,
            topic,
            judge: None,
        }
    }

    /// One anchored batch for one fixed price, otherwise as [`Self::stream`].
    pub fn dataset(root: B256, topic: B256, unit_price: u128) -> Self {
        Self {
            kind: ListingKind::Dataset,
            ..Self::stream(root, topic, unit_price)
        }
    }
}

/// A listing as the market knows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MarketListing {
    /// Its number.
    pub id: u64,
    /// Whose it is.
    pub org: B256,
    /// Who is credited.
    pub payee: Address,
    /// What is sold; the market's number if this version does not know it.
    pub kind: Result<ListingKind, u8>,
    /// How it is paid, likewise.
    pub price: Result<Price, u8>,
    /// 1 live, 2 paused, 3 retired, +128 while flagged.
    pub status: u8,
    /// Least reputation of a buyer's organisation, basis points.
    pub min_reputation: u16,
    /// Price of one unit, base units.
    pub unit_price: u128,
    /// Seconds of access; 0 is endless.
    pub access_seconds: u32,
    /// Seconds to deliver.
    pub deliver_seconds: u32,
    /// Seconds to confirm.
    pub confirm_seconds: u32,
    /// Resource id, root or allow list.
    pub subject: B256,
    /// Zero, an organisation or a federation.
    pub audience: B256,
    /// Hash of the property.
    pub topic: B256,
    /// Hash of a salted document.
    pub meta: B256,
    /// Hash of an ODRL policy.
    pub policy: B256,
    /// Zero, or whose consent a purchase needs.
    pub consent_scope: B256,
    /// The contract that alone delivers and decides, if there is one.
    pub judge: Option<Address>,
}

/// An order as the market knows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MarketOrder {
    /// Its number.
    pub id: U256,
    /// What was bought.
    pub listing: u64,
    /// How far it is; the market's number if this version does not know it.
    pub state: Result<OrderState, u8>,
    /// When it was bought, Unix seconds.
    pub time: u64,
    /// Of delivery, window or dispute, Unix seconds.
    pub deadline: u64,
    /// End of access, Unix seconds; 0 is endless.
    pub end: u64,
    /// How many units.
    pub units: u64,
    /// How many of them were used (PerUnit).
    pub used: u64,
    /// What it costs, base units.
    pub amount: u128,
    /// What the seller got, fee included, base units.
    pub paid: u128,
    /// Who paid.
    pub buyer: Address,
    /// Who may read.
    pub user: Address,
    /// What the seller answers for, zero before the delivery.
    pub proof: B256,
    /// Hash of what the data are for.
    pub purpose: B256,
}

/// What a buyer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purchase {
    /// The listing.
    pub listing: u64,
    /// How many units.
    pub units: u64,
    /// Who may read; the sender if `None`.
    pub user: Option<Address>,
    /// The most it may cost, base units; the quote if `None`.
    pub max_amount: Option<u128>,
    /// Hash of what the data are for.
    pub purpose: B256,
    /// Until when the permit holds, Unix seconds.
    pub deadline: u64,
}

impl MarketClient {
    /// Offers data; gives the listing's number.
    pub async fn list(&self, terms: &ListingTerms) -> Result<(u64, Receipt), ClientError> {
        let payee = match terms.payee {
            Some(payee) => payee,
            None => self.account()?.address(),
        };
        let call = DataMarketplace::listCall {
            l: on_chain(terms, payee),
        };
        let receipt = self.send(self.market(), call).await?;
        let listed: DataMarketplace::Listed = receipt.event(self.market())?;
        Ok((listed.id, receipt))
    }

    /// Changes the price of one unit, base units. Open orders keep theirs.
    pub async fn set_price(&self, listing: u64, unit_price: u128) -> Result<Receipt, ClientError> {
        let call = DataMarketplace::setPriceCall {
            id: listing,
            unitPrice: unit_price,
        };
        self.send(self.market(), call).await
    }

    /// What so many units cost now, base units.
    pub async fn quote(&self, listing: u64, units: u64) -> Result<u128, ClientError> {
        self.call(
            self.market(),
            DataMarketplace::quoteCall { id: listing, units },
        )
        .await
    }

    /// Buys with a signed permit instead of an allowance; gives the order's number.
    pub async fn buy(&self, purchase: &Purchase) -> Result<(U256, Receipt), ClientError> {
        let user = match purchase.user {
            Some(user) => user,
            None => self.account()?.address(),
        };
        let max_amount = match purchase.max_amount {
            Some(max_amount) => max_amount,
            None => self.quote(purchase.listing, purchase.units).await?,
        };
        let permit = self.permit_market(max_amount, purchase.deadline).await?;
        let call = DataMarketplace::buyWithPermitCall {
            id: purchase.listing,
            units: purchase.units,
            user,
            maxAmount: max_amount,
            purpose: purchase.purpose,
            deadline: permit.deadline,
            v: permit.v,
            r: permit.r,
            s: permit.s,
        };
        let receipt = self.send(self.market(), call).await?;
        let bought: DataMarketplace::Bought = receipt.event(self.market())?;
        Ok((bought.order, receipt))
    }

    /// The seller says that the data can be read; `proof` is what it answers for, such as a root.
    pub async fn deliver(&self, order: U256, proof: B256) -> Result<Receipt, ClientError> {
        self.send(self.market(), DataMarketplace::deliverCall { order, proof })
            .await
    }

    /// The buyer accepts; the seller is credited.
    pub async fn confirm(&self, order: U256) -> Result<Receipt, ClientError> {
        self.send(self.market(), DataMarketplace::confirmCall { order })
            .await
    }

    /// After the buyer's window: the seller is credited.
    pub async fn claim(&self, order: U256) -> Result<Receipt, ClientError> {
        self.send(self.market(), DataMarketplace::claimCall { order })
            .await
    }

    /// Not delivered in time: the buyer is credited.
    pub async fn cancel(&self, order: U256) -> Result<Receipt, ClientError> {
        self.send(self.market(), DataMarketplace::cancelCall { order })
            .await
    }

    /// The buyer objects, inside the window.
    pub async fn dispute(&self, order: U256, evidence: B256) -> Result<Receipt, ClientError> {
        self.send(
            self.market(),
            DataMarketplace::disputeCall { order, evidence },
        )
        .await
    }

    /// Pays out the sender's credit.
    pub async fn withdraw(&self, to: Address) -> Result<Receipt, ClientError> {
        self.send(self.market(), DataMarketplace::withdrawCall { to })
            .await
    }

    /// What the market owes an account, base units.
    pub async fn credits(&self, owner: Address) -> Result<u128, ClientError> {
        self.call(self.market(), DataMarketplace::creditsCall { owner })
            .await
    }

    /// Whether an account may read a listing now.
    pub async fn has_access(&self, listing: u64, user: Address) -> Result<bool, ClientError> {
        self.call(
            self.market(),
            DataMarketplace::hasAccessCall { listing, user },
        )
        .await
    }

    /// One listing.
    pub async fn listing(&self, id: u64) -> Result<MarketListing, ClientError> {
        let listing = self
            .call(self.market(), DataMarketplace::getListingCall { id })
            .await?;
        if listing.status == 0 {
            return Err(ClientError::Unknown {
                what: "listing",
                id: id.to_string(),
            });
        }
        Ok(listing_from(id, &listing))
    }

    /// One order.
    pub async fn order(&self, id: U256) -> Result<MarketOrder, ClientError> {
        let order = self
            .call(self.market(), DataMarketplace::getOrderCall { order: id })
            .await?;
        if order.state == 0 {
            return Err(ClientError::Unknown {
                what: "order",
                id: id.to_string(),
            });
        }
        Ok(order_from(id, &order))
    }

    /// Every order an account paid for or may read by, oldest first.
    pub async fn orders_of(&self, account: Address) -> Result<Vec<MarketOrder>, ClientError> {
        // The buyer is not indexed, so all purchases are looked at.
        self.orders_where(Indexed::default(), |bought| {
            bought.buyer == account || bought.user == account
        })
        .await
    }

    /// Every order of a listing, oldest first.
    pub async fn orders_for(&self, listing: u64) -> Result<Vec<MarketOrder>, ClientError> {
        let second = Some(super::anchors::word(listing));
        self.orders_where(
            Indexed {
                second,
                ..Indexed::default()
            },
            |_| true,
        )
        .await
    }

    pub(super) async fn orders_where(
        &self,
        indexed: Indexed,
        is_wanted: impl Fn(&DataMarketplace::Bought) -> bool,
    ) -> Result<Vec<MarketOrder>, ClientError> {
        let events: Vec<DataMarketplace::Bought> = self.events(self.market(), indexed).await?;
        let mut orders = Vec::new();
        for bought in events.iter().filter(|bought| is_wanted(bought)) {
            orders.push(self.order(bought.order).await?);
        }
        Ok(orders)
    }

    pub(super) fn market(&self) -> Address {
        self.contracts.data_marketplace
    }
}

fn on_chain(terms: &ListingTerms, payee: Address) -> IDataMarketplace::Listing {
    IDataMarketplace::Listing {
        org: B256::ZERO,
        payee,
        kind: terms.kind.into(),
        price: terms.price.into(),
        status: 0,
        minReputation: terms.min_reputation,
        unitPrice: terms.unit_price,
        unit: terms.access_seconds,
        deliverIn: terms.deliver_seconds,
        confirmIn: terms.confirm_seconds,
        judge: terms.judge.unwrap_or_default(),
        subject: terms.subject,
        audience: terms.audience,
        consentScope: terms.consent_scope,
        policy: terms.policy,
        meta: terms.meta,
        topic: terms.topic,
    }
}

fn listing_from(id: u64, listing: &IDataMarketplace::Listing) -> MarketListing {
    MarketListing {
        id,
        org: listing.org,
        payee: listing.payee,
        kind: ListingKind::try_from(listing.kind).map_err(|unknown| unknown.value),
        price: Price::try_from(listing.price).map_err(|unknown| unknown.value),
        status: listing.status,
        min_reputation: listing.minReputation,
        unit_price: listing.unitPrice,
        access_seconds: listing.unit,
        deliver_seconds: listing.deliverIn,
        confirm_seconds: listing.confirmIn,
        subject: listing.subject,
        audience: listing.audience,
        topic: listing.topic,
        meta: listing.meta,
        policy: listing.policy,
        consent_scope: listing.consentScope,
        judge: (!listing.judge.is_zero()).then_some(listing.judge),
    }
}

fn order_from(id: U256, order: &IDataMarketplace::Order) -> MarketOrder {
    MarketOrder {
        id,
        listing: order.listing,
        state: OrderState::try_from(order.state).map_err(|unknown| unknown.value),
        time: order.time.to(),
        deadline: order.deadline.to(),
        end: order.end.to(),
        units: order.units,
        used: order.used,
        amount: order.amount,
        paid: order.paid,
        buyer: order.buyer,
        user: order.user,
        proof: order.proof,
        purpose: order.purpose,
    }
}
