//! What the machine must offer before the shards start, each lack told with what to do about it.

use crate::config::{Config, Interface, ShardPlan};
use crate::transport::{Certificate, Tls, web_acceptor};
use rustix::fs::Access;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::{fmt, io};

/// Locked memory that one glommio executor asks for, in bytes.
const LOCKED_MEMORY: u64 = 512 * 1024;
/// Descriptors besides ports, calls and connections: rings, logs, the link.
const SPARE_DESCRIPTORS: u64 = 256;

/// Something that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    pub what: String,
    pub remedy: String,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} — {}", self.what, self.remedy)
    }
}

/// Checks everything and raises the descriptor limit as far as needed; returns all that is missing.
pub fn check(config: &Config, plans: &[ShardPlan]) -> Vec<Lack> {
    let mut lacks = look(config, plans);
    lacks.extend(make_folder(&config.recordings.folder).filter(|_| lacks.is_empty()));
    // Ports need descriptors and addresses.
    if lacks.is_empty() {
        lacks.extend(ports(config, plans));
    }
    lacks
}

/// The same without making anything and without touching a port, which an edge that runs has.
pub fn look(config: &Config, plans: &[ShardPlan]) -> Vec<Lack> {
    let softphone = Some(config.softphone.bind_address).filter(|_| config.softphone.enabled);
    let interfaces = config.interfaces();
    let bound = interfaces.iter().flat_map(|one| {
        let signalling = address(&format!("{}.bind_address", one.key), one.bind);
        let media = Some(one.media_bind).filter(|media| *media != one.bind);
        let media =
            media.and_then(|media| address(&format!("{}.media_bind_address", one.key), media));
        [signalling, media]
    });
    let lacks = [
        ring(media_shard::ring_is_available()),
        locked_memory(getrlimit(Resource::Memlock)),
        descriptors(config, plans),
    ];
    let lacks = lacks.into_iter().chain(bound).chain([
        softphone.and_then(|softphone| address("softphone.bind_address", softphone)),
        folder(&config.recordings.folder),
        link(&config.link.socket),
        certificate(config),
        trunk_tls(config),
    ]);
    lacks.flatten().collect()
}

fn address(key: &str, address: IpAddr) -> Option<Lack> {
    bind(SocketAddr::new(address, 0), Type::DGRAM, Protocol::UDP).err().map(|error| Lack {
        what: format!("`{key}` {address} is no address of this machine ({error})"),
        remedy: "set it to one that `ip address` shows".into(),
    })
}

fn ring(available: io::Result<()>) -> Option<Lack> {
    available.err().map(|error| Lack {
        what: format!("io_uring is not available ({error})"),
        remedy: "use Linux 5.8 or later with sysctl kernel.io_uring_disabled=0, and let the \
            container's seccomp profile allow io_uring_setup, io_uring_enter and \
            io_uring_register"
            .into(),
    })
}

fn locked_memory(limit: Rlimit) -> Option<Lack> {
    limit.current.filter(|limit| *limit < LOCKED_MEMORY).map(|limit| Lack {
        what: format!(
            "only {} KiB of memory may be locked, {} KiB are needed",
            limit / 1024,
            LOCKED_MEMORY / 1024
        ),
        remedy: "raise it: `ulimit -l 8192`, LimitMEMLOCK=8M (systemd) or --ulimit \
            memlock=8388608 (container)"
            .into(),
    })
}

fn descriptors(config: &Config, plans: &[ShardPlan]) -> Option<Lack> {
    let interface_count = 1 + config.interfaces.len() as u64;
    let needed = plans
        .iter()
        .map(|plan| {
            (u64::from(plan.pair_count) * 2 + u64::from(config.limits.max_tcp_connections))
                * interface_count
                + u64::from(plan.call_capacity)
                + plan.softphone.map_or(0, |softphone| 2 * u64::from(softphone.capacity))
        })
        .sum::<u64>()
        + SPARE_DESCRIPTORS;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return None;
    }
    let raised = limit.maximum.map_or(needed, |maximum| maximum.max(needed));
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit { current: Some(raised), maximum: limit.maximum.map(|_| raised) },
    )
    .or_else(|_| {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    });
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (current < needed).then(|| Lack {
        what: format!("only {current} open files are allowed, {needed} are needed"),
        remedy: "raise it (`ulimit -Hn`, LimitNOFILE= or --ulimit nofile=), or narrow \
            `media.first_port` to `media.last_port`"
            .into(),
    })
}

/// Whether the folder, or the one that it would be made in, may be written.
fn folder(folder: &Path) -> Option<Lack> {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let nearest = absolute.ancestors().find(|each| each.exists()).unwrap_or(Path::new("/"));
    let rights = Access::WRITE_OK | Access::EXEC_OK;
    let error = match nearest.is_dir() {
        true => rustix::fs::access(nearest, rights).err().map(io::Error::from),
        false => Some(io::ErrorKind::NotADirectory.into()),
    };
    error.map(|error| unwritable(folder, &error))
}

fn unwritable(folder: &Path, error: &io::Error) -> Lack {
    Lack {
        what: format!("the recordings' folder {} cannot be written ({error})", folder.display()),
        remedy: "set `recordings.folder` to a folder that this user may write".into(),
    }
}

fn make_folder(folder: &Path) -> Option<Lack> {
    let probe = folder.join(".sip-edge-probe");
    let write = || {
        std::fs::create_dir_all(folder)?;
        std::fs::write(&probe, b"probe")?;
        std::fs::remove_file(&probe)
    };
    write().err().map(|error| unwritable(folder, &error))
}

fn link(socket: &Path) -> Option<Lack> {
    let parent =
        socket.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    (!parent.is_dir()).then(|| Lack {
        what: format!(
            "the folder of the control link's socket {} does not exist",
            socket.display()
        ),
        remedy: "set `link.socket` to the socket of control-api".into(),
    })
}

/// Reads the softphones' certificate, or makes it.
fn certificate(config: &Config) -> Option<Lack> {
    let source = config
        .softphone
        .certificate_source(config.sip.public_address)
        .filter(|_| config.softphone.enabled)?;
    let error = Certificate::open(source, web_acceptor).err()?;
    Some(Lack {
        what: format!("softphones have no certificate ({error})"),
        remedy: "set `softphone.certificate` and `softphone.private_key` to PEM files that this \
            user may read, or, for development only, `softphone.self_signed = true`"
            .into(),
    })
}

/// Reads the certificate that trunks are shown, and the roots that theirs may hang on.
fn trunk_tls(config: &Config) -> Option<Lack> {
    let error = Tls::open(&config.sip.tls.source()).err()?;
    Some(Lack {
        what: format!("SIP cannot be carried in TLS ({error})"),
        remedy:
            "set `sip.tls.certificate`, `sip.tls.private_key` and `sip.tls.extra_roots` to PEM \
            files that this user may read, or leave them empty"
                .into(),
    })
}

fn ports(config: &Config, plans: &[ShardPlan]) -> Vec<Lack> {
    let (mut taken, interfaces) = (Vec::new(), config.interfaces());
    for plan in plans {
        let softphone = plan.softphone.map(|softphone| ("softphone.media_port", softphone.media));
        let sip = |one: &Interface| ("sip.port", SocketAddr::new(one.bind, plan.sip.port()));
        let udp = interfaces.iter().flat_map(|one| {
            let media =
                (0..u32::from(plan.pair_count) * 2).map(|offset| plan.first_port + offset as u16);
            media.map(|port| ("media", SocketAddr::new(one.media_bind, port))).chain([sip(one)])
        });
        for (key, address) in udp.chain(softphone) {
            if let Err(error) = bind(address, Type::DGRAM, Protocol::UDP) {
                taken.push((key, "UDP", address, error));
            }
        }
        let takes_tls = config.sip.tls.source().certificate.is_some();
        let tcp = interfaces.iter().flat_map(|one| {
            let sip_tls = ("sip.tls.port", SocketAddr::new(one.bind, plan.sip_tls.port()));
            [sip(one)].into_iter().chain(takes_tls.then_some(sip_tls))
        });
        for (key, address) in tcp {
            if let Err(error) = bind(address, Type::STREAM, Protocol::TCP) {
                taken.push((key, "TCP", address, error));
            }
        }
        if let Some(softphone) = plan.softphone
            && let Err(error) = bind(softphone.listener, Type::STREAM, Protocol::TCP)
        {
            taken.push(("softphone.port", "TCP", softphone.listener, error));
        }
    }
    let (first, more) = match taken.split_first() {
        Some((first, rest)) => (first, rest.len()),
        None => return Vec::new(),
    };
    let (key, protocol, address, error) = first;
    let others = if more > 0 { format!(", nor {more} others") } else { String::new() };
    vec![Lack {
        what: format!("{protocol} {address} cannot be bound ({error}){others}"),
        remedy: format!("end the program that holds it, or change `{key}` or the address"),
    }]
}

fn bind(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if kind == Type::STREAM {
        // As the listener does; without it connections that wait for their last packets would keep
        // the port.
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lacks_say_what_to_do() {
        let lack = ring(Err(io::Error::from_raw_os_error(1))).unwrap();
        assert!(lack.to_string().contains("seccomp"), "{lack}");
        let lack = locked_memory(Rlimit { current: Some(64 * 1024), maximum: None }).unwrap();
        assert!(lack.to_string().contains("only 64 KiB"), "{lack}");
        assert_eq!(locked_memory(Rlimit { current: None, maximum: None }), None);
        let file = tempfile::NamedTempFile::new().unwrap();
        for no_folder in [file.path(), &file.path().join("below")] {
            assert!(folder(no_folder).unwrap().remedy.contains("`recordings.folder`"));
        }
        assert!(make_folder(Path::new("/proc/no")).unwrap().remedy.contains("`recordings.folder`"));
        let free = tempfile::tempdir().unwrap();
        assert_eq!(folder(&free.path().join("to/be/made")), None);
        assert!(!free.path().join("to").exists(), "looking makes nothing");
        let foreign = address("sip.bind_address", "203.0.113.77".parse().unwrap()).unwrap();
        assert!(
            foreign.what.contains("`sip.bind_address` 203.0.113.77 is no address of this machine"),
            "{foreign}"
        );
        assert_eq!(address("softphone.bind_address", "0.0.0.0".parse().unwrap()), None);
        assert!(link(Path::new("/no/such/control.sock")).unwrap().remedy.contains("`link.socket`"));
        assert_eq!(link(Path::new("control.sock")), None);
    }

    #[test]
    fn a_taken_port_is_named() {
        let holder = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut config = Config::default();
        config.sip.port = holder.local_addr().unwrap().port();
        let plan = ShardPlan {
            index: 0,
            sip: holder.local_addr().unwrap(),
            sip_tls: holder.local_addr().unwrap(),
            first_port: 0,
            pair_count: 0,
            call_capacity: 0,
            softphone: None,
        };
        let lacks = ports(&config, &[plan]);
        assert_eq!(lacks.len(), 1);
        assert!(lacks[0].what.starts_with(&format!("UDP {}", plan.sip)), "{}", lacks[0]);
        assert!(lacks[0].remedy.contains("`sip.port`"));
    }
}
