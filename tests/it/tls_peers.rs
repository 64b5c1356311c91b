//! TLS with implementations that share no code with ours: OpenSSL on both sides, by curl, by
//! `s_server` and by Python.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use rcgen::{DistinguishedName, DnType};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::ask;
use crate::support::certs::{self, Authority, Pair};
use crate::support::config;
use crate::support::peer;
use crate::support::proxy::{self, Proxy};
use crate::support::tool;
use crate::support::wait::within;

/// A directory with authorities: `ca.pem`, which signed `server` (for `shop.internal`) and `edge`
/// (for `edge.test`, also ours towards upstreams), and `clients.pem`, which signed `alice`.
struct Files {
    dir: TempDir,
    authority: Authority,
    clients: Authority,
}

fn files() -> Files {
    let files = Files {
        dir: TempDir::new().expect("a directory"),
        authority: certs::authority(),
        clients: certs::authority(),
    };
    let dir = files.dir.path();
    proxy::replace(&dir.join("ca.pem"), &files.authority.pem);
    proxy::replace(&dir.join("clients.pem"), &files.clients.pem);
    named(&files.authority, &["shop.internal"], "server").write(dir, "server");
    named(&files.authority, &["edge.test"], "edge").write(dir, "edge");
    named(&files.clients, &[], "alice").write(dir, "alice");
    files
}

fn named(authority: &Authority, names: &[&str], common_name: &str) -> Pair {
    authority.pair_with(names, |params| {
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
    })
}

impl Files {
    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A proxy with the listener `https`, which asks for certificates of `clients.pem` as `auth`
    /// says, in front of one endpoint with TLS.
    async fn proxy(self, endpoint: SocketAddr, auth: &str, upstream: &str) -> Proxy {
        let clients = format!("}}], client_ca = \"clients.pem\", client_auth = \"{auth}\" }}");
        let listener = certs::listener_keys(&["edge"]).replace("}] }", &clients);
        let tls = format!("tls = {{ ca = \"ca.pem\", {upstream} }}");
        let config = config::to(endpoint)
            .upstream_keys("only", &tls)
            .listener("https", &listener);
        proxy::start_in(self.dir, &config).await
    }
}

/// Asks the listener `https` with curl, by the name that its certificate is for.
async fn curl(proxy: &Proxy, arguments: &[&str]) -> Option<Output> {
    let port = proxy.address("https").port();
    let mut command = Command::new(tool::find("curl")?);
    command
        .args([
            "--silent",
            "--show-error",
            "--cacert",
            "ca.pem",
            "--resolve",
        ])
        .arg(format!("edge.test:{port}:127.0.0.1"))
        .args(arguments)
        .arg(format!("https://edge.test:{port}/a?b"))
        .current_dir(proxy.dir());
    let running = tokio::task::spawn_blocking(move || command.output());
    let output = within("curl", running).await.expect("no panic");
    Some(output.expect("a program that starts"))
}

#[tokio::test]
async fn both_sides_prove_who_they_are_all_the_way() {
    let files = files();
    // What clients.pem has signed does not count here: it is the proxy that is asked.
    let arguments = [
        "--cert",
        "server.crt",
        "--key",
        "server.key",
        "--client-ca",
        "ca.pem",
    ];
    let Some(server) = peer::python("https_server.py", &arguments, files.path()).await else {
        return;
    };
    let ours = "name = \"shop.internal\", cert = \"edge.crt\", key = \"edge.key\"";
    let proxy = files.proxy(server.address, "required", ours).await;
    let alice = ["--cert", "alice.crt", "--key", "alice.key"];
    for protocol in ["--http1.1", "--http2"] {
        let claims = ["-H", "X-Client-Cert-Subject: CN=admin", "-d", "a body"];
        let arguments = [&[protocol][..], &alice, &claims].concat();
        let Some(output) = curl(&proxy, &arguments).await else {
            return;
        };
        assert!(output.status.success(), "{output:?}");
        let saw: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(saw["sni"], "shop.internal");
        assert_eq!(saw["version"], "TLSv1.3");
        assert_eq!(saw["alpn"], "http/1.1");
        assert_eq!(saw["client"]["commonName"], "edge");
        assert_eq!(saw["line"], "POST /a?b HTTP/1.1");
        assert_eq!(saw["body"], "a body");
        let fields = saw["fields"].as_array().expect("fields");
        let subjects: Vec<&Value> = fields
            .iter()
            .filter(|field| field[0] == "x-client-cert-subject")
            .map(|field| &field[1])
            .collect();
        assert_eq!(subjects, ["CN=alice"]);
    }
    // Nobody comes in without a certificate, nor with one of somebody else.
    for arguments in [&[][..], &["--cert", "edge.crt", "--key", "edge.key"]] {
        let output = curl(&proxy, arguments).await.expect("curl is there");
        assert!(!output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("alert"), "{said}");
    }
}

#[tokio::test]
async fn an_endpoint_by_openssl_is_spoken_to_in_either_version() {
    for (version, said) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let files = files();
        let arguments = [
            "-cert",
            "server.crt",
            "-key",
            "server.key",
            "-Verify",
            "1",
            "-CAfile",
            "ca.pem",
            "-verify_return_error",
            "-www",
            version,
        ];
        let Some(server) = peer::openssl(&arguments, files.path()).await else {
            return;
        };
        let ours = "name = \"shop.internal\", cert = \"edge.crt\", key = \"edge.key\"";
        let proxy = files.proxy(server.address, "optional", ours).await;
        // Its answer is one of HTTP/1.0 that ends with the connection.
        for _ in 0..2 {
            let answer = proxy.get("/").await;
            let text = answer.text();
            assert_eq!(answer.status, 200, "{text}");
            assert!(text.contains(&format!("Protocol  : {said}")), "{text}");
            let subject = text.lines().find(|line| line.contains("Subject: CN"));
            let subject = subject.map(|line| line.trim().replace(' ', ""));
            assert_eq!(subject.as_deref(), Some("Subject:CN=edge"), "{text}");
        }
    }
}

/// What is said of a request whose endpoint is OpenSSL with these arguments, and of what was wrong.
async fn refused(server: &[&str], upstream: &str) -> Option<String> {
    let files = files();
    let own = named(&certs::authority(), &["shop.internal"], "stranger");
    own.write(files.path(), "stranger");
    let server = peer::openssl(server, files.path()).await?;
    let proxy = files.proxy(server.address, "optional", upstream).await;
    let answer = proxy.ask(&ask::post("/", "a secret")).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    proxy
        .counted("a failure of TLS", |metrics| {
            let labels = [("route", "all"), ("reason", "tls_failure")];
            let attempts = [("route", "all"), ("result", "tls_failure")];
            metrics.sum("tidegate_errors_total", &labels) == 1.0
                && metrics.sum("tidegate_upstream_attempts_total", &attempts) >= 1.0
        })
        .await;
    answer.field("proxy-status").map(str::to_owned)
}

#[tokio::test]
async fn what_goes_wrong_with_an_endpoint_by_openssl_is_told_by_its_kind() {
    let own = ["-cert", "server.crt", "-key", "server.key", "-www"];
    let name = "name = \"shop.internal\"";
    let asks = ["-Verify", "1", "-CAfile", "ca.pem", "-verify_return_error"];
    for (server, upstream, error) in [
        // Another name, and another authority.
        (
            own.to_vec(),
            "name = \"other.internal\"",
            "tls_certificate_error",
        ),
        (
            vec!["-cert", "stranger.crt", "-key", "stranger.key", "-www"],
            name,
            "tls_certificate_error",
        ),
        // It asks for a certificate of ours, and there is none.
        (
            [&own[..], &asks, &["-tls1_2"]].concat(),
            name,
            "tls_alert_received",
        ),
        (
            [&own[..], &asks, &["-tls1_3"]].concat(),
            name,
            "tls_alert_received",
        ),
        // It speaks nothing that we do.
        (
            [&own[..], &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]].concat(),
            name,
            "tls_alert_received",
        ),
        (
            [&own[..], &["-tls1_2"]].concat(),
            "name = \"shop.internal\", min_version = \"1.3\"",
            "tls_alert_received",
        ),
    ] {
        let Some(status) = refused(&server, upstream).await else {
            return;
        };
        assert!(
            status.contains(&format!("error={error}")),
            "{server:?} {status}"
        );
    }
}
