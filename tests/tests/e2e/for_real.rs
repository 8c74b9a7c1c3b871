//! The README's way from nothing to a service, run as it stands there, with the example files as
//! they are.

use loadtest::children::program_path;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tests::{PATIENCE, eventually, network};
use tokio::process::{Child, Command};

/// The commands under "Running it for real", each with what is said of it.
fn commands(document: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join(document)).expect(document);
    let part =
        text.split("## Running it for real").nth(1).expect("the part about running it for real");
    let block = part.split("```").nth(1).expect("a block of commands");
    let line = |line: &str| {
        line.split_once('#')
            .map(|(command, about)| (command.trim().to_owned(), about.trim().to_owned()))
    };
    block.trim().lines().map(|text| line(text).expect("each command is explained")).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn shell(command: &str, folder: &Path) -> Command {
    let programs =
        program_path("control-api").expect("built").parent().expect("a folder").to_owned();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("exec {command}")])
        .current_dir(folder)
        .env("PATH", path)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    shell
}

fn started(command: &str, folder: &Path) -> Child {
    shell(command, folder).stderr(Stdio::null()).spawn().expect("sh")
}

async fn done(command: &str, folder: &Path) -> String {
    let output = tokio::time::timeout(PATIENCE, shell(command, folder).output())
        .await
        .expect("in time")
        .expect("sh");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn the_readmes_four_commands_run() {
    // The examples have fixed ports, which are free in a network of the test's own.
    network::in_a_namespace("for_real::the_readmes_four_commands_run", async {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let lines = commands("README.md");
        assert_eq!(lines, commands("docs/OPERATING.md"), "both documents say the same");
        let folder = TempDir::new().expect("a folder");
        for (command, about) in &lines {
            if let Some(example) = about.strip_prefix("documented in ") {
                let file = command
                    .split(' ')
                    .find(|word| word.ends_with(".toml"))
                    .expect("the file's name");
                std::fs::copy(root().join(example), folder.path().join(file)).expect(example);
            }
        }
        let [serve, edge, apply, pack] = &lines[..] else { panic!("four commands: {lines:?}") };
        let check = async |command: &str| {
            let said = done(&format!("{command} --check-config"), folder.path()).await;
            assert_eq!(said, "configuration is valid\n", "{command}");
        };
        check(&serve.0).await;
        let serve = started(&serve.0, folder.path());
        eventually("the link's socket", async || {
            folder.path().join("data/control.sock").exists().then_some(())
        })
        .await;
        check(&edge.0).await;
        let edge = started(&edge.0, folder.path());
        let ready = eventually("readiness", async || {
            let answer = reqwest::get("http://127.0.0.1:8081/readyz").await.ok()?;
            (answer.status() == 200).then_some(answer)
        });
        assert!(ready.await.text().await.expect("a body").contains("\"reasons\":[]"));
        let told = done(&apply.0, folder.path()).await;
        assert!(told.contains("9 created, 0 changed, 0 unchanged"), "{told}");
        let told = done(&pack.0, folder.path()).await;
        assert!(
            told.contains("/CRM_API/webphone/launch?") && told.contains("+912227782183"),
            "{told}"
        );
        drop((edge, serve));
    });
}
