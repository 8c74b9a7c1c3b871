//! Pages of made-up figures: well formed, alone, and without colours of their own.

use super::*;
use crate::capacity::Raised;
use crate::children::Usage;
use crate::floor::Floor;
use crate::load::Sample;
use crate::profile::Profile;
use crate::spread::{Spread, Times};
use std::collections::BTreeMap;
use std::time::Duration;

fn machine() -> Machine {
    let [model, kernel, load] = ["A <model>", "6.1", "0.3"].map(str::to_owned);
    Machine { core_count: 2, model, kernel, load }
}

fn report() -> LoadReport {
    let spread = || (1..500).map(Duration::from_micros).collect::<Times>().spread();
    let usage = |n: u64| Usage { cpu_s: n as f64, rss_kib: n * 1024, fd_count: 9 };
    let sample = |n: u64| Sample {
        at_s: n as f64,
        live_calls: n * 10,
        relayed_count: n * 1_000,
        edge: usage(n),
        control_api: usage(n),
        loadtest: usage(n),
    };
    let floor = || {
        let delay = spread();
        Some(Floor { cpu_per_packet_us: 4.0, relayed_count: 1_000, lost_count: 0, delay })
    };
    LoadReport {
        profile: Profile::default(),
        placed: 2,
        placed_in_s: 1.0,
        accepted: 2,
        answered: 2,
        peak_calls: 2,
        errors: BTreeMap::from([("503 <Unavailable>".to_owned(), 1)]),
        callback_statuses: BTreeMap::from([("completed".to_owned(), 2)]),
        callbacks_missing: 0,
        post: spread(),
        setup: spread(),
        audio: spread(),
        callback: spread(),
        registered: Spread::default(),
        agent_media: Spread::default(),
        verb: Spread::default(),
        packet_delay: spread(),
        packets_sent: 10,
        packets_received: 10,
        packets_lost: 0,
        datagrams_dropped: 0,
        cpu_per_packet_us: Some(5.0),
        floor: floor(),
        rtpengine: floor(),
        cpu_per_call_ms: 0.5,
        api_cpu_per_call_ms: 0.5,
        memory_per_call_kib: 20.0,
        samples: (0..5).map(sample).collect(),
    }
}

/// Each element is closed in order, nothing points elsewhere, and all colours are the style
/// sheet's.
#[track_caller]
fn check(page: &str) {
    let mut open = Vec::new();
    for tag in page.split('<').skip(1) {
        let tag = tag.split_once('>').expect("a tag that ends").0;
        let name = |text: &str| text.split([' ', '\n', '/']).next().unwrap_or("").to_owned();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed));
        } else if !tag.starts_with(['!', '?']) && !tag.ends_with('/') && name(tag) != "meta" {
            open.push(name(tag));
        }
    }
    assert_eq!(open, [""; 0]);
    for foreign in ["http:", "https:", "//", "<script", "src=", "@import", "url(", "cds_", "cdb_"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    let drawings = page.split_once("<main>").unwrap().1;
    for (at, _) in drawings.match_indices("=\"#") {
        let colour = &drawings[at + 2..at + 9];
        assert!(colour.starts_with("#0000") || colour.starts_with("#0100"), "{colour}");
    }
}

#[test]
fn a_page_stands_alone_and_is_well_formed() {
    let page = of_run(&machine(), &report());
    check(&page);
    assert!(page.contains("A &lt;model&gt;") && page.contains("503 &lt;Unavailable&gt;"));
    assert_eq!(page.matches("<svg").count(), 5);
    assert!(page.len() < 100_000, "{}", page.len());
    let words = ["bare loop", "rtpengine", "1.25", "hang-up to callback", "completed"];
    assert!(words.iter().all(|word| page.contains(word)));
}

#[test]
fn comparisons_and_searches_have_pages_too() {
    let rounds = vec![vec![("phones", report()), ("softphones", report())]];
    check(&of_comparison(&machine(), &Comparison { figures: Vec::new(), rounds }));
    let step = |level, broke| Step { level, broke, report: report() };
    let capacity = Capacity {
        raised: Raised::Rate,
        knee: Some(200.0),
        steps: vec![step(200.0, vec![]), step(400.0, vec!["5 results did not come".into()])],
        beyond: Some((1.5, report())),
    };
    let page = of_capacity(&machine(), &capacity);
    check(&page);
    assert!(page.contains("Gave way at 400: 5 results did not come."));
}
