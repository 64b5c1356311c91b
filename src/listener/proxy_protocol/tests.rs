//! What is a PROXY header, to the letter, and what is none.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::listener::proxy_protocol::{
    Expected, HeaderError, Origin, ProxyProtocol, WAIT, parse_binary, parse_line, read,
};

fn client(from: &str, to: &str) -> Option<Origin> {
    Some(Origin::Client {
        from: from.parse().expect("an address"),
        to: to.parse().expect("an address"),
    })
}

#[track_caller]
fn check(line: &str, expected: Option<Origin>) {
    assert_eq!(parse_line(line.as_bytes()).ok(), expected, "{line:?}");
}

#[test]
fn a_line_tells_both_addresses() {
    check(
        "PROXY TCP4 203.0.113.9 10.0.0.1 56324 443\r\n",
        client("203.0.113.9:56324", "10.0.0.1:443"),
    );
    check(
        "PROXY TCP6 2001:db8::9 fd00::1 1 65535\r\n",
        client("[2001:db8::9]:1", "[fd00::1]:65535"),
    );
    check("PROXY UNKNOWN\r\n", Some(Origin::Peer));
    check("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", Some(Origin::Peer));
}

#[test]
fn a_line_with_anything_wrong_is_none() {
    for line in [
        "PROXY TCP4 203.0.113.9 10.0.0.1 56324 443\n",
        "PROXY TCP4 203.0.113.9 10.0.0.1 56324\r\n",
        "PROXY TCP4 203.0.113.9 10.0.0.1 56324 443 1\r\n",
        "PROXY TCP4  203.0.113.9 10.0.0.1 56324 443\r\n",
        "PROXY TCP4 203.0.113.9 10.0.0.1 56324 65536\r\n",
        "PROXY TCP4 203.0.113.9 10.0.0.1 +1 443\r\n",
        "PROXY TCP4 2001:db8::9 fd00::1 1 2\r\n",
        "PROXY TCP6 203.0.113.9 10.0.0.1 1 2\r\n",
        "PROXY UDP4 203.0.113.9 10.0.0.1 1 2\r\n",
        "PROXY TCP4 example.com 10.0.0.1 1 2\r\n",
        "PROXY \r\n",
    ] {
        check(line, None);
    }
}

#[test]
fn what_is_the_proxys_own_or_has_no_address_is_its_peers() {
    for (command, family) in [(0x20, 0x00), (0x20, 0x11), (0x21, 0x00), (0x21, 0x31)] {
        assert_eq!(parse_binary(command, family, &[]).ok(), Some(Origin::Peer));
    }
    // Another version, another command, datagrams, and addresses that are cut.
    for (command, family) in [(0x11, 0x11), (0x22, 0x11), (0x21, 0x12), (0x21, 0x41)] {
        assert!(parse_binary(command, family, &[0; 36]).is_err());
    }
    assert!(parse_binary(0x21, 0x11, &[0; 11]).is_err());
    assert!(parse_binary(0x21, 0x21, &[0; 35]).is_err());
}

#[test]
fn a_header_is_expected_of_trusted_proxies_alone() {
    for (mode, trusted, other) in [
        (ProxyProtocol::Off, Expected::No, Expected::No),
        (ProxyProtocol::Required, Expected::Yes, Expected::Refused),
        (ProxyProtocol::FromTrusted, Expected::Yes, Expected::No),
    ] {
        assert_eq!((mode.of(|| true), mode.of(|| false)), (trusted, other));
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_that_does_not_come_to_its_end_is_not_waited_for() {
    for begun in [
        &b""[..],
        b"PROXY TCP4 192.0.2.1",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0",
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(connecting, listener.accept());
        let (mut near, mut far) = (near.unwrap(), far.unwrap().0);
        near.write_all(begun).await.unwrap();
        let before = Instant::now();
        let error = read(&mut far).await.unwrap_err();
        assert!(matches!(error, HeaderError::TooSlow), "{error}");
        assert_eq!(before.elapsed(), WAIT);
    }
}

proptest! {
    #[test]
    fn any_two_addresses_come_back_from_either_version(
        from in any::<(Ipv4Addr, u16)>(),
        to in any::<(Ipv4Addr, u16)>(),
        from_v6 in any::<(Ipv6Addr, u16)>(),
        to_v6 in any::<(Ipv6Addr, u16)>(),
        more in vec(any::<u8>(), 0..40),
    ) {
        let said = |from, to| Some(Origin::Client { from, to });
        let line = format!("PROXY TCP4 {} {} {} {}\r\n", from.0, to.0, from.1, to.1);
        let expected = said(SocketAddr::from(from), SocketAddr::from(to));
        prop_assert_eq!(parse_line(line.as_bytes()).ok(), expected);
        let mut rest = [from.0.octets(), to.0.octets()].concat();
        rest.extend(from.1.to_be_bytes());
        rest.extend(to.1.to_be_bytes());
        rest.extend(&more);
        prop_assert_eq!(parse_binary(0x21, 0x11, &rest).ok(), expected);

        let line = format!("PROXY TCP6 {} {} {} {}\r\n", from_v6.0, to_v6.0, from_v6.1, to_v6.1);
        let expected = said(SocketAddr::from(from_v6), SocketAddr::from(to_v6));
        prop_assert_eq!(parse_line(line.as_bytes()).ok(), expected);
        let mut rest = [from_v6.0.octets(), to_v6.0.octets()].concat();
        rest.extend(from_v6.1.to_be_bytes());
        rest.extend(to_v6.1.to_be_bytes());
        rest.extend(&more);
        prop_assert_eq!(parse_binary(0x21, 0x21, &rest).ok(), expected);
    }

    #[test]
    fn no_bytes_are_too_strange(
        line in vec(any::<u8>(), 0..120),
        command in any::<u8>(),
        family in any::<u8>(),
    ) {
        prop_assert!(parse_line(&line).is_err() || line.ends_with(b"\r\n"));
        let _either = parse_binary(command, family, &line);
    }
}
