//! `medina private status` and `erase`.

use super::access::{self, ReaderArgs};
use crate::{errors::Outcome, output::Output, show, values};
use alloy_primitives::B256;
use clap::Args;
use medina_sdk::private::{DeliveryStatus, Erasure, GroupStatus, Groups, PrivateClient};
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// A group (id, its first digits, or name), or the digest of a transaction
    what: String,
    #[command(flatten)]
    reader: ReaderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    /// Digest of the transaction whose payload is to be forgotten
    digest: B256,
    /// Why; every holder keeps it beside the digest
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    reader: ReaderArgs,
}

pub(super) async fn show(args: &StatusArgs, output: Output) -> Outcome {
    let client = args.reader.connect().await?;
    if let Ok(digest) = args.what.parse::<B256>()
        && let Some(delivery) = client.delivery(digest).await?
    {
        let erasure = client.erasure(digest).await?;
        show::facts(output, &delivery_facts(&delivery, erasure.as_ref()));
        return Ok(());
    }
    let group = access::group(client.chain(), &args.what).await?;
    let status = client.status(group).await?;
    show::facts(output, &status_facts(&client, &status).await?);
    Ok(())
}

async fn status_facts(client: &PrivateClient, status: &GroupStatus) -> Outcome<Value> {
    let mut facts = json!({
        "group": status.id,
        "state": status.phase,
        "height": status.height,
        "root": status.root,
    });
    if let Some(digest) = status.waiting_for {
        facts["waitingFor"] = json!(digest);
        facts["sentBy"] = json!(
            status
                .sent_by_org
                .map_or_else(|| json!(status.sent_by), |org| json!(org))
        );
    }
    if let Some(reason) = &status.reason {
        facts["reason"] = json!(reason);
    }
    if !status.disputed_by.is_empty() {
        let members = status.disputed_by.iter().map(|one| json!(one.org));
        facts["disputedBy"] = members.collect();
    }
    if let Some(halt) = &status.halt {
        facts["stoppedBy"] = json!(halt.member);
        facts["stoppedAt"] = json!(halt.height);
        facts["reason"] = json!(halt.reason);
    }
    if !status.missing.is_empty() {
        facts["missing"] = json!(status.missing.len());
    }
    let members = match Groups::of(client.chain())?.get(status.id).await {
        Ok(group) => group.members,
        // Made of a list of recipients: the chain does not know it.
        Err(_) => status.attestations.iter().map(|one| one.org).collect(),
    };
    let attested = members.iter().map(|org| {
        let newest = status.attestations.iter().find(|one| one.org == *org);
        json!({
            "organisation": org,
            "height": newest.map(|one| one.height),
            "root": newest.map(|one| one.root),
        })
    });
    facts["attested"] = attested.collect();
    Ok(facts)
}

fn delivery_facts(delivery: &DeliveryStatus, erasure: Option<&Erasure>) -> Value {
    let state = match (delivery.block_number, delivery.marker_hash) {
        (Some(_), _) => "ordered",
        (None, Some(_)) => "marker sent",
        (None, None) if delivery.failure.is_some() => "failed",
        (None, None) if delivery.is_policy_met => "ready",
        (None, None) => "waits for acknowledgements",
    };
    let mut facts = json!({
        "digest": delivery.digest,
        "group": delivery.group,
        "state": state,
        "marker": delivery.marker_hash,
        "block": delivery.block_number,
        "failure": delivery.failure,
    });
    let recipients = delivery.recipients.iter().map(|one| {
        json!({
            "organisation": one.org,
            "acknowledged": one.acknowledged_at.map_or_else(|| "-".to_owned(), values::moment),
            "mandatory": one.is_mandatory,
            "attempts": one.attempts,
            "lastError": one.last_error,
        })
    });
    facts["recipients"] = recipients.collect();
    if let Some(erasure) = erasure {
        facts["payload"] = json!("erased");
        facts["erasureReceipts"] = json!(erasure.receipts.len());
        facts["erasurePending"] = json!(erasure.pending.len());
    }
    facts
}

pub(super) async fn erase(args: &EraseArgs, output: Output) -> Outcome {
    let client = args.reader.connect().await?;
    let erasure = client.erase(args.digest, &args.reason).await?;
    let facts = json!({
        "digest": erasure.digest,
        "group": erasure.group,
        "reason": erasure.reason,
        "state": if erasure.pending.is_empty() { "erased everywhere" } else { "erased here" },
        "receipts": erasure.receipts.len(),
        "pending": erasure.pending.iter().map(B256::to_string).collect::<Vec<_>>().join(" "),
        "event": erasure.event,
        "next": format!("medina private status {}", erasure.digest),
    });
    show::facts(output, &facts);
    Ok(())
}
