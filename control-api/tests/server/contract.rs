//! The clients that `contract/make-clients` makes of the OpenAPI document, against the served API
//! (B14).

use crate::rig::{DEADLINE, Rig};
use std::path::Path;
use tokio::process::Command;
use tokio::time::timeout;

#[tokio::test]
async fn generated_clients_place_a_call() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract");
    if !folder.join("made/typescript/place.js").exists() {
        let is_left_out = std::env::var_os("DIALER_SKIP_CLIENTS").is_some();
        assert!(
            is_left_out,
            "no clients were made: contract/make-clients does it, as `make test` does; \
                DIALER_SKIP_CLIENTS=1 leaves out what needs them"
        );
        return eprintln!("left out: no clients were made");
    }
    let rig = Rig::start().await;
    let mut shard = rig.shard(1, &[]).await;
    let url = format!("http://{}", rig.address());
    let python = folder.join("made/venv/bin/python");
    for (program, script) in
        [(python.as_path(), "place.py"), (Path::new("node"), "made/typescript/place.js")]
    {
        let mut command = Command::new(program);
        command
            .current_dir(folder.join("../.."))
            .arg(folder.join(script))
            .args([&url, &rig.server_key]);
        let edge = async {
            let call_id = shard.expect_call().await.call_id;
            assert_eq!(shard.expect_hang_up().await, call_id.as_str());
        };
        let (output, ()) = timeout(DEADLINE * 3, async { tokio::join!(command.output(), edge) })
            .await
            .expect("no call came");
        let output = output.unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
    rig.stop().await;
}
