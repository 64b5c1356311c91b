//! Certificates as files: what is told of them while they are served, and what `check` finds.

use std::path::Path;
use std::process::Command;

use rcgen::{CertificateParams, date_time_ymd};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::certs::{self, Authority, Pair};
use crate::support::client;
use crate::support::command;
use crate::support::config::{self, Config};
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::tool;
use crate::support::wait;

const NOT_AFTER: &str = "tidegate_tls_certificate_not_after_timestamp_seconds";
const UPSTREAM_NOT_AFTER: &str = "tidegate_tls_upstream_certificate_not_after_timestamp_seconds";

/// A directory with certificates, and who signed them.
struct Certs {
    dir: TempDir,
    authority: Authority,
}

fn certs() -> Certs {
    Certs {
        dir: TempDir::new().expect("a directory"),
        authority: certs::authority(),
    }
}

/// Ends on the first day of a year.
fn until(year: i32) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.not_after = date_time_ymd(year, 1, 1)
}

fn seconds(year: i32) -> f64 {
    date_time_ymd(year, 1, 1).unix_timestamp() as f64
}

impl Certs {
    fn write(&self, file: &str, names: &[&str], year: i32) -> Pair {
        let pair = self.authority.pair_with(names, until(year));
        pair.write(self.dir.path(), file);
        pair
    }

    async fn start(self, config: &Config) -> Proxy {
        proxy::start_in(self.dir, config).await
    }
}

/// The SHA-256 of a certificate, in hex.
fn fingerprint(pair: &Pair) -> String {
    let (chain, _) = pair.parts();
    let hash = Sha256::digest(&chain[0]);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn hello() -> Origin {
    origin::answering("hello").await
}

#[tokio::test]
async fn the_end_of_every_certificate_is_told() {
    let origin = hello().await;
    let certs = certs();
    let shop = certs.write("shop", &["shop.test", "www.shop.test", "192.0.2.1"], 2040);
    certs.write("api", &["api.test"], 2041);
    // For clients with other keys: one name, one number, the first of the ends.
    certs.write("again", &["shop.test"], 2039);
    certs.write("client", &["edge.test"], 2042);
    let keys = certs::listener_keys(&["shop", "api", "again"]);
    let tls = "tls = { cert = \"client.crt\", key = \"client.key\", verify = \"off\" }";
    let config = config::to(origin.address)
        .listener("https", &keys)
        .upstream_with("secret", &[origin.address], tls);
    let proxy = certs.start(&config).await;

    let metrics = proxy.metrics().await;
    let end = |name| metrics.sum(NOT_AFTER, &[("listener", "https"), ("name", name)]);
    assert_eq!(end("shop.test"), seconds(2039));
    assert_eq!(end("api.test"), seconds(2041));
    assert_eq!(metrics.text.matches(&format!("\n{NOT_AFTER}")).count(), 2);
    let labels = [("upstream", "secret"), ("name", "edge.test")];
    assert_eq!(metrics.sum(UPSTREAM_NOT_AFTER, &labels), seconds(2042));

    let status = proxy.status().await;
    let told = &status["listeners"]["https"]["certificates"];
    assert_eq!(told.as_array().expect("a list").len(), 3);
    let first = &told[0];
    assert_eq!(first["name"], "shop.test");
    assert_eq!(
        first["names"],
        serde_json::json!(["shop.test", "www.shop.test", "192.0.2.1"])
    );
    assert_eq!(first["not_after"], "2040-01-01T00:00:00Z");
    assert_eq!(first["fingerprint"], fingerprint(&shop));
    assert!(
        first["days_left"].as_i64().is_some_and(|days| days > 300),
        "{first}"
    );
    let file = first["file"].as_str().expect("a file");
    assert_eq!(Path::new(file), proxy.dir().join("shop.crt"));
    assert_eq!(status["listeners"]["http"]["certificates"], Value::Null);
    assert_eq!(
        status["upstreams"]["secret"]["certificate"]["name"],
        "edge.test"
    );
    assert_eq!(status["upstreams"]["only"]["certificate"], Value::Null);
}

#[tokio::test]
async fn what_is_told_follows_the_files() {
    let origin = hello().await;
    let certs = certs();
    certs.write("edge", &["before.test"], 2040);
    let authority = Authority::clone(&certs.authority);
    let keys = certs::listener_keys(&["edge"]);
    let proxy = certs
        .start(&config::to(origin.address).listener("https", &keys))
        .await;
    assert!(
        proxy
            .metrics()
            .await
            .has(NOT_AFTER, &[("name", "before.test")])
    );

    authority
        .pair_with(&["after.test"], until(2041))
        .write(proxy.dir(), "edge");
    proxy
        .counted("the end of the new certificate", |metrics| {
            metrics.sum(NOT_AFTER, &[("name", "after.test")]) == seconds(2041)
        })
        .await;
    // Nothing is left of the one before: it would be an alert that nobody can mend.
    assert!(
        !proxy
            .metrics()
            .await
            .has(NOT_AFTER, &[("name", "before.test")])
    );
    let status = proxy.status().await;
    assert_eq!(
        status["listeners"]["https"]["certificates"][0]["name"],
        "after.test"
    );
}

#[tokio::test]
async fn an_expired_certificate_is_served_and_everybody_told() {
    let origin = hello().await;
    let certs = certs();
    certs.write("old", &["old.test"], 2001);
    certs.write("new", &["new.test"], 2040);
    let client = certs.authority.client(&["http/1.1"]);
    let keys = certs::listener_keys(&["old", "new"]);
    let config = config::to(origin.address).listener("https", &keys);
    let proxy = certs.start(&config).await;

    // It is not a reason to serve nobody.
    let stream = client::tls(proxy.address("https"), "new.test", client.clone()).await;
    let mut good = client::over(stream.expect("a TLS connection"));
    assert_eq!(good.get("/").await.text(), "hello");
    let bad = client::tls(proxy.address("https"), "old.test", client).await;
    assert!(bad.is_err(), "clients do not believe it");

    let words = "old.crt: the certificate expired on 2001-01-01T00:00:00Z";
    let log = proxy.process.stderr();
    assert!(log.contains(words), "{log}");
    let status = proxy.status().await;
    let warning = &status["warnings"][0];
    assert_eq!(warning["key"], "listener.https.tls.certificates[0].cert");
    assert!(
        warning["message"]
            .as_str()
            .is_some_and(|said| said.contains(words))
    );
    assert!(
        status["listeners"]["https"]["certificates"][0]["days_left"]
            .as_i64()
            .is_some_and(|days| days < -9000)
    );

    let file = proxy.file();
    let file = file.to_str().expect("a path");
    let lenient = command::run(&["check", file]).await;
    assert_eq!(lenient.code, 0, "{lenient:?}");
    assert!(lenient.stdout.contains(words), "{lenient:?}");
    assert_eq!(command::run(&["check", "--strict", file]).await.code, 1);
    let json = command::run(&["check", "--json", file]).await;
    let json: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(json["ok"], true);
    assert_eq!(
        json["warnings"][0]["key"],
        "listener.https.tls.certificates[0].cert"
    );
    assert!(
        json["warnings"][0]["line"]
            .as_u64()
            .is_some_and(|line| line > 1)
    );
}

#[tokio::test]
async fn a_key_of_another_certificate_changes_nothing_and_is_told_with_its_place() {
    let origin = hello().await;
    let certs = certs();
    certs.write("edge", &["edge.test"], 2040);
    let authority = Authority::clone(&certs.authority);
    let keys = certs::listener_keys(&["edge"]);
    let proxy = certs
        .start(&config::to(origin.address).listener("https", &keys))
        .await;
    let other = authority.pair(&["edge.test"]);
    proxy::replace(&proxy.dir().join("edge.key"), &other.key);
    let answer = proxy.ask_reload().await;
    assert_eq!(answer.status, 422);
    let problem = &answer.json()["problems"][0];
    assert_eq!(problem["key"], "listener.https.tls.certificates[0].key");
    assert!(
        problem["line"].as_u64().is_some_and(|line| line > 1),
        "{problem}"
    );
    let stream = client::tls(
        proxy.address("https"),
        "edge.test",
        authority.client(&["http/1.1"]),
    );
    assert!(stream.await.is_ok());
    // The certificate of the key comes a moment later.
    proxy::replace(&proxy.dir().join("edge.crt"), &other.cert);
    wait::until("both are live", async || {
        let status = proxy.status().await;
        status["listeners"]["https"]["certificates"][0]["fingerprint"] == fingerprint(&other)
    })
    .await;
}

/// A directory in which OpenSSL makes certificates: `root`, `middle` below it, and `leaf` below that.
struct Made {
    dir: TempDir,
}

impl Made {
    /// Nothing where there is no openssl.
    fn new() -> Option<Self> {
        tool::find("openssl")?;
        let made = Self {
            dir: TempDir::new().expect("a directory"),
        };
        made.openssl(
            "req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.crt -subj /CN=root",
        );
        made.sign("middle", "root", "basicConstraints=critical,CA:TRUE");
        made.sign(
            "leaf",
            "middle",
            "subjectAltName=DNS:edge.test\nauthorityInfoAccess=caIssuers;URI:http://a.test/middle.crt",
        );
        Some(made)
    }

    fn sign(&self, name: &str, issuer: &str, extensions: &str) {
        proxy::replace(&self.path(&format!("{name}.ext")), extensions);
        self.openssl(&format!(
            "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {issuer}.crt -CAkey {issuer}.key -CAcreateserial \
             -days 365 -extfile {name}.ext -out {name}.crt"
        ));
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        tool::run(
            command
                .args(arguments.split_whitespace())
                .current_dir(self.dir.path()),
        );
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// What `check --json` warns of when a listener has these certificates as its chain, on a system
    /// that trusts `root`.
    fn warnings(&self, chain: &[&str]) -> Vec<String> {
        let read = |name: &&str| {
            let file = self.path(&format!("{name}.crt"));
            std::fs::read_to_string(file).expect("a file")
        };
        let chain: Vec<String> = chain.iter().map(read).collect();
        proxy::replace(&self.path("edge.crt"), chain.concat());
        std::fs::copy(self.path("leaf.key"), self.path("edge.key")).expect("a key");
        let config = config::to(([127, 0, 0, 1], 9).into())
            .listener("https", &certs::listener_keys(&["edge"]));
        proxy::replace(&self.path("tidegate.toml"), config.text());
        let mut command = command::tidegate();
        command
            .args(["check", "--json"])
            .arg(self.path("tidegate.toml"))
            .env("SSL_CERT_FILE", self.path("root.crt"))
            .env_remove("SSL_CERT_DIR");
        let told: Value = serde_json::from_str(&tool::run(&mut command)).expect("JSON");
        let warnings = told["warnings"].as_array().expect("a list").iter();
        let messages = warnings.map(|warning| warning["message"].as_str().expect("a text"));
        let place = format!("{}/edge.crt: ", self.dir.path().display());
        messages
            .map(|message| message.replace(&place, ""))
            .collect()
    }
}

#[test]
fn check_follows_the_chains_that_openssl_makes() {
    let Some(made) = Made::new() else { return };
    for good in [&["leaf", "middle"][..], &["leaf", "middle", "root"]] {
        assert_eq!(made.warnings(good), [""; 0], "{good:?}");
    }
    assert_eq!(
        made.warnings(&["leaf"]),
        [
            "the certificate ends the chain, and its issuer CN=middle is no authority of this system: \
             the certificate in between seems to be missing"
        ]
    );
    assert_eq!(
        made.warnings(&["leaf", "root", "middle"]),
        [
            "certificate 2, CN=root, does not vouch for the one before it, CN=middle does, which is \
             number 3",
            "certificate 3, CN=middle, does not vouch for the one before it, CN=root does, which is \
             number 2",
        ]
    );
    // Another one of the same name, as after a renewal with another key.
    made.sign("middle", "root", "basicConstraints=critical,CA:TRUE");
    assert_eq!(
        made.warnings(&["leaf", "middle"]),
        ["certificate 2, CN=middle, has not the key that the one before it is signed with"]
    );
}

#[test]
fn an_upstream_that_would_trust_the_system_needs_a_system_that_trusts_somebody() {
    let dir = TempDir::new().expect("a directory");
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).expect("a directory");
    let config = config::to(([127, 0, 0, 1], 9).into()).upstream_keys("only", "tls = {}");
    proxy::replace(&dir.path().join("tidegate.toml"), config.text());
    for (command, place) in [
        (&["check"][..], "upstream.only.tls: "),
        (&["run", "-c"], "upstream.only.tls: "),
    ] {
        let output = command::tidegate()
            .args(command)
            .arg(dir.path().join("tidegate.toml"))
            .env("SSL_CERT_DIR", &empty)
            .env_remove("SSL_CERT_FILE")
            .output()
            .expect("a program that starts");
        assert_eq!(output.status.code(), Some(1));
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let words =
            format!("{place}the system has no authorities that it trusts; name yours with `ca`");
        assert!(said.contains(&words), "{said}");
    }
}
