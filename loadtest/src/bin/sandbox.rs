//! The `sandbox` command; see `loadtest::sandbox`.

use clap::Parser;
use loadtest::sandbox::{SandboxSpec, run};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Starts the edge, the API, a scripted carrier and a make-believe CRM on this machine, with a demo
/// account.
#[derive(Parser)]
struct Arguments {
    /// Address of the CRM's page
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Port of the public API
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port of the operators' listener
    #[arg(long, default_value_t = 8081)]
    admin_port: u16,
    /// Folder of the sandbox's data, kept between runs
    #[arg(long, default_value = "var/sandbox")]
    folder: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let ports = [arguments.port, arguments.admin_port];
    run(SandboxSpec { page: arguments.listen, ports, folder: arguments.folder }).await
}
