//! The markers of deliveries: which may leave, which have left, which are in a block.

use super::{
    Outbox, Place,
    delivery::{Delivery, MarkerStage, Recipient},
    place_of,
};
use alloy_primitives::{Address, B256};

impl Outbox {
    /// Deliveries whose tag was made with an older secret than the group has now, and
    /// whose marker is in no block yet.
    pub(crate) fn outdated(&self, group: B256, version: u32) -> Vec<B256> {
        let of_group = self.of_group(group);
        let outdated = of_group
            .filter(|delivery| delivery.is_before_its_block() && delivery.secret_version < version);
        outdated.map(|one| B256::from(one.digest)).collect()
    }

    /// A delivery's marker has another tag: everybody has to acknowledge that one.
    pub(crate) fn retag(&mut self, digest: B256, tag: B256, version: u32) -> Option<Delivery> {
        let mut delivery = self.deliveries.get(&digest)?.clone();
        if !delivery.is_before_its_block() || delivery.secret_version >= version {
            return None;
        }
        self.forget(digest);
        delivery.tag = tag.0;
        delivery.secret_version = version;
        delivery.marker = MarkerStage::Waiting;
        delivery.sent_as = None;
        for recipient in delivery.recipients.values_mut() {
            *recipient = Recipient::default();
        }
        self.insert(delivery.clone());
        Some(delivery)
    }

    /// A delivery was sealed anew: it is done, and the other one goes on.
    pub(crate) fn replace(&mut self, digest: B256, by: B256) -> Option<Delivery> {
        let replaced = self.deliveries.get(&digest)?.replaced_with(by);
        self.forget(digest);
        Some(replaced)
    }

    /// Accounts of a group whose first marker in line has met its policy; `None` stands
    /// for those that keep no order.
    pub(crate) fn in_line(&self, group: B256) -> Vec<Option<Address>> {
        let mut accounts: Vec<Option<Address>> = Vec::new();
        for place in self.waiting_of(group) {
            let (_, account, _, _, digest) = place;
            let account = account.map(Address::from);
            let is_met = |delivery: &Delivery| delivery.is_policy_met();
            if accounts.last() != Some(&account) && self.get(*digest).is_some_and(is_met) {
                accounts.push(account);
            }
        }
        accounts
    }

    fn waiting_of(&self, group: B256) -> impl Iterator<Item = &Place> {
        let from = (group, None, 0, 0, B256::ZERO);
        let places = self.waiting.range(from..);
        places.take_while(move |place| place.0 == group)
    }

    /// Releases markers whose policy is met: of an account in the order of its nonces,
    /// of which `executed` is the next one in the group's state. Answers those that
    /// were not released before.
    pub(crate) fn release(
        &mut self,
        group: B256,
        account: Option<Address>,
        executed: Option<u64>,
    ) -> Vec<Delivery> {
        let wanted = account.map(|account| account.0.0);
        let from = (group, wanted, 0, 0, B256::ZERO);
        let places = self.waiting.range(from..);
        let places = places.take_while(|place| place.0 == group && place.1 == wanted);
        let mut met = Vec::new();
        for (_, _, nonce, _, digest) in places {
            match self.get(*digest).is_some_and(Delivery::is_policy_met) {
                true => met.push((*nonce, *digest)),
                // Without an account there is no order to keep.
                false if account.is_none() => {}
                false => break,
            }
        }
        if let Some(account) = account {
            let nonces: Vec<_> = met.iter().map(|(nonce, _)| *nonce).collect();
            met.truncate(self.lanes.ready(group, account, executed, &nonces));
        }
        let released = met.into_iter();
        released
            .filter_map(|(_, digest)| self.release_one(digest))
            .collect()
    }

    fn release_one(&mut self, digest: B256) -> Option<Delivery> {
        let delivery = self.deliveries.get_mut(&digest)?;
        if let Some(place) = place_of(delivery) {
            self.waiting.remove(&place);
        }
        delivery.marker = MarkerStage::Released;
        if let Some(signed) = delivery.signed {
            self.lanes.leave(delivery.group.into(), signed);
        }
        Some(delivery.clone())
    }

    /// The marker was sent as this transaction.
    pub(crate) fn on_sent(
        &mut self,
        digest: B256,
        tag: B256,
        transaction: B256,
    ) -> Option<Delivery> {
        let delivery = self.deliveries.get_mut(&digest)?;
        let is_news = delivery.tag == tag.0 && delivery.sent_as != Some(transaction.0);
        if is_news {
            delivery.sent_as = Some(transaction.0);
        }
        is_news.then(|| delivery.clone())
    }

    /// The marker is in a block.
    pub(crate) fn on_included(
        &mut self,
        digest: B256,
        height: u64,
        transaction: B256,
    ) -> Option<Delivery> {
        let delivery = self.deliveries.get_mut(&digest)?;
        if matches!(delivery.marker, MarkerStage::Included { .. }) {
            return None;
        }
        if let Some(place) = place_of(delivery) {
            self.waiting.remove(&place);
        }
        delivery.marker = MarkerStage::Included {
            height,
            transaction: transaction.0,
        };
        delivery.sent_as = Some(transaction.0);
        self.settled(digest)
    }

    /// The transaction was executed, or never will be: nothing is to be sealed anew.
    pub(crate) fn on_settled(&mut self, digest: B256) -> Option<Delivery> {
        let delivery = self.deliveries.get_mut(&digest)?;
        if !std::mem::take(&mut delivery.awaits_receipt) {
            return None;
        }
        self.settled(digest)
    }

    /// Markers that may go out and are in no block yet, with what they carry.
    pub(crate) fn released(&self) -> impl Iterator<Item = &Delivery> {
        let deliveries = self.deliveries.values();
        deliveries.filter(|delivery| delivery.marker == MarkerStage::Released)
    }
}
