//! A certification authority of one test, in a folder that ends with it.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Signs certificates that nobody but the test believes.
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// PEM files of a certificate and its key.
#[derive(Debug, Clone)]
pub struct Identity {
    pub certificate: PathBuf,
    pub private_key: PathBuf,
}

impl Authority {
    /// One that did not exist before.
    pub fn fresh() -> Authority {
        let folder = tempfile::tempdir().expect("a folder for the authority");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("a certificate");
        std::fs::write(folder.path().join("root.pem"), root.pem()).expect("a file");
        Authority { folder, issuer: Issuer::new(params, key) }
    }

    /// PEM file of its own certificate.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// A certificate for a host name or an address.
    pub fn issue(&self, host: &str) -> Identity {
        self.issue_for(&[host])
    }

    /// One for several of them.
    pub fn issue_for(&self, hosts: &[&str]) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let names = hosts.iter().map(|host| host.to_string()).collect::<Vec<_>>();
        let leaf = CertificateParams::new(names).expect("names or addresses");
        let leaf = leaf.signed_by(&key, &self.issuer).expect("a certificate");
        let file = |end: &str| self.folder.path().join(format!("{}.{end}", hosts[0]));
        let identity = Identity { certificate: file("crt"), private_key: file("key") };
        let write = |path: &Path, pem| std::fs::write(path, pem).expect("a file");
        write(&identity.certificate, leaf.pem());
        write(&identity.private_key, key.serialize_pem());
        identity
    }
}
