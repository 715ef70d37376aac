//! Finding listings by what their events say.

use alloy_primitives::B256;
use medina_contracts::data_marketplace::DataMarketplace;

use super::logs::Indexed;
use super::{ClientError, ListingKind, MarketClient, MarketListing};
use medina_contracts::values::STATUS_LIVE;

/// What a buyer looks for; what is `None` does not matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchFilter {
    /// Hash of the property.
    pub topic: Option<B256>,
    /// The seller's organisation.
    pub org: Option<B256>,
    /// What is sold.
    pub kind: Option<ListingKind>,
    /// The resource, root or allow list.
    pub subject: Option<B256>,
    /// The most a unit may cost, base units.
    pub max_unit_price: Option<u128>,
    /// The least trust in the resource, basis points; unknown trust does not pass.
    pub min_trust: Option<u16>,
    /// Paused, retired and flagged ones as well.
    pub include_closed: bool,
}

/// A listing that fits, with the trust in what it offers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FoundListing {
    /// The listing as it is now.
    pub listing: MarketListing,
    /// Trust in its subject, basis points, if known.
    pub trust: Option<u16>,
    /// Reputation of its organisation, basis points, if known.
    pub reputation: Option<u16>,
}

impl SearchFilter {
    /// Whether a listing as it is now fits, trust aside.
    fn fits(&self, listing: &MarketListing) -> bool {
        let fits = |asked: Option<B256>, found: B256| asked.is_none_or(|asked| asked == found);
        (self.include_closed || listing.status == STATUS_LIVE)
            && fits(self.topic, listing.topic)
            && fits(self.org, listing.org)
            && fits(self.subject, listing.subject)
            && self.kind.is_none_or(|kind| listing.kind == Ok(kind))
            && self
                .max_unit_price
                .is_none_or(|max| listing.unit_price <= max)
    }
}

impl MarketClient {
    /// Every listing that fits, oldest first.
    pub async fn search(&self, filter: &SearchFilter) -> Result<Vec<FoundListing>, ClientError> {
        let indexed = Indexed {
            first: None,
            second: filter.topic,
            third: filter.org,
        };
        let events: Vec<DataMarketplace::Listed> = self.events(self.market(), indexed).await?;
        let mut found = Vec::new();
        for event in events {
            let listing = self.listing(event.id).await?;
            if !filter.fits(&listing) {
                continue;
            }
            let trust = self.resource_trust(listing.subject).await?.known();
            let is_trusted = |least: u16| trust.is_some_and(|trust| trust >= least);
            if filter.min_trust.is_none_or(is_trusted) {
                let reputation = self.platform_reputation(listing.org).await?.known();
                found.push(FoundListing {
                    listing,
                    trust,
                    reputation,
                });
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Price;
    use alloy_primitives::Address;

    fn listing() -> MarketListing {
        MarketListing {
            id: 1,
            org: B256::repeat_byte(1),
            payee: Address::ZERO,
            kind: Ok(ListingKind::Stream),
            price: Ok(Price::Fixed),
            status: STATUS_LIVE,
            min_reputation: 0,
            unit_price: 10,
            access_seconds: 0,
            deliver_seconds: 0,
            confirm_seconds: 60,
            subject: B256::repeat_byte(2),
            audience: B256::ZERO,
            topic: B256::repeat_byte(3),
            meta: B256::ZERO,
            policy: B256::ZERO,
            consent_scope: B256::ZERO,
            judge: None,
        }
    }

    #[test]
    fn every_field_of_the_filter_counts() {
        let any = SearchFilter::default();
        assert!(any.fits(&listing()));
        let other = Some(B256::ZERO);
        for filter in [
            SearchFilter {
                topic: other,
                ..any
            },
            SearchFilter { org: other, ..any },
            SearchFilter {
                subject: other,
                ..any
            },
            SearchFilter {
                kind: Some(ListingKind::Dataset),
                ..any
            },
            SearchFilter {
                max_unit_price: Some(9),
                ..any
            },
        ] {
            assert!(!filter.fits(&listing()), "{filter:?}");
        }
        let paused = MarketListing {
            status: 2,
            ..listing()
        };
        assert!(!any.fits(&paused));
        assert!(
            SearchFilter {
                include_closed: true,
                ..any
            }
            .fits(&paused)
        );
    }
}
