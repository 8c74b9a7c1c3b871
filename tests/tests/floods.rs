//! Calls beside floods of a stranger (B01): nothing of them is lost, whatever comes over UDP, TCP,
//! TLS and WSS. A binary of its own, since floods would disturb the other tests' timing.

use loadtest::floods::{FloodSpec, run};
use std::time::Duration;

// B01
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_flood_costs_a_call_a_packet() {
    let spec = FloodSpec { calls: 4, span: Duration::from_secs(1) };
    let reports = run(spec, &mut |_| {}).await.expect("calls that go on");
    for report in &reports {
        assert!(report.received_count > 0, "{report:?}");
        assert_eq!(report.lost_count, 0, "{report:?}");
    }
    // Each kind came, as far as it was let in.
    let silent: Vec<&str> = reports
        .iter()
        .filter(|report| report.sent_per_s == 0.0)
        .map(|report| report.kind)
        .collect();
    assert_eq!(silent, ["none"]);
}
