//! What is in effect, printed: of a file and of a running instance.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::certs;
use crate::support::command;
use crate::support::pair::Pair;
use crate::support::proxy;

/// Runs `config dump` with these arguments.
async fn dump(arguments: &[&str]) -> String {
    let output = command::run(&[&["config", "dump"], arguments].concat()).await;
    assert_eq!(output.code, 0, "{output:?}");
    output.stdout
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn what_is_dumped_is_a_configuration_with_the_same_effect() {
    let dir = TempDir::new().expect("a directory");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    for part in ["certs", "conf.d"] {
        fs::create_dir(dir.path().join(part)).expect("a folder");
    }
    let authority = certs::authority();
    for name in ["shop", "api"] {
        let pair = authority.pair(&[&format!("{name}.example.com")]);
        pair.write(&dir.path().join("certs"), name);
    }
    fs::copy(
        folder.join("conf.d/shop.toml"),
        dir.path().join("conf.d/shop.toml"),
    )
    .expect("a copy");
    for name in ["tidegate", "canary", "blue-green", "tls", "include"] {
        let path = dir.path().join(format!("{name}.toml"));
        fs::copy(folder.join(format!("{name}.toml")), &path).expect("a copy");
        let path = path.to_str().expect("a path").to_owned();
        let text = dump(&[&path]).await;
        assert_eq!(dump(&[&path, "--toml"]).await, text);
        let effective = json(&dump(&[&path, "--json"]).await);

        // From elsewhere: no path in it depends on where it lies.
        let elsewhere = TempDir::new().expect("a directory");
        let copy = elsewhere.path().join("dump.toml");
        fs::write(&copy, &text).expect("a file");
        let copy = copy.to_str().expect("a path");
        let again = dump(&[copy]).await;
        assert_eq!(
            again.lines().skip(1).collect::<Vec<_>>(),
            text.lines().skip(1).collect::<Vec<_>>()
        );
        assert_eq!(json(&dump(&[copy, "--json"]).await), effective);
        assert!(text.starts_with("# What is in effect of "), "{text}");
        assert!(
            text.contains("\n[admin]\naddress = \"127.0.0.1:9900\"\n"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_running_instance_is_dumped_like_its_file_and_no_secret_is_shown() {
    let pair = Pair::start().await;
    let config = pair
        .split([95, 5], "")
        .admin("address = \"127.0.0.1:0\"\ntoken = \"open-sesame\"");
    let proxy = proxy::start(&config).await;
    let token = proxy.dir().join("token");
    fs::write(&token, "open-sesame").expect("a file");
    let token = token.to_str().expect("a path");
    let url = proxy.admin_url();
    let running = ["--running", "--admin", &url, "--token-file", token];
    let text = dump(&running).await;
    let file = proxy.file();
    let of_file = dump(&[file.to_str().expect("a path")]).await;
    let rest = |text: &str| text.split_once('\n').map(|(_, rest)| rest.to_owned());
    assert_eq!(rest(&text), rest(&of_file));
    assert!(text.contains("token = \"[redacted-secret]\""), "{text}");
    assert!(!text.contains("open-sesame"), "{text}");
    let as_json = json(&dump(&[&running[..], &["--json"]].concat()).await);
    assert_eq!(as_json["route"]["shop"]["split"]["canary"]["weight"], 5);
}

#[tokio::test]
async fn a_file_that_is_wrong_is_not_dumped() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("tidegate.toml");
    fs::write(&path, "[listner.http]\n").expect("a file");
    let path = path.to_str().expect("a path");
    let output = command::run(&["config", "dump", path]).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert_eq!(output.stdout, "");
    assert!(
        output.stderr.contains("did you mean listener?"),
        "{output:?}"
    );
    let output = command::run(&["config", "dump", path, "--json", "--toml"]).await;
    assert_eq!(output.code, 2, "{output:?}");
}
