//! Both processes as children on free loopback ports, configured and with one demo account, for
//! load runs, the sandbox and the end-to-end tests. Ends only what it started.

use anyhow::Context;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a process may take to become ready or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the pair of processes is to be.
pub struct StackSpec {
    /// Folder of data, configuration and logs; a temporary one that is removed at the end if
    /// `None`.
    pub folder: Option<PathBuf>,
    /// Where the edge has its SIP and its media, and softphones' WebSockets if they are not
    /// plaintext.
    pub edge_address: IpAddr,
    /// The trunk's address.
    pub carrier: SocketAddr,
    /// What it speaks: "rtp", "sdes_srtp" or "osrtp".
    pub carrier_media: &'static str,
    /// A second trunk, for calls that the first one fails.
    pub backup: Option<Trunk>,
    /// What the edge shows and believes in SIP over TLS; `None` if it takes none.
    pub tls: Option<TlsFiles>,
    pub callback_url: String,
    /// PEM file with an authority to trust for callbacks.
    pub callback_roots: Option<PathBuf>,
    /// Who knows where trunks' hosts are; the system does if there is nobody.
    pub dns_servers: Vec<SocketAddr>,
    /// Address of the public API; port 0 takes a free one.
    pub api: SocketAddr,
    /// The same of the operators' listener.
    pub admin: SocketAddr,
    pub shards: u16,
    /// Whether the shards share one SIP port.
    pub one_port: bool,
    pub max_calls: u32,
    pub calls_per_second: u32,
    /// For which there are ports.
    pub legs_per_call: u16,
    /// Seconds that a customer's phone may ring.
    pub customer_ring_s: u32,
    /// Serves softphones over `wss://` with a certificate of its own, or over `ws://` as a browser
    /// without exceptions takes it from `http://localhost`.
    pub softphones: Softphones,
    /// How many agents there are besides the demo account's own, see `more_agent`.
    pub more_agents: u32,
    /// How many accounts there are besides the demo account, see `Account::more`; the callback URL
    /// of each ends with its number.
    pub more_accounts: u32,
    /// Further settings of the demo account, as lines of TOML.
    pub account_settings: &'static str,
    /// Whether trunks are offered G.722.
    pub wideband: bool,
    pub edge_log: &'static str,
}

impl StackSpec {
    /// For end-to-end tests: small, quick to give up.
    pub fn test(carrier: SocketAddr, callback_url: String) -> StackSpec {
        StackSpec {
            folder: None,
            edge_address: Ipv4Addr::LOCALHOST.into(),
            carrier,
            carrier_media: "rtp",
            backup: None,
            tls: None,
            callback_url,
            callback_roots: None,
            dns_servers: Vec::new(),
            api: ([127, 0, 0, 1], 0).into(),
            admin: ([127, 0, 0, 1], 0).into(),
            shards: 1,
            one_port: false,
            max_calls: 20,
            calls_per_second: 50,
            legs_per_call: 4,
            customer_ring_s: 5,
            softphones: Softphones::None,
            more_agents: 0,
            more_accounts: 0,
            account_settings: "",
            wideband: false,
            edge_log: "info",
        }
    }

    /// For a load run: limits above the load, no log line per call.
    pub fn load(carrier: SocketAddr, callback_url: String, calls: u32, shards: u16) -> StackSpec {
        StackSpec {
            max_calls: calls + 200,
            calls_per_second: 10_000,
            legs_per_call: 2,
            shards,
            customer_ring_s: 45,
            edge_log: "warn",
            ..StackSpec::test(carrier, callback_url)
        }
    }

    /// For people: fixed ports and a folder that stays.
    pub fn sandbox(
        folder: PathBuf,
        [api, admin]: [u16; 2],
        carrier: SocketAddr,
        callback_url: String,
    ) -> StackSpec {
        StackSpec {
            folder: Some(folder),
            api: ([127, 0, 0, 1], api).into(),
            admin: ([127, 0, 0, 1], admin).into(),
            customer_ring_s: 20,
            softphones: Softphones::Plaintext,
            ..StackSpec::test(carrier, callback_url)
        }
    }
}

/// A trunk, in the words of its settings.
#[derive(Debug, Clone, Copy)]
pub struct Trunk {
    pub address: SocketAddr,
    /// "udp", "tcp" or "tls".
    pub transport: &'static str,
    /// "rtp", "sdes_srtp" or "osrtp".
    pub media: &'static str,
}

/// PEM files of the edge.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub private_key: PathBuf,
    /// Of the authority that trunks' certificates hang on.
    pub extra_roots: PathBuf,
}

/// How browsers reach the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Softphones {
    None,
    SelfSigned,
    Plaintext,
}

/// CPU, memory and descriptors of one process, from `/proc`.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Usage {
    pub cpu_s: f64,
    pub rss_kib: u64,
    pub fd_count: usize,
}

/// The running pair.
pub struct Stack {
    pub api_url: String,
    pub admin_url: String,
    /// Token of the admin API.
    pub admin_token: String,
    pub server_key: String,
    /// Opens launch links.
    pub browser_key: String,
    pub from_number: String,
    pub folder: PathBuf,
    temporary: bool,
    pub control_api: Process,
    pub edge: Process,
}

/// One child process, killed when dropped.
pub struct Process {
    child: Child,
    program: &'static str,
    arguments: Vec<String>,
    log: PathBuf,
}

/// The demo account's only caller ID.
const FROM_NUMBER: &str = "+918045670001";
/// The demo account's keys; they open nothing but this machine's loopback.
const SERVER_KEY: &str = "cds_sandbox_0123456789abcdefghijklmnopqrstuvwxyz";
const BROWSER_KEY: &str = "cdb_sandbox_0123456789abcdefghijklmnopqrstuvwxyz";

impl Stack {
    /// Starts both, applies the demo account, and waits until a call can be placed.
    pub async fn start(spec: StackSpec) -> anyhow::Result<Stack> {
        // The HTTP client is built without a default; a second start finds it set, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (folder, temporary) = match &spec.folder {
            Some(folder) => (folder.clone(), false),
            None => (temporary_folder(), true),
        };
        std::fs::create_dir_all(folder.join("recordings"))
            .with_context(|| format!("making {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        let (api, admin) = (free_address(spec.api)?, free_address(spec.admin)?);
        std::fs::write(
            folder.join("control-api.toml"),
            control_api_config(&spec, &folder, api, admin),
        )?;
        std::fs::write(folder.join("sip-edge.toml"), edge_config(&spec, &folder)?)?;
        std::fs::write(folder.join("account.toml"), account(&spec))?;
        let config = |name: &str| folder.join(name).display().to_string();
        let mut control_api = Process::start(
            "control-api",
            vec!["serve".into(), "--config".into(), config("control-api.toml")],
            &folder,
        )?;
        let admin_url = format!("http://{admin}");
        control_api.wait_for(&format!("{admin_url}/healthz")).await?;
        apply(&folder, &admin_url).await?;
        let mut edge =
            Process::start("sip-edge", vec!["--config".into(), config("sip-edge.toml")], &folder)?;
        edge.wait_for(&format!("{admin_url}/readyz")).await?;
        Ok(Stack {
            api_url: format!("http://{api}"),
            admin_token: std::fs::read_to_string(folder.join("admin.token"))?.trim().to_owned(),
            admin_url,
            server_key: SERVER_KEY.into(),
            browser_key: BROWSER_KEY.into(),
            from_number: FROM_NUMBER.into(),
            folder,
            temporary,
            control_api,
            edge,
        })
    }

    /// Applies the account's file again, after it was changed.
    pub async fn apply(&self) -> anyhow::Result<()> {
        apply(&self.folder, &self.admin_url).await
    }

    /// What an agent's Dial button opens for this number.
    pub fn launch_url(&self, crm_username: &str, to_number: &str) -> String {
        let query = [
            ("crm_username", crm_username),
            ("api_key", &self.browser_key),
            ("to_number", to_number),
            ("from_number", &self.from_number),
        ];
        let url = reqwest::Url::parse_with_params(
            &format!("{}/CRM_API/webphone/launch", self.api_url),
            query,
        );
        url.expect("an address of ours").into()
    }

    /// What the edge has used so far.
    pub fn edge_usage(&self) -> anyhow::Result<Usage> {
        usage(self.edge.child.id())
    }

    /// What control-api has used so far.
    pub fn api_usage(&self) -> anyhow::Result<Usage> {
        usage(self.control_api.child.id())
    }

    /// Ends both by SIGTERM, the edge first, and removes a temporary folder.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        for process in [&mut self.edge, &mut self.control_api] {
            let status = process.terminate().await?;
            anyhow::ensure!(
                status.success(),
                "{} ended with {status}: {}",
                process.program,
                process.last_lines()
            );
        }
        if self.temporary {
            std::fs::remove_dir_all(&self.folder)?;
        }
        Ok(())
    }
}

fn temporary_folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    std::env::temp_dir().join(format!(
        "dialer-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    ))
}

/// The same address, with a free port in place of 0. Such a port lies below those that the system
/// gives to outgoing connections, so that it is still free when the process binds it, also after a
/// restart.
pub fn free_address(wanted: SocketAddr) -> anyhow::Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    if wanted.port() != 0 {
        TcpListener::bind(wanted)
            .with_context(|| format!("{wanted} is taken: end what listens there first"))?;
        return Ok(wanted);
    }
    let first = 10_000 + (std::process::id() % 64) as u16 * 128;
    let ports = (0..2_000).map(|_| first + NEXT.fetch_add(1, Ordering::Relaxed) % 1_000);
    let mut addresses = ports.map(|port| SocketAddr::new(wanted.ip(), port));
    let free = addresses
        .find(|address| TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok());
    free.context("no free port on loopback from 10,000 on")
}

/// A free even port from which `count` ports on are probably free too; the edge itself binds and
/// checks them all. They lie below those that the system gives to sockets that ask for any, unless
/// they are more than have room there.
pub fn free_ports(ip: IpAddr, count: u16) -> anyhow::Result<u16> {
    // Stacks of one process start at the same time: each looks beyond the ports that the one before
    // it was given, and the one after the last begins anew.
    static NEXT: Mutex<Option<u16>> = Mutex::new(None);
    let end = if count < 12_000 { 32_768 } else { 60_000 } - count;
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut first = next.unwrap_or(20_000 + (std::process::id() % 4) as u16 * 3_100);
    for _round in 0..2 {
        while first < end {
            let taken = (first..first + count).find(|port| UdpSocket::bind((ip, *port)).is_err());
            match taken {
                None => {
                    *next = Some(first + count);
                    return Ok(first);
                }
                Some(port) => first = (port + 2) & !1,
            }
        }
        first = 20_000;
    }
    anyhow::bail!("no {count} free UDP ports in a row on loopback")
}

fn control_api_config(
    spec: &StackSpec,
    folder: &Path,
    api: SocketAddr,
    admin: SocketAddr,
) -> String {
    let folder = folder.display();
    let roots = spec
        .callback_roots
        .as_ref()
        .map_or(String::new(), |path| format!("extra_roots = \"{}\"\n", path.display()));
    let dns = spec.dns_servers.iter().map(|server| format!("\"{server}\"")).collect::<Vec<_>>();
    let dns = dns.join(", ");
    format!(
        "[public]\nlisten = \"{api}\"\nurl = \"http://{api}\"\n\n[admin]\nlisten = \
            \"{admin}\"\ntoken_file = \"{folder}/admin.token\"\n\n\
         [link]\nsocket = \"{folder}/control.sock\"\n\n[storage]\nfolder = \
         \"{folder}/db\"\nsecret_key_file = \"{folder}/secret.key\"\n\n\
         [recordings]\nfolder = \"{folder}/recordings\"\n\n[hold_audio]\nfolder = \
         \"{folder}/hold-audio\"\n\n\
         [calls]\ndns_servers = [{dns}]\n\n\
         [callback]\nallow_private_targets = true\n{roots}\n[log]\nfilter = \"warn\"\n"
    )
}

fn edge_config(spec: &StackSpec, folder: &Path) -> anyhow::Result<String> {
    let folder = folder.display();
    // Two ports a leg, and some that rest.
    let port_count =
        (spec.max_calls.min(5_000) as u16 + 40) * 2 * spec.legs_per_call * spec.shards.min(2);
    let ip = spec.edge_address;
    let first_port = free_ports(ip, port_count)?;
    let sip_port = free_address((ip, 0).into())?.port();
    let (last_port, max_calls, level, shards) =
        (first_port + port_count - 1, spec.max_calls.min(5_000), spec.edge_log, spec.shards);
    let one_port = spec.one_port;
    let softphone = match spec.softphones {
        Softphones::None => String::new(),
        Softphones::SelfSigned => softphone_config("wss", "self_signed = true", ip, ip, shards)?,
        Softphones::Plaintext => softphone_config(
            "ws",
            "allow_plaintext_loopback = true",
            Ipv4Addr::LOCALHOST.into(),
            ip,
            shards,
        )?,
    };
    let tls = spec.tls.as_ref().map(|files| tls_config(files, ip)).transpose()?.unwrap_or_default();
    Ok(format!(
        "shards = {shards}\ndrain_limit_s = 2\n\n[sip]\nbind_address = \"{ip}\"\npublic_address = \
            \"{ip}\"\nport = {sip_port}\none_port = {one_port}\n\n{tls}\
         [media]\nfirst_port = {first_port}\nlast_port = {last_port}\n\
         quarantine_ms = 500\nwideband = {}\n\n[limits]\nmax_calls = {max_calls}\n\n\
         [recordings]\nfolder = \
         \"{folder}/recordings\"\n\n\
         [hold_audio]\nfolder = \"{folder}/hold-audio\"\n\n\
         {softphone}[link]\nsocket = \"{folder}/control.sock\"\n\n[log]\nlevel = \"{level}\"\n",
        spec.wideband
    ))
}

fn tls_config(files: &TlsFiles, ip: IpAddr) -> anyhow::Result<String> {
    let TlsFiles { certificate, private_key, extra_roots } = files;
    Ok(format!(
        "[sip.tls]\nport = {}\ncertificate = {certificate:?}\nprivate_key = {private_key:?}\n\
         extra_roots = {extra_roots:?}\n\n",
        free_address((ip, 0).into())?.port()
    ))
}

/// With WebSockets at one address and media at another.
fn softphone_config(
    scheme: &str,
    transport: &str,
    ip: IpAddr,
    media_ip: IpAddr,
    shards: u16,
) -> anyhow::Result<String> {
    let address = free_address((ip, 0).into())?;
    let (port, media_port) = (address.port(), free_ports(media_ip, shards.next_multiple_of(2))?);
    // The edge puts each shard's own port in place of the word.
    let url = address.to_string().replace(&format!(":{port}"), ":{port}");
    Ok(format!(
        "[softphone]\nenabled = true\nbind_address = \"{ip}\"\nport = {port}\npublic_url = \
            \"{scheme}://{url}\"\n\
         media_port = {media_port}\n{transport}\n\n"
    ))
}

/// `crm_username` of one of `StackSpec::more_agents`, counted from 0.
pub fn more_agent(n: u32) -> String {
    format!("agent.{}", 1000 + n)
}

/// What an account besides the demo account is reached by.
pub struct Account {
    /// Its only caller ID.
    pub number: String,
    pub key: String,
}

impl Account {
    /// One of `StackSpec::more_accounts`, counted from 0.
    pub fn more(n: u32) -> Account {
        Account {
            number: format!("+9180456{:05}", 70_002 + n),
            key: format!("cds_sandbox{n:04}_0123456789abcdefghijklmnopqrstuvwxyz"),
        }
    }

    fn settings(&self, n: u32, spec: &StackSpec) -> String {
        let Account { number, key } = self;
        let (calls, rate, url) = (spec.max_calls, spec.calls_per_second, &spec.callback_url);
        format!(
            "\n[accounts.more-{n}]\ntrunks = [\"carrier\"]\nnumbers = [\"{number}\"]\n\
             limits = {{ max_concurrent_calls = {calls}, calls_per_second = {rate} }}\n\
             [accounts.more-{n}.keys.backend]\nclass = \"server\"\nvalue = \"{key}\"\n\
             [accounts.more-{n}.callback]\nurl = \"{url}/{n}\"\n"
        )
    }
}

fn account(spec: &StackSpec) -> String {
    let carrier = Trunk { address: spec.carrier, transport: "udp", media: spec.carrier_media };
    let trunks: Vec<_> = [("carrier", carrier)]
        .into_iter()
        .chain(spec.backup.map(|backup| ("backup", backup)))
        .collect();
    let names = trunks.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let trunks: String = trunks.iter().map(|(name, one)| trunk(name, *one)).collect();
    let more: String =
        (0..spec.more_agents).map(|n| format!(", \"{}\" = \"Agent {n}\"", more_agent(n))).collect();
    let accounts: String =
        (0..spec.more_accounts).map(|n| Account::more(n).settings(n, spec)).collect();
    let (calls, rate, ring, url) =
        (spec.max_calls, spec.calls_per_second, spec.customer_ring_s, &spec.callback_url);
    format!(
        "{trunks}[accounts.demo]\nname = \"Demo\"\ntrunks = [{names}]\nnumbers = \
            [\"{FROM_NUMBER}\"]\ncustomer_ring_s = {ring}\n\
         limits = {{ max_concurrent_calls = {calls}, calls_per_second = {rate} }}\n{}\nagents = \
         {{ \"agent.017\" = \"Asha\", \"agent.018\" = \"Ravi\"{more} }}\n\n\
         [accounts.demo.keys.backend]\nclass = \"server\"\nsupervise = true\nvalue = \
         \"{SERVER_KEY}\"\n\n\
         [accounts.demo.keys.crm]\nclass = \"browser\"\nvalue = \
         \"{BROWSER_KEY}\"\n\n[accounts.demo.callback]\nurl = \"{url}\"\n{accounts}",
        spec.account_settings
    )
}

fn trunk(name: &str, trunk: Trunk) -> String {
    let Trunk { address, transport, media } = trunk;
    let (host, port) = (address.ip(), address.port());
    let plaintext = if transport == "tls" { "" } else { "allow_plaintext = true\n" };
    format!(
        "[trunks.{name}]\nhost = \"{host}\"\nport = {port}\ntransport = \"{transport}\"\n\
         media = \"{media}\"\n{plaintext}max_calls = 10000\n\n"
    )
}

/// Applies the account as an operator would: with the CLI.
async fn apply(folder: &Path, admin_url: &str) -> anyhow::Result<()> {
    let output = tokio::process::Command::new(program_path("control-api")?)
        .args(["admin", "--url", admin_url, "--token-file"])
        .arg(folder.join("admin.token"))
        .arg("apply")
        .arg(folder.join("account.toml"))
        .output()
        .await?;
    anyhow::ensure!(
        output.status.success(),
        "applying the demo account: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The binary of this workspace that was built beside the one that runs.
pub fn program_path(program: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file());
    found.with_context(|| format!("no {program} beside {}: run `make build` first", own.display()))
}

impl Process {
    fn start(
        program: &'static str,
        arguments: Vec<String>,
        folder: &Path,
    ) -> anyhow::Result<Process> {
        let log = folder.join(format!("{program}.log"));
        Ok(Process { child: spawn(program, &arguments, &log)?, program, arguments, log })
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `url` answers 200.
    pub async fn wait_for(&mut self, url: &str) -> anyhow::Result<()> {
        let client = reqwest::Client::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if client.get(url).send().await.is_ok_and(|answer| answer.status() == 200) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("{} ended with {status}: {}", self.program, self.last_lines());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "{} is not ready after {PATIENCE:?}: {}",
                self.program,
                self.last_lines()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the process wrote last.
    fn last_lines(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Ends it without a chance to clean up, as a crash would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again after `kill`.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.child = spawn(self.program, &self.arguments, &self.log)?;
        Ok(())
    }

    /// Sends SIGTERM and waits for the end.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.ask_to_end()?;
        self.ended().await
    }

    /// Sends SIGTERM if it still runs.
    pub fn ask_to_end(&mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_none() {
            // SAFETY: plain system call on the id of a child that is not yet waited for.
            unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        }
        Ok(())
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "{} does not end after SIGTERM",
                self.program
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Datagrams that the kernel dropped from the queues of the process's UDP sockets.
    pub fn datagrams_dropped(&self) -> anyhow::Result<u64> {
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        let mut sockets = std::collections::HashSet::new();
        for entry in std::fs::read_dir(folder.join("fd"))? {
            // One that was closed meanwhile has no link.
            let Ok(target) = std::fs::read_link(entry?.path()) else { continue };
            let inode =
                target.to_str().and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']'));
            sockets.extend(inode.map(str::to_owned));
        }
        let text = std::fs::read_to_string(folder.join("net/udp"))?;
        // proc_net(5): the inode is the tenth field, the drops are the last.
        let drops = text.lines().skip(1).filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.get(9).filter(|inode| sockets.contains(**inode))?;
            fields.last()?.parse::<u64>().ok()
        });
        Ok(drops.sum())
    }
}

/// Binds all threads of a process, and those that they start, to these cores.
pub fn pin(process_id: u32, cores: &[usize]) -> anyhow::Result<()> {
    // SAFETY: a set of cores is plain bits, for which zeros are valid.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for core in cores {
        // SAFETY: the set lives through the call, which checks the core's number.
        unsafe { libc::CPU_SET(*core, &mut set) };
    }
    for thread in std::fs::read_dir(format!("/proc/{process_id}/task"))? {
        let id = thread?.file_name().to_string_lossy().parse()?;
        // SAFETY: the set is as long as told and lives through the call. A thread may have ended.
        unsafe { libc::sched_setaffinity(id, size_of::<libc::cpu_set_t>(), &raw const set) };
    }
    Ok(())
}

/// What the process has used.
pub fn usage(process_id: u32) -> anyhow::Result<Usage> {
    let folder = PathBuf::from(format!("/proc/{}", process_id));
    let stat = std::fs::read_to_string(folder.join("stat"))?;
    // Fields 14 and 15 are utime and stime; the name in field 2 may hold spaces (proc(5)).
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    // SAFETY: sysconf has no preconditions.
    let ticks_per_s = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    let status = std::fs::read_to_string(folder.join("status"))?;
    let rss = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    let fd_count = std::fs::read_dir(folder.join("fd"))?.count();
    Ok(Usage { cpu_s: (ticks(11) + ticks(12)) / ticks_per_s, rss_kib: rss.unwrap_or(0), fd_count })
}

fn spawn(program: &'static str, arguments: &[String], log: &Path) -> anyhow::Result<Child> {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
    let mut command = Command::new(program_path(program)?);
    command.args(arguments).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    command.spawn().with_context(|| format!("starting {program}"))
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
