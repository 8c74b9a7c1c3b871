//! One softphone's signalling: launch link, session, WSS, REGISTER with digest, and the call that
//! comes (RFC 7118, RFC 3261, RFC 8760).

use super::{Fleet, Times};
use crate::carrier::text::Message;
use anyhow::{Context, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

/// Longest wait for any answer of the servers.
const PATIENCE: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// Where a softphone registers, and as whom.
struct Account {
    url: String,
    uri: String,
    username: String,
    password: String,
}

/// Opens a launch link, registers, and talks until the call ends. `placed` is told when the call
/// is.
pub async fn run(
    fleet: &Fleet,
    agent: u32,
    launch_url: &str,
    placed: impl FnOnce(),
) -> anyhow::Result<Times> {
    let clicked = Instant::now();
    let (session, account) = open_session(fleet, launch_url).await?;
    let mut line = Line::connect(fleet, account).await?;
    line.register().await?;
    let registered = clicked.elapsed();
    // The INVITE may overtake the answer to the request that caused it.
    let call = fleet
        .client
        .post(format!("{}/CRM_API/webphone/session/call", fleet.api_url))
        .header("Authorization", format!("Session {session}"))
        .json(&json!({ "microphone": "granted" }));
    let ((), invite) = tokio::try_join!(
        async {
            let answer = call.send().await?;
            ensure!(
                answer.status() == 201,
                "session/call: {} {}",
                answer.status(),
                answer.text().await?
            );
            placed();
            Ok(())
        },
        line.invite()
    )?;
    let invite = Message::parse(invite.as_bytes()).context("an INVITE")?;
    let keys = fleet.media.talk(agent, invite.body)?;
    let contact = format!("sip:{}@{agent}.invalid;transport=ws", line.account.username);
    line.send(invite.response(200, "OK", &format!("s{agent}"), &contact, &keys.answer)).await?;
    let media =
        tokio::time::timeout(PATIENCE, keys.ready).await.context("no keys for audio in time")??;
    line.until_bye().await?;
    fleet.media.hang_up(agent);
    Ok(Times { registered, media: media.duration_since(clicked) })
}

async fn open_session(fleet: &Fleet, launch_url: &str) -> anyhow::Result<(String, Account)> {
    let page = fleet.client.get(launch_url).send().await?;
    let (status, page) = (page.status(), page.text().await?);
    ensure!(status == 200, "launch: {status}");
    let data = page
        .split_once("id=\"launch\">")
        .and_then(|(_, rest)| rest.split_once("</script>"))
        .context("no launch data")?
        .0;
    let launch: Value = serde_json::from_str(data)?;
    let token = launch["token"].as_str().context("no token")?;
    let url = format!("{}/CRM_API/webphone/session", fleet.api_url);
    let answer = fleet.client.post(url).json(&json!({ "token": token })).send().await?;
    ensure!(answer.status() == 201, "session: {}", answer.status());
    let session: Value = answer.json().await?;
    let text = |value: &Value| {
        value.as_str().map(str::to_owned).with_context(|| format!("no text in {session}"))
    };
    let sip = &session["sip"];
    let account = Account {
        url: text(&sip["url"])?,
        uri: text(&sip["uri"])?,
        username: text(&sip["username"])?,
        password: text(&sip["password"])?,
    };
    Ok((text(&session["session"])?, account))
}

struct Line {
    socket: Socket,
    account: Account,
    domain: String,
    call_id: String,
}

impl Line {
    async fn connect(fleet: &Fleet, account: Account) -> anyhow::Result<Line> {
        let mut request = account.url.as_str().into_client_request()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse()?);
        request.headers_mut().insert("Origin", fleet.api_url.parse()?);
        let tls = Connector::Rustls(fleet.tls.clone());
        let (socket, _) =
            tokio_tungstenite::connect_async_tls_with_config(request, None, true, Some(tls))
                .await?;
        let domain = account.uri.rsplit('@').next().context("no domain")?.to_owned();
        let call_id = uuid::Uuid::new_v4().to_string();
        Ok(Line { socket, account, domain, call_id })
    }

    async fn register(&mut self) -> anyhow::Result<()> {
        self.send(self.registration(1, "")).await?;
        let challenged = self.next().await?;
        let challenged = Message::parse(challenged.as_bytes()).context("an answer to REGISTER")?;
        ensure!(challenged.status() == Some(401), "REGISTER: {:?}", challenged.status());
        let authorization = self.authorization(challenged.header("WWW-Authenticate"))?;
        self.send(self.registration(2, &authorization)).await?;
        let answer = self.next().await?;
        let status = Message::parse(answer.as_bytes()).and_then(|answer| answer.status());
        ensure!(status == Some(200), "REGISTER with credentials: {status:?}");
        Ok(())
    }

    fn registration(&self, sequence: u32, authorization: &str) -> String {
        let (domain, uri, id) = (&self.domain, &self.account.uri, &self.call_id);
        format!(
            "REGISTER sip:{domain} SIP/2.0\r\n\
                Via: SIP/2.0/WSS {id}.invalid;branch=z9hG4bK{id}{sequence}\r\nMax-Forwards: 69\r\n\
                To: <{uri}>\r\n\
             From: <{uri}>;tag=r{id}\r\nCall-ID: {id}\r\nCSeq: {sequence} REGISTER\r\n\
             {authorization}\
             Contact: <sip:{}@{id}.invalid;transport=ws>;reg-id=1;\
             +sip.instance=\"<urn:uuid:{id}>\";expires=300\r\nExpires: 300\r\n\
             Supported: path,gruu,outbound\r\nContent-Length: 0\r\n\r\n",
            self.account.username
        )
    }

    /// RFC 7616 with MD5 or SHA-256 as the challenge says, quality of protection `auth`.
    fn authorization(&self, challenge: &str) -> anyhow::Result<String> {
        let parameter = |name: &str| {
            let found = challenge
                .split([',', ' '])
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            found.map(|value| value.trim_matches('"').to_owned())
        };
        let (realm, nonce) =
            (parameter("realm").context("no realm")?, parameter("nonce").context("no nonce")?);
        let algorithm = parameter("algorithm").unwrap_or_else(|| "MD5".into());
        let hash = |text: String| -> anyhow::Result<String> {
            let bytes = match algorithm.as_str() {
                "MD5" => md5::Md5::digest(text).to_vec(),
                "SHA-256" => sha2::Sha256::digest(text).to_vec(),
                other => bail!("a challenge with {other}"),
            };
            Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
        };
        use sha2::Digest;
        let (user, domain) = (&self.account.username, &self.domain);
        let secret = hash(format!("{user}:{realm}:{}", self.account.password))?;
        let request = hash(format!("REGISTER:sip:{domain}"))?;
        let proof = hash(format!("{secret}:{nonce}:00000001:c0ffee:auth:{request}"))?;
        Ok(format!(
            "Authorization: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", \
                uri=\"sip:{domain}\", response=\"{proof}\", \
             algorithm={algorithm}, qop=auth, nc=00000001, cnonce=\"c0ffee\"\r\n"
        ))
    }

    /// Waits for the call.
    async fn invite(&mut self) -> anyhow::Result<String> {
        loop {
            let text = self.next().await?;
            match Message::parse(text.as_bytes()).and_then(|message| message.method()) {
                Some("INVITE") => return Ok(text),
                other => ensure!(other.is_none(), "{other:?} before an INVITE"),
            }
        }
    }

    /// Answers what comes until the other side hangs up.
    async fn until_bye(&mut self) -> anyhow::Result<()> {
        loop {
            let frame = self.socket.next().await.context("the line was closed")??;
            let Frame::Text(text) = frame else { continue };
            let Some(message) = Message::parse(text.as_bytes()) else { continue };
            match message.method() {
                Some("ACK") | None => {}
                Some(method) => {
                    self.send(message.response(200, "OK", "", "", "")).await?;
                    if method == "BYE" {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn next(&mut self) -> anyhow::Result<String> {
        let text = async {
            loop {
                match self.socket.next().await.context("the line was closed")?? {
                    Frame::Text(text) => return anyhow::Ok(text.to_string()),
                    Frame::Close(frame) => bail!("the line was closed: {frame:?}"),
                    _ => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, text).await.context("no SIP message in time")?
    }

    async fn send(&mut self, text: String) -> anyhow::Result<()> {
        Ok(self.socket.send(Frame::text(text)).await?)
    }
}

/// Takes the certificate that the edge of a load run made for itself.
pub fn any_certificate() -> rustls::ClientConfig {
    rustls::ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(
            rustls::crypto::ring::default_provider(),
        )))
        .with_no_client_auth()
}

#[derive(Debug)]
struct AnyCertificate(rustls::crypto::CryptoProvider);

impl rustls::client::danger::ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
