//! HTTP/1 with clients and servers that share no code with ours: curl, and those of Python.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::config;
use crate::support::origin;
use crate::support::peer;
use crate::support::proxy::{self, Proxy};
use crate::support::tool;
use crate::support::wait::within;

/// What curl writes when it asks for a path with these arguments; nothing where there is no curl.
async fn curl(proxy: &Proxy, arguments: &[&str], path: &str) -> Option<String> {
    let mut command = Command::new(tool::find("curl")?);
    command
        .args(["--silent", "--show-error", "--include", "--max-time", "30"])
        .args(arguments)
        .arg(format!("http://{}{path}", proxy.http()))
        .current_dir(proxy.dir());
    let running = tokio::task::spawn_blocking(move || tool::run(&mut command));
    Some(within("curl", running).await.expect("no panic"))
}

/// An origin for which the path says what it answers.
async fn various() -> origin::Origin {
    origin::serving(|mut conversation| async move {
        while let Some(request) = conversation.request().await {
            let answer = match request.target() {
                "/hints" => {
                    "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n\
                     HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
                }
                "/trailers" => {
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
                     5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n"
                }
                "/nothing" => "HTTP/1.1 204 No Content\r\n\r\n",
                "/known" => "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n",
                "/head" => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            };
            conversation.send(answer).await;
        }
    })
    .await
}

#[tokio::test]
async fn curl_gets_what_it_asks_for_in_every_way() {
    let origin = various().await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let target = format!("http://{}", proxy.http());
    for (arguments, path, first, last) in [
        (&["--http1.0"][..], "/", "HTTP/1.1 200 OK", "hello"),
        (&["--http1.1"], "/", "HTTP/1.1 200 OK", "hello"),
        (&["--head"], "/head", "HTTP/1.1 200 OK", ""),
        (&[], "/hints", "HTTP/1.1 103 Early Hints", "hello"),
        // It writes trailers behind the body.
        (&[], "/trailers", "HTTP/1.1 200 OK", "hellox-sum: 7"),
        (&[], "/nothing", "HTTP/1.1 204 No Content", ""),
        (&[], "/known", "HTTP/1.1 304 Not Modified", ""),
        // As to a proxy of its own: the target has a scheme and a host.
        (&["--proxy", &target], "/", "HTTP/1.1 200 OK", "hello"),
        (
            &["--request", "OPTIONS", "--request-target", "*"],
            "/",
            "HTTP/1.1 204 No Content",
            "",
        ),
        (
            &["--request", "TRACE"],
            "/",
            "HTTP/1.1 405 Method Not Allowed",
            "405 Method Not Allowed: this method is not forwarded",
        ),
        (&["--request", "PURGE"], "/", "HTTP/1.1 200 OK", "hello"),
    ] {
        let Some(said) = curl(&proxy, arguments, path).await else {
            return;
        };
        let mut lines = said.lines();
        assert_eq!(lines.next(), Some(first), "{arguments:?}\n{said}");
        assert_eq!(lines.next_back(), Some(last), "{arguments:?}\n{said}");
    }
}

#[tokio::test]
async fn curl_waits_to_be_told_to_send_its_large_body() {
    let origin = origin::serving(|mut conversation| async move {
        while let Some(mut request) = conversation.request_head().await {
            assert_eq!(request.field("expect"), Some("100-continue"));
            conversation.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            conversation.body(&mut request).await;
            conversation
                .ok(request.body.len().to_string().as_bytes())
                .await;
        }
    })
    .await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    proxy::replace(&proxy.dir().join("large"), vec![b'x'; 3_000_000]);
    let upload = ["--data-binary", "@large", "--expect100-timeout", "30"];
    if let Some(said) = curl(&proxy, &upload, "/").await {
        assert!(said.starts_with("HTTP/1.1 100 Continue"), "{said}");
        assert!(said.ends_with("3000000"), "{said}");
    }
}

/// Runs a script of `tests/peers` to its end; nothing where there is no Python for it.
async fn python(script: &str, proxy: &Proxy) -> Option<Value> {
    let mut command = Command::new(tool::python()?);
    command
        .arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/peers")
                .join(script),
        )
        .arg(proxy.http().port().to_string());
    let running = tokio::task::spawn_blocking(move || tool::run(&mut command));
    let text = within(script, running).await.expect("no panic");
    Some(serde_json::from_str(&text).expect("JSON"))
}

#[tokio::test]
async fn python_speaks_to_python() {
    let dir = TempDir::new().expect("a directory");
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        let Some(server) = peer::python("http_server.py", &[version], dir.path()).await else {
            return;
        };
        let proxy = proxy::start(&config::to(server.address)).await;
        let told = python("http_client.py", &proxy)
            .await
            .expect("Python is there");
        let answers = told.as_array().expect("a list");
        let fields: Vec<&Value> = answers.iter().map(|answer| &answer["is"]).collect();
        let expected: Vec<&Value> = answers.iter().map(|answer| &answer["ought"]).collect();
        assert_eq!(fields, expected, "{version}");
        assert_eq!(answers.len(), 8, "{told:#}");
    }
}
