//! The lines, and what becomes of them when nobody reads.

mod lines;
mod written;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use crate::message::{Address, Version};
use crate::telemetry::access_log::format::{Form, Formatter};
use crate::telemetry::access_log::{Entry, Format, Settings};
use crate::telemetry::stats::{ErrorReason, Selection, Source};

static ENDPOINTS: [Address; 2] = [
    Address::Tcp(SocketAddr::new(
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, 21)),
        9000,
    )),
    Address::Tcp(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 80)),
];

/// 2026-11-23 10:35:18.007 UTC.
fn entry() -> Entry<'static> {
    Entry {
        at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_430_118_007),
        listener: "http",
        route: Some("shop"),
        variant: Some("canary"),
        served_variant: Some("stable"),
        selection: Some(Selection::Failover),
        segment: Some("beta"),
        flags: &[("dark-mode", "on"), ("price", "b")],
        key_hash: Some(0xf00d_0000_0000_0abc),
        method: b"GET",
        host: b"shop.example.com",
        path: b"/cart",
        query: Some(b"token=1"),
        status: 502,
        source: Source::Proxy,
        reason: Some(ErrorReason::ConnectFailure.label()),
        bytes_in: 12,
        bytes_out: 3456,
        duration: Duration::from_micros(12_345),
        response_headers: Some(Duration::from_micros(9)),
        upstream_connect: Some(Duration::from_millis(2)),
        attempts: 2,
        mirror: Some("next"),
        endpoint: Some(&ENDPOINTS[0]),
        client_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
        protocol: Version::Http11,
        upstream_protocol: Some(Version::Http2),
        grpc_status: Some("14"),
        generation: 12,
        request_id: Some(b"0123456789abcdef0123456789abcdef"),
        trace_id: Some(b"0af7651916cd43dd8448eb211c80319c"),
        referer: None,
        user_agent: Some(b"curl/8"),
    }
}

/// What there is to say of bytes that were no request.
fn nothing_known() -> Entry<'static> {
    Entry {
        route: None,
        variant: None,
        served_variant: None,
        selection: None,
        segment: None,
        flags: &[],
        key_hash: None,
        upstream_protocol: None,
        grpc_status: None,
        method: b"",
        host: b"",
        path: b"",
        query: None,
        status: 400,
        reason: Some(ErrorReason::ClientProtocolError.label()),
        bytes_out: 0,
        response_headers: None,
        upstream_connect: None,
        endpoint: Some(&ENDPOINTS[1]),
        client_ip: IpAddr::V6(Ipv6Addr::LOCALHOST),
        user_agent: None,
        ..entry()
    }
}

fn settings(format: Format) -> Settings {
    Settings {
        format,
        ..Settings::default()
    }
}

fn line(format: Format, entry: &Entry<'_>) -> String {
    line_as(&settings(format), entry)
}

fn line_as(settings: &Settings, entry: &Entry<'_>) -> String {
    let mut formatter = Formatter::default();
    let line = formatter.line(&Form::new(settings), entry);
    String::from_utf8(line.to_vec()).unwrap()
}
