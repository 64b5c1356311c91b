//! OpenSSL, an implementation of TLS that is not ours: its client, where it is installed.

use std::fs::File;
use std::process::Command;

use crate::support::proxy;
use crate::support::secure::Secure;
use crate::support::tool;
use crate::support::wait::within;

/// What `openssl s_client` says of a request to the listener `https`: what was agreed on, and the
/// answer. Nothing where there is no openssl. The arguments may name files of the proxy's directory.
pub(crate) async fn client(secure: &Secure, arguments: &[&str]) -> Option<String> {
    let program = tool::find("openssl")?;
    let dir = secure.proxy.dir().to_owned();
    let request = "GET / HTTP/1.1\r\nhost: edge.test\r\nconnection: close\r\n\r\n";
    proxy::replace(&dir.join("request"), request);
    let mut command = Command::new(program);
    command
        .args(["s_client", "-brief", "-ign_eof"])
        .args(["-servername", "edge.test", "-connect"])
        .arg(secure.proxy.address("https").to_string())
        .args(arguments)
        .stdin(File::open(dir.join("request")).expect("a file"))
        .current_dir(dir);
    let running = tokio::task::spawn_blocking(move || command.output());
    let output = within("openssl", running).await.expect("no panic");
    let output = output.expect("a program that starts");
    let text = [output.stderr, output.stdout].concat();
    Some(String::from_utf8_lossy(&text).into_owned())
}
