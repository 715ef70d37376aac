//! What happened, as data: the file of `--report`, in exactly this shape.

use crate::commands::node::ChainHead;
use alloy_primitives::{B256, U256};
use medina_sdk::client::Score;
use serde::Serialize;

/// The whole report. What was not reached is zero or null.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    /// In the order in which they ran; the last one failed if any did.
    pub(crate) steps: Vec<StepReport>,
    /// From file to buyer.
    pub(crate) readings: ReadingsReport,
    /// Token amounts in base units.
    pub(crate) payment: PaymentReport,
    /// Reputation of the seller, 0 to 100; null while unknown.
    pub(crate) trust: TrustReport,
    /// Access without money.
    pub(crate) coupon: CouponReport,
    /// All nodes at the end.
    pub(crate) nodes: Vec<NodeReport>,
    /// Whether the story came to its end.
    #[serde(skip)]
    pub(crate) is_complete: bool,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StepReport {
    /// What was done.
    pub(crate) name: String,
    /// Whether it held.
    pub(crate) ok: bool,
    /// How long it took.
    pub(crate) ms: u64,
    /// Gas of all its transactions; null if it sent none.
    pub(crate) gas: Option<u64>,
    /// Its last transaction; null if it sent none.
    pub(crate) tx: Option<B256>,
    /// Block of that transaction, for people.
    #[serde(skip)]
    pub(crate) block: Option<u64>,
    /// What happened, for people.
    #[serde(skip)]
    pub(crate) note: String,
}

/// Readings on their way.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct ReadingsReport {
    /// Rows of the file, or samples.
    pub(crate) rows: u64,
    /// Values that became readings.
    pub(crate) accepted: u64,
    /// Missing values and broken rows.
    pub(crate) skipped: u64,
    /// Readings under an anchored root.
    pub(crate) anchored: u64,
    /// Readings that the buyer received and proved.
    pub(crate) verified: u64,
}

/// Who paid what.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct PaymentReport {
    /// Price of the listing.
    #[serde(serialize_with = "decimal")]
    pub(crate) price: U256,
    /// The buyer's tokens before buying.
    #[serde(serialize_with = "decimal")]
    pub(crate) buyer_before: U256,
    /// The buyer's tokens after confirming.
    #[serde(serialize_with = "decimal")]
    pub(crate) buyer_after: U256,
    /// The seller's tokens before.
    #[serde(serialize_with = "decimal")]
    pub(crate) seller_before: U256,
    /// The seller's tokens after withdrawing.
    #[serde(serialize_with = "decimal")]
    pub(crate) seller_after: U256,
}

/// Reputation of the seller, 0 to 100 as the contract answers it: somebody
/// without any evidence counts as 50.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct TrustReport {
    /// Before the sale.
    #[serde(serialize_with = "score")]
    pub(crate) before: Option<Score>,
    /// After the rating.
    #[serde(serialize_with = "score")]
    pub(crate) after: Option<Score>,
    /// Trust in the sensor that was sold, before, for people.
    #[serde(skip)]
    pub(crate) sensor_before: Option<Score>,
    /// And after.
    #[serde(skip)]
    pub(crate) sensor_after: Option<Score>,
}

/// What became of the coupon.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct CouponReport {
    /// It was valid on chain.
    pub(crate) issued: bool,
    /// Its one use was taken and gave access.
    pub(crate) consumed: bool,
    /// Gateway and contract refused to take it twice.
    pub(crate) second_use_refused: bool,
}

/// A node at the end.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NodeReport {
    /// Its name.
    pub(crate) name: String,
    /// Its height.
    pub(crate) height: u64,
    /// Hash of its head.
    pub(crate) head_hash: B256,
    /// State after its head.
    pub(crate) state_root: B256,
}

impl NodeReport {
    /// A node with this head.
    pub(crate) fn new(name: &str, head: ChainHead) -> Self {
        let ChainHead {
            height,
            hash,
            state_root,
        } = head;
        Self {
            name: name.to_owned(),
            height,
            head_hash: hash,
            state_root,
        }
    }
}

impl Report {
    /// True when every step ran and held.
    pub(crate) fn is_ok(&self) -> bool {
        self.is_complete && self.steps.iter().all(|step| step.ok)
    }
}

fn decimal<S: serde::Serializer>(amount: &U256, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    clippy::ref_option,
    reason = "serde asks for this form"
)]
fn score<S: serde::Serializer>(score: &Option<Score>, serializer: S) -> Result<S::Ok, S::Error> {
    match score {
        Some(score) => serializer.serialize_f64(f64::from(score.value) / 100.0),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn report_has_exactly_the_promised_shape() {
        let step = StepReport {
            name: "buy".to_owned(),
            ok: true,
            ms: 12,
            gas: Some(7),
            tx: None,
            block: None,
            note: "not in the file".to_owned(),
        };
        let score = |value, known| {
            Some(Score {
                value,
                confidence: 0,
                known,
            })
        };
        let node = ChainHead {
            height: 9,
            hash: B256::ZERO,
            state_root: B256::repeat_byte(1),
        };
        let report = Report {
            steps: vec![step],
            readings: ReadingsReport {
                rows: 1,
                accepted: 2,
                skipped: 3,
                anchored: 4,
                verified: 5,
            },
            payment: PaymentReport {
                price: U256::from(10).pow(U256::from(30)),
                ..PaymentReport::default()
            },
            trust: TrustReport {
                before: score(5000, false),
                after: score(8571, true),
                ..TrustReport::default()
            },
            coupon: CouponReport {
                issued: true,
                consumed: true,
                second_use_refused: false,
            },
            nodes: vec![NodeReport::new("node-0", node)],
            is_complete: true,
        };
        let expected = json!({
            "steps": [{ "name": "buy", "ok": true, "ms": 12, "gas": 7, "tx": null }],
            "readings": { "rows": 1, "accepted": 2, "skipped": 3, "anchored": 4, "verified": 5 },
            "payment": {
                "price": "1000000000000000000000000000000",
                "buyer_before": "0", "buyer_after": "0", "seller_before": "0", "seller_after": "0"
            },
            "trust": { "before": 50.0, "after": 85.71 },
            "coupon": { "issued": true, "consumed": true, "second_use_refused": false },
            "nodes": [{
                "name": "node-0", "height": 9, "head_hash": B256::ZERO, "state_root": B256::repeat_byte(1)
            }]
        });
        assert_eq!(serde_json::to_value(&report).unwrap(), expected);
    }

    #[test]
    fn failed_or_missing_step_fails_the_report() {
        let step = |ok| StepReport {
            name: String::new(),
            ok,
            ms: 0,
            gas: None,
            tx: None,
            block: None,
            note: String::new(),
        };
        let report = |steps, is_complete| Report {
            steps,
            is_complete,
            ..Report::default()
        };
        assert!(report(vec![step(true)], true).is_ok());
        assert!(!report(vec![step(true), step(false)], true).is_ok());
        assert!(!report(vec![step(true)], false).is_ok());
    }
}
