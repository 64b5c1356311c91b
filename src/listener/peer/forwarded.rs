//! Reading the nodes of `X-Forwarded-For` and `Forwarded` (RFC 7239), in their order.
//!
//! A node that is no address is told as `None`: an obfuscated one (`_hidden`), `unknown`, an empty
//! one, or anything malformed. An empty element is not skipped, for it may be all that a trusted
//! proxy had to say, and what stands before it is the client's claim.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Tells the nodes of one `X-Forwarded-For` value.
pub(crate) fn x_forwarded_for_nodes(value: &[u8], add: &mut impl FnMut(Option<IpAddr>)) {
    for element in value.split(|&byte| byte == b',') {
        add(address(element.trim_ascii()));
    }
}

/// Tells the nodes of one `Forwarded` value: the `for` of each element.
pub(crate) fn forwarded_nodes(value: &[u8], add: &mut impl FnMut(Option<IpAddr>)) {
    let mut rest = value;
    while let Some((Element { node, .. }, after)) = element(rest) {
        add(node);
        match after.split_first() {
            Some((_, after)) => rest = after,
            None => return,
        }
    }
    // A quoted string that does not end, or the like: nothing in the value is sure.
    add(None);
}

/// The first `proto` of one `Forwarded` value.
pub(crate) fn forwarded_proto(value: &[u8]) -> Option<&[u8]> {
    let mut rest = value;
    loop {
        let (element, after) = element(rest)?;
        if element.proto.is_some() {
            return element.proto;
        }
        rest = after.get(1..)?;
    }
}

/// What one element says.
struct Element<'v> {
    node: Option<IpAddr>,
    proto: Option<&'v [u8]>,
}

/// Reads one element, `forwarded-pair *( ";" forwarded-pair )`, and leaves the comma after it;
/// `None` when it is malformed.
fn element(input: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let mut node = None;
    let mut proto = None;
    let mut rest = input;
    loop {
        rest = rest.trim_ascii_start();
        let name_len = rest.iter().take_while(|byte| is_token(**byte)).count();
        if name_len > 0 {
            let (name, after) = rest.split_at(name_len);
            let (value, after) = pair_value(after.strip_prefix(b"=")?)?;
            rest = after.trim_ascii_start();
            if name.eq_ignore_ascii_case(b"for") {
                // RFC 7239, section 4: a parameter occurs once per element.
                if node.is_some() {
                    return None;
                }
                node = Some(address(value));
            } else if name.eq_ignore_ascii_case(b"proto") {
                proto = Some(value);
            }
        }
        match rest.first() {
            None | Some(b',') => {
                let node = node.flatten();
                return Some((Element { node, proto }, rest));
            }
            Some(b';') => rest = &rest[1..],
            Some(_) => return None,
        }
    }
}

/// Reads a value, `token / quoted-string`, without its quotes. What many send unquoted although
/// they must not, `1.2.3.4:80` and `[2001:db8::1]`, is read as well.
fn pair_value(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(quoted) = input.strip_prefix(b"\"") else {
        let len = input
            .iter()
            .take_while(|byte| is_token(**byte) || b":[]".contains(byte))
            .count();
        return (len > 0).then(|| input.split_at(len));
    };
    let mut at = 0;
    loop {
        match quoted.get(at)? {
            b'"' => return Some((&quoted[..at], &quoted[at + 1..])),
            // An address needs no escapes; one that has some is read as no address.
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Reads an address: `a.b.c.d`, `v6` or `[v6]`, and the first and last of them with a port.
fn address(node: &[u8]) -> Option<IpAddr> {
    let node = std::str::from_utf8(node).ok()?;
    if let Some(bracketed) = node.strip_prefix('[') {
        let (v6, after) = bracketed.split_once(']')?;
        let ends_well = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
        return ends_well
            .then(|| v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6))
            .flatten();
    }
    if let Ok(address) = node.parse() {
        return Some(address);
    }
    let (v4, port) = node.split_once(':')?;
    is_port(port)
        .then(|| v4.parse::<Ipv4Addr>().ok().map(IpAddr::V4))
        .flatten()
}

/// RFC 7239, section 6: up to five digits, or an obfuscated port (`_x`).
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(obfuscated) => {
            !obfuscated.is_empty()
                && obfuscated
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}
