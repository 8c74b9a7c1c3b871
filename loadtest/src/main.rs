//! The `loadtest` command: a load run with live progress, then its figures as a table and, if
//! asked, as JSON.

use anyhow::Context;
use clap::Parser;
use loadtest::floods::FloodSpec;
use loadtest::load::{LoadSpec, run};
use std::path::PathBuf;
use std::time::Duration;

/// Places calls through the REST API of a fresh pair of processes, with SIP and RTP peers of its
/// own, and measures them.
#[derive(Parser)]
struct Arguments {
    /// Most calls at a time
    #[arg(long, default_value_t = 100)]
    calls: u32,
    /// Calls placed a second
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Calls placed in all [default: as many as --calls]
    #[arg(long)]
    total: Option<u32>,
    /// Seconds from a customer's answer to its hang-up
    #[arg(long, default_value_t = 30.0)]
    hold: f64,
    /// Record the calls
    #[arg(long)]
    record: bool,
    /// Signalling only: the peers send no RTP
    #[arg(long)]
    no_media: bool,
    /// The agents are softphones: launch link, WSS, DTLS-SRTP. A run with phones comes first, to
    /// compare with
    #[arg(long, conflicts_with = "no_media")]
    softphones: bool,
    /// A third party joins each call, so that it is mixed. A run of as many legs without comes
    /// first, to compare with
    #[arg(long, conflicts_with_all = ["no_media", "softphones"])]
    three_way: bool,
    /// Let rtpengine, if it is installed, relay the same packets afterwards, to compare with
    #[arg(long, conflicts_with = "no_media")]
    rtpengine: bool,
    /// A stranger floods the edge beside the calls, with one kind after another, instead of a load
    /// run
    #[arg(long, conflicts_with_all = ["record", "no_media", "softphones", "three_way",
        "rtpengine"])]
    floods: bool,
    /// Shards of the edge
    #[arg(long, default_value_t = 1)]
    shards: u16,
    /// Write the figures and samples to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Each flood as long as `--hold` says.
async fn floods(calls: u32, span: Duration) -> anyhow::Result<()> {
    let reports = loadtest::floods::run(FloodSpec { calls, span }, &mut |report| {
        eprintln!("{}", report.kind)
    })
    .await?;
    print!("{}", loadtest::floods::table(&reports));
    let lost_count: u64 = reports.iter().map(|report| report.lost_count).sum();
    anyhow::ensure!(lost_count == 0, "{lost_count} packets of calls were lost");
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.floods {
        return floods(arguments.calls, Duration::from_secs_f64(arguments.hold)).await;
    }
    anyhow::ensure!(
        arguments.rate > 0.0 && arguments.hold >= 0.0,
        "--rate must be above 0, --hold at least 0"
    );
    let spec = LoadSpec {
        calls: arguments.calls,
        rate: arguments.rate,
        total: arguments.total.unwrap_or(arguments.calls),
        hold: Duration::from_secs_f64(arguments.hold),
        record: arguments.record,
        media: !arguments.no_media,
        softphones: false,
        three_way: false,
        rtpengine: arguments.rtpengine,
        shards: arguments.shards,
    };
    // Half as many calls again of two have as many legs.
    let (calls, total) = if arguments.three_way {
        (spec.calls * 3 / 2, spec.total * 3 / 2)
    } else {
        (spec.calls, spec.total)
    };
    let mut report =
        run(LoadSpec { calls, total, ..spec }, &mut |line| eprintln!("{line}")).await?;
    print!("{}", report.table());
    if arguments.softphones {
        let phones = report;
        report =
            run(LoadSpec { softphones: true, ..spec }, &mut |line| eprintln!("{line}")).await?;
        print!("\nwith softphones\n{}", report.table());
        if let (Some(with), Some(without)) = (report.cpu_per_packet_us, phones.cpu_per_packet_us) {
            println!("DTLS-SRTP to RTP is {:.2} times RTP to RTP, per packet", with / without);
        }
    }
    if arguments.three_way {
        let two = report;
        report = run(LoadSpec { three_way: true, ..spec }, &mut |line| eprintln!("{line}")).await?;
        print!("\nwith a third party\n{}", report.table());
        if let (Some(with), Some(without)) = (report.cpu_per_packet_us, two.cpu_per_packet_us) {
            // Each of the three sends and gets one packet a tick.
            println!(
                "mixing costs {:.2} µs of edge CPU per call and tick of 20 ms",
                (with - without) * 3.0
            );
        }
    }
    if let Some(path) = arguments.json {
        std::fs::write(&path, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    anyhow::ensure!(
        report.callbacks_missing == 0,
        "{} calls have no callback",
        report.callbacks_missing
    );
    Ok(())
}
