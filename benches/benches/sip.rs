//! SIP messages as trunks send them: parsed by the own parser and by `rsip`'s, read and printed.
//! Times are CPU time of the thread, so that other work on the machine disturbs less.

use std::hint::black_box;
use std::time::Duration;

use benches::thread_cpu_time;
use criterion::{Criterion, criterion_group, criterion_main};
use sip_core::message::{Limits, SipMessage, View, parse, print};

const SDP: &str = "v=0\r\no=- 3724394400 3724394400 IN IP4 198.51.100.7\r\ns=-\r\n\
    c=IN IP4 198.51.100.7\r\nt=0 0\r\n\
    m=audio 49170 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\n\
    a=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n";

fn message(start: &str) -> Vec<u8> {
    format!(
        "{start}\r\n\
         Via: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK-524287-1---2f9bd1e3a8c04f55;rport\r\n\
         Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK776asdhds;received=198.51.100.7\r\n\
         Record-Route: <sip:198.51.100.1;lr;ftag=1928301774>\r\n\
         Max-Forwards: 69\r\n\
         From: \"Support\" <sip:+15550100@carrier.example>;tag=1928301774\r\n\
         To: <sip:+15550123@192.0.2.1>;tag=a6c85cf\r\n\
         Call-ID: a84b4c76e66710@pc33.carrier.example\r\n\
         CSeq: 314159 INVITE\r\n\
         Contact: <sip:+15550100@198.51.100.7:5060;transport=udp>\r\n\
         Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, INFO, UPDATE\r\n\
         Supported: timer, path, replaces\r\n\
         User-Agent: Carrier SBC 9.3\r\n\
         P-Asserted-Identity: <sip:+15550100@carrier.example>\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{SDP}",
        SDP.len()
    )
    .into_bytes()
}

fn timed<T>(count: u64, mut work: impl FnMut() -> T) -> Duration {
    let start = thread_cpu_time();
    (0..count).for_each(|_| drop(black_box(work())));
    thread_cpu_time() - start
}

/// What a transaction and a call look up in each message.
fn read(message: &SipMessage) -> usize {
    let via = message.top_via().expect("a Via");
    let tags = message.from_tag().expect("a tag").len() + message.to_tag().map_or(0, str::len);
    let cseq = message.cseq().expect("a CSeq").number as usize;
    via.branch().map_or(0, str::len) + tags + cseq + message.call_id().map_or(0, str::len)
}

fn sip(criterion: &mut Criterion) {
    let limits = Limits::default();
    for (name, start) in
        [("INVITE", "INVITE sip:+15550123@192.0.2.1:5060 SIP/2.0"), ("200", "SIP/2.0 200 OK")]
    {
        let bytes = message(start);
        let parsed = parse(&bytes, &limits).expect("the message is sound");
        let mut group = criterion.benchmark_group(format!("{name}, {} bytes", bytes.len()));
        group.bench_function("parse", |bencher| {
            bencher.iter_custom(|count| timed(count, || parse(&bytes, &limits)))
        });
        group.bench_function("parse, rsip", |bencher| {
            bencher.iter_custom(|count| timed(count, || SipMessage::try_from(bytes.as_slice())));
        });
        group.bench_function("read", |bencher| {
            bencher.iter_custom(|count| timed(count, || read(&parsed)))
        });
        group.bench_function("print", |bencher| {
            bencher.iter_custom(|count| timed(count, || print(&parsed)))
        });
        group.finish();
    }
}

criterion_group!(benches, sip);
criterion_main!(benches);
