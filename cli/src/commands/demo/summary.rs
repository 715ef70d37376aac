//! What is printed at the end: who paid what, trust, and that all nodes agree.

use super::{
    report::Report,
    stage::{short, steps_table},
};
use crate::{
    output::{number, pairs, table},
    values::{money, points_or_unknown},
};
use medina_sdk::client::Score;

/// The whole summary.
pub(crate) fn summary(report: &Report) -> String {
    if !report.is_complete {
        return format!(
            "\n{}\n\nTHE STORY DID NOT COME TO ITS END",
            steps_table(report)
        );
    }
    let (readings, payment) = (&report.readings, &report.payment);
    let known = |score: Option<Score>| points_or_unknown(score.and_then(|score| score.known()));
    let yes = |is: bool| if is { "yes" } else { "NO" }.to_owned();
    let facts = pairs([
        (
            "readings",
            format!(
                "{} rows, {} values accepted, {} skipped, {} anchored, {} proven by the buyer",
                readings.rows,
                readings.accepted,
                readings.skipped,
                readings.anchored,
                readings.verified
            ),
        ),
        ("price", money(payment.price)),
        (
            "buyer",
            format!(
                "{} -> {}",
                money(payment.buyer_before),
                money(payment.buyer_after)
            ),
        ),
        (
            "seller",
            format!(
                "{} -> {}",
                money(payment.seller_before),
                money(payment.seller_after)
            ),
        ),
        (
            "trust in seller",
            format!(
                "{} -> {}",
                known(report.trust.before),
                known(report.trust.after)
            ),
        ),
        (
            "trust in sensor",
            format!(
                "{} -> {}",
                known(report.trust.sensor_before),
                known(report.trust.sensor_after)
            ),
        ),
        (
            "coupon",
            format!(
                "issued {}, consumed {}, second use refused {}",
                yes(report.coupon.issued),
                yes(report.coupon.consumed),
                yes(report.coupon.second_use_refused)
            ),
        ),
    ]);
    format!(
        "\n{}\n\n{facts}\n{}\n\nevery step held",
        steps_table(report),
        nodes_table(report)
    )
}

fn nodes_table(report: &Report) -> String {
    let mut rows = table(&["node", "height", "head", "state root"]);
    for node in &report.nodes {
        rows.add_row([
            node.name.clone().into(),
            number(node.height),
            short(node.head_hash).into(),
            short(node.state_root).into(),
        ]);
    }
    rows.to_string()
}
