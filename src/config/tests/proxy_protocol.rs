//! The PROXY protocol of upstreams, as it is written and refused.

use crate::config::tests::{config, refused};
use crate::upstream::ProxyHeader;

fn read(keys: &str) -> Option<ProxyHeader> {
    let endpoints = "endpoints = [\"127.0.0.1:1\"]";
    let config = config(&format!("[upstream.a]\n{endpoints}\n{keys}\n"));
    config.upstreams["a"].proxy_protocol
}

#[test]
fn connections_begin_with_what_is_written() {
    assert_eq!(read(""), None);
    assert_eq!(read("proxy_protocol = \"off\"\nprotocol = \"h2\""), None);
    assert_eq!(read("proxy_protocol = \"v1\""), Some(ProxyHeader::V1));
    assert_eq!(read("proxy_protocol = \"v2\""), Some(ProxyHeader::V2));
}

#[test]
fn http2_and_other_words_are_refused() {
    let refuse = |keys: &str, problem: &str| {
        let text = format!("[upstream.a]\nendpoints = [\"127.0.0.1:1\"]\n{keys}\n");
        refused(&text, &[problem]);
    };
    refuse(
        "proxy_protocol = \"v2\"\nprotocol = \"h2\"",
        "3:18 upstream.a.proxy_protocol: it tells of one client, and a connection of HTTP/2 carries \
         requests of many",
    );
    refuse(
        "proxy_protocol = \"v3\"",
        "3:18 upstream.a.proxy_protocol: \"v3\" is not \"off\" or \"v1\" or \"v2\", did you mean \
         \"v1\"?",
    );
}
