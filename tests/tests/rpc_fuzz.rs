//! Half a minute of attacks on the JSON-RPC port of a real node.

use medina_tests::{
    processes::NetworkOfProcesses,
    rpc_fuzz::{FuzzPlan, fill, run},
};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_is_answered_in_json_and_the_node_lives_on() {
    let network = NetworkOfProcesses::start(1).await;
    let url = network.rpc_url(0);
    fill(&url).await;
    let address = url.trim_start_matches("http://").parse();
    let plan = FuzzPlan {
        address: address.expect("an address and a port"),
        duration: Duration::from_secs(25),
        seed: 1,
        workers: 6,
        pid: network.pid(0),
        log: Some(network.log_path(0)),
    };
    let report = run(&plan).await;
    println!("{report}");
    assert!(report.is_clean(), "{report}");
    assert!(report.results > 100 && report.errors > 100, "{report}");
    assert!(network.height(0).await.is_some(), "the node has ended");
}
