//! rtpengine (Debian's `rtpengine`) as a relay of the same packets, to compare with: one worker
//! thread, without its kernel module. Set up through its "ng" control protocol: bencoded
//! dictionaries over UDP, each behind a cookie that the answer repeats.

use crate::carrier::srtp::Srtp;
use crate::children::{free_address, free_ports, usage};
use crate::floor::{Floor, Peer, generate, generator};
use anyhow::Context;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for an answer, and for the process to be ready.
const PATIENCE: Duration = Duration::from_secs(10);
const TRY: Duration = Duration::from_millis(200);

/// Killed when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Relays the packets of `calls` two-way calls for `span`, as [`crate::floor::measure`] does; with
/// SRTP by SDES at one party of each if that is asked for.
pub fn measure(calls: u32, span: Duration, srtp: bool) -> anyhow::Result<Floor> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let control = free_address(SocketAddr::new(loopback, 0))?;
    // RTP and RTCP of either leg.
    let port_count = u16::try_from(calls * 4).context("at most 16,383 calls")?;
    let first_port = free_ports(loopback, port_count)?;
    let mut command = Command::new("rtpengine");
    command.args([
        "--foreground",
        "--log-stderr",
        "--log-level=2",
        "--table=-1",
        "--num-threads=1",
        "--interface=127.0.0.1",
    ]);
    command.arg(format!("--listen-ng={control}")).arg(format!("--port-min={first_port}"));
    command
        .arg(format!("--port-max={}", first_port + port_count - 1))
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let server = Server(
        command
            .spawn()
            .context("starting rtpengine: `apt-get install rtpengine-daemon` installs it")?,
    );
    let ng = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    ng.connect(control)?;
    ng.set_read_timeout(Some(TRY))?;
    let socket = generator()?;
    let port = socket.local_addr()?.port();
    let sdp = |profile: &str, key: &str| {
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                m=audio {port} {profile} 8\r\n{key}a=sendrecv\r\n"
        )
    };
    let callee = if srtp { "RTP/SAVP" } else { "RTP/AVP" };
    let mut peers = Vec::new();
    for call in 0..calls {
        let call_id = format!("call-{call}");
        let offer = sdp("RTP/AVP", "");
        let request = BTreeMap::from([
            ("command", "offer"),
            ("call-id", &call_id),
            ("from-tag", "a"),
            ("transport-protocol", callee),
            ("sdp", &offer),
        ]);
        let (to_callee, offered) =
            ask(&ng, &request).with_context(|| format!("offer of {call_id}"))?;
        let keys = if srtp { Srtp::of_offer(&offered) } else { None };
        anyhow::ensure!(keys.is_some() == srtp, "rtpengine offered no key: {offered}");
        let answer = sdp(callee, keys.as_ref().map_or("", |keys| &keys.line));
        let request = BTreeMap::from([
            ("command", "answer"),
            ("call-id", &call_id),
            ("from-tag", "a"),
            ("to-tag", "b"),
            ("sdp", &answer),
        ]);
        let (to_caller, _) = ask(&ng, &request).with_context(|| format!("answer of {call_id}"))?;
        peers.extend([(to_caller, None), (to_callee, keys)].map(|(port, srtp)| {
            let port = SocketAddr::new(loopback, port);
            Peer { port, srtp }
        }));
    }
    let before = usage(server.0.id())?.cpu_s;
    let seen = generate(&socket, &mut peers, span);
    let cpu_s = usage(server.0.id())?.cpu_s - before;
    let cpu_per_packet_us = cpu_s * 1e6 / seen.received_count.max(1) as f64;
    Ok(Floor {
        cpu_per_packet_us,
        relayed_count: seen.received_count,
        lost_count: seen.sent_count - seen.received_count,
        delay: seen.delay,
    })
}

/// Asks until there is an answer. Returns the port of its SDP's first media line, and the answer.
fn ask(ng: &UdpSocket, request: &BTreeMap<&str, &str>) -> anyhow::Result<(u16, String)> {
    let fields: String = request
        .iter()
        .map(|(key, value)| format!("{}:{key}{}:{value}", key.len(), value.len()))
        .collect();
    // A repeated cookie gets the first answer again.
    let cookie = format!("{}-{}", request["call-id"], request["command"]);
    let (deadline, mut buffer) = (Instant::now() + PATIENCE, [0; 4096]);
    while Instant::now() < deadline {
        // Refused until the process listens.
        let _ = ng.send(format!("{cookie} d{fields}e").as_bytes());
        let Ok(len) = ng.recv(&mut buffer) else {
            std::thread::sleep(TRY / 10);
            continue;
        };
        let answer = String::from_utf8_lossy(&buffer[..len]);
        if answer.starts_with(&cookie) {
            let port = answer
                .split("m=audio ")
                .nth(1)
                .and_then(|media| media.split(' ').next()?.parse().ok());
            let port = port.with_context(|| format!("rtpengine answered {answer}"))?;
            return Ok((port, answer.into_owned()));
        }
    }
    anyhow::bail!("rtpengine did not answer in {PATIENCE:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_bencoded_and_repeated_until_its_own_answer_names_a_port() {
        let [server, ng] = [(); 2].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        ng.connect(server.local_addr().unwrap()).unwrap();
        ng.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let answering = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The first is lost.
            server.recv(&mut buffer).unwrap();
            let (len, peer) = server.recv_from(&mut buffer).unwrap();
            for answer in
                ["other d6:result2:oke", "c-offer d3:sdp27:m=audio 20004 RTP/AVP 8\r\n\r\ne"]
            {
                server.send_to(answer.as_bytes(), peer).unwrap();
            }
            // Kept open: what is sent to a closed socket comes back as an error, before any answer.
            (server, String::from_utf8(buffer[..len].to_vec()).unwrap())
        });
        let request = BTreeMap::from([("command", "offer"), ("call-id", "c"), ("sdp", "v=0")]);
        assert_eq!(ask(&ng, &request).unwrap().0, 20004);
        assert_eq!(answering.join().unwrap().1, "c-offer d7:call-id1:c7:command5:offer3:sdp3:v=0e");
    }

    #[test]
    fn an_answer_without_a_port_is_shown() {
        let [server, ng] = [(); 2].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        ng.connect(server.local_addr().unwrap()).unwrap();
        server.connect(ng.local_addr().unwrap()).unwrap();
        server.send(b"c-offer d6:result5:error12:error-reason4:funne").unwrap();
        let request = BTreeMap::from([("command", "offer"), ("call-id", "c")]);
        assert!(ask(&ng, &request).unwrap_err().to_string().contains("5:error"));
    }
}
