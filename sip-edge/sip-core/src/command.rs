//! What the shell asks of the edge: the control link's commands with `Duration`s instead of
//! milliseconds.

use crate::flow::{Flow, Transport};
use crate::registrar::RegistrarConfig;
use call_words::{
    AgentName, CallId, DtmfMode, ForwardingHeader, MediaProfile, Reason, RecordingName, TrunkId,
};
use ipnet::IpNet;
use media_core::relay::Layout;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Limits and names of one shard's signalling.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// Number of the shard, coded in the Contact's user so that a message that lands elsewhere can
    /// be sent on.
    pub shard: u16,
    /// Those by which it speaks, the default one first; at least that one.
    pub interfaces: Vec<Interface>,
    /// The port of TLS, in place of those of the interfaces.
    pub tls_port: u16,
    /// `User-Agent` and `Server` header.
    pub user_agent: String,
    /// Most calls at a time.
    pub call_capacity: usize,
    /// Most transactions at a time, finished ones that absorb retransmissions included.
    pub transaction_capacity: usize,
    /// Whether calls are offered G.722 first.
    pub wideband: bool,
    /// Whether each SIP message of every call is told as `Output::Copied`.
    pub copies_sip: bool,
    /// Softphones that may register over WebSocket; `None` if there are none.
    pub softphones: Option<RegistrarConfig>,
}

/// Addresses of a shard's signalling; each two differ in the IP address of `local`.
#[derive(Debug, Clone)]
pub struct Interface {
    /// By which trunks name it; the default one is named by none.
    pub name: String,
    /// What the SIP sockets are bound to: `local` of the flows that the edge opens.
    pub local: SocketAddr,
    /// What peers reach the shard at, written into Via and Contact.
    pub public: SocketAddr,
}

/// Why a trunk has no way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InterfaceFault {
    #[error("this edge has no such interface")]
    Unknown,
    #[error("the trunk's address is of another IP version than the interface")]
    Family,
}

impl EdgeConfig {
    /// The interface of a trunk that names this one, or none, by which its address is reached.
    pub fn interface(
        &self,
        name: Option<&str>,
        transport: Transport,
        remote: IpAddr,
    ) -> Result<usize, InterfaceFault> {
        let Some(name) = name else {
            // The system chooses where streams of the default one leave from.
            let fits = transport != Transport::Udp || self.reaches(0, remote);
            return if fits { Ok(0) } else { Err(InterfaceFault::Family) };
        };
        let mut further = self.interfaces.iter().skip(1);
        let place = further.position(|one| one.name == name).ok_or(InterfaceFault::Unknown)? + 1;
        if self.reaches(place, remote) { Ok(place) } else { Err(InterfaceFault::Family) }
    }

    /// The same of a route.
    pub fn interface_for(&self, route: &Route) -> Result<usize, InterfaceFault> {
        self.interface(route.interface.as_deref(), route.transport, route.address.ip())
    }

    fn reaches(&self, interface: usize, remote: IpAddr) -> bool {
        self.interfaces[interface].local.is_ipv4() == remote.is_ipv4()
    }

    /// The interface that has this address.
    pub fn interface_at(&self, local: IpAddr) -> Option<usize> {
        self.interfaces.iter().position(|one| one.local.ip() == local)
    }

    /// The interface that a flow goes by.
    pub fn interface_of(&self, flow: Flow) -> usize {
        let place = self.interface_at(flow.local.ip());
        place.filter(|_| flow.transport != Transport::Wss).unwrap_or_default()
    }

    /// A flow that the edge opens by an interface.
    pub fn flow(&self, interface: usize, transport: Transport, remote: SocketAddr) -> Flow {
        let local = self.at(self.interfaces[interface].local, transport);
        Flow { transport, local, remote, connection: None }
    }

    /// Address that peers reach the shard at on a flow.
    pub fn public(&self, flow: Flow) -> SocketAddr {
        self.at(self.interfaces[self.interface_of(flow)].public, flow.transport)
    }

    fn at(&self, address: SocketAddr, transport: Transport) -> SocketAddr {
        let port = if transport == Transport::Tls { self.tls_port } else { address.port() };
        SocketAddr::new(address.ip(), port)
    }
}

/// A call to place: agent first, then the customer. A softphone with a customer that has no route
/// is called for the sake of its media alone: it hears the ringing tone until it hangs up or
/// `max_duration` is over.
#[derive(Debug, Clone)]
pub struct PlaceCall {
    pub call_id: CallId,
    pub agent: AgentTarget,
    pub customer: Destination,
    /// Longest call, counted from `place_call`, after which the edge hangs up.
    pub max_duration: Duration,
    /// Time without any RTP from a leg after which the call ends.
    pub no_media: Duration,
    /// File name (no folder) of the recording, or `None` if the call is not recorded.
    pub recording: Option<RecordingName>,
    pub recording_layout: Layout,
    /// File name of what a party on hold hears, if `Edge::add_hold_audio` gave it; else the bundled
    /// tone.
    pub hold_audio: Option<String>,
    /// Whether a REFER of the agent's phone becomes an `Event::TransferRequested`; else it is
    /// refused.
    pub accepts_refer: bool,
    /// Whether the customer is only dialled once the agent, on a phone, has pressed `1`; a
    /// softphone is never asked (A9).
    pub agent_confirm: bool,
    /// Whether its SIP messages are kept, and told by `Event::Ladder` at its end.
    pub keeps_ladder: bool,
}

/// How the agent is reached.
#[derive(Debug, Clone)]
pub enum AgentTarget {
    Phone(Destination),
    /// A softphone registered with this shard; `ring` is the longest time to its answer. The
    /// customer is dialled once its media flow.
    Softphone {
        agent: AgentName,
        ring: Duration,
        /// Whether it is offered Opus, as far as the shard has room for it.
        opus: bool,
    },
}

/// Where one leg is to be dialled: the routes are tried in order.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Longest time from a route's INVITE to its answer.
    pub ring: Duration,
    pub routes: Vec<Route>,
    /// Trunks that have no route now, and why: attempts that came to nothing.
    pub skipped: Vec<(TrunkId, Reason)>,
}

/// One attempt's target: a trunk with addresses resolved and numbers in its form.
#[derive(Debug, Clone)]
pub struct Route {
    pub trunk: TrunkId,
    pub transport: Transport,
    pub address: SocketAddr,
    /// Name of the interface that the call goes by; `None` for the default one.
    pub interface: Option<String>,
    /// Host part of the request-URI, To and From, with the port where it is not the transport's
    /// own.
    pub domain: String,
    /// User part of the request-URI and To.
    pub request_user: String,
    /// User part of From and P-Asserted-Identity.
    pub caller_id: String,
    pub credentials: Option<Credentials>,
    pub media: MediaProfile,
    /// Networks that the peer's signalling comes from besides `address`.
    pub signal_from: Vec<IpNet>,
    /// Networks that the peer's media come from besides the addresses that it names.
    pub media_from: Vec<IpNet>,
    /// Whether a 3xx is followed to contacts of the peer's own: at `address`, its domain, or in
    /// `signal_from`.
    pub follows_redirects: bool,
    /// Whether From says that the caller wants no name (RFC 3323).
    pub hides_caller: bool,
    /// Whether the peer is told all the same who calls, for it keeps that to itself (RFC 3325).
    pub is_trusted: bool,
    /// How the peer is told that a call was sent on.
    pub forwarding: ForwardingHeader,
    /// User part of who sent the call on to the destination, if somebody did.
    pub diverted_by: Option<String>,
    /// How the peer is told of pressed keys.
    pub dtmf: DtmfMode,
    /// Whether the peer is told of silence that is made here instead of being sent it (RFC 3389).
    pub comfort_noise: bool,
}

/// A trunk that the shard knows for no stranger; it may register with it, probe it, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTrunk {
    pub trunk: TrunkId,
    pub transport: Transport,
    /// Those that are asked: the next one when one does not answer.
    pub addresses: Vec<SocketAddr>,
    /// Name of the interface that it is reached by; `None` for the default one.
    pub interface: Option<String>,
    /// Host part of its URIs, with the port where it is not the transport's own.
    pub domain: String,
    pub credentials: Option<Credentials>,
    /// For how long each registration asks; `None` if it needs none.
    pub register: Option<Duration>,
    /// Time between two OPTIONS; `None` for none.
    pub probe_interval: Option<Duration>,
    /// Networks that its answers come from besides the address that was asked.
    pub signal_from: Vec<IpNet>,
}

/// Credentials for digest challenges (RFC 3261 §22, RFC 8760).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Why a call was not placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    #[error("the shard is draining")]
    Draining,
    #[error("the shard has its most calls")]
    CallCapacity,
    #[error("the shard has its most transactions")]
    TransactionCapacity,
    #[error("no free RTP port pair")]
    NoPort,
    #[error("a leg has no route")]
    NoRoute,
    #[error("the agent's softphone is not registered")]
    AgentUnreachable,
    #[error("the agent is in a call")]
    AgentBusy,
}
