//! Redirects: where a client is sent instead of its request being passed on.
//!
//! What a redirect does not name stays as the client asked for it. The location is always a whole
//! URL: a path alone could be read as something else, as `//evil.example` is another host to every
//! browser.

use std::io::Write as _;

use crate::message::{RequestHead, Scheme};
use crate::route::{LeadsOut, PathRewrite};

/// Where clients are sent; what it does not name is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Redirect {
    /// The status: 301, 302, 303, 307 or 308.
    pub status: u16,
    /// The scheme.
    pub scheme: Option<Scheme>,
    /// The host, without a port.
    pub host: Option<String>,
    /// The port; where there is none, the one that was asked for is kept, unless a scheme is named:
    /// then it is the scheme's own.
    pub port: Option<u16>,
    /// What becomes of the path.
    pub path: Option<PathRewrite>,
    /// True when the query is kept.
    pub query: bool,
}

/// Why there is nowhere to send a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Nowhere {
    /// The request names no host, and neither does the redirect.
    NoHost,
    /// The path would lead some server elsewhere.
    LeadsOut,
    /// The client is there already.
    Itself,
}

impl From<LeadsOut> for Nowhere {
    fn from(_: LeadsOut) -> Self {
        Self::LeadsOut
    }
}

impl Redirect {
    /// Appends the URL that the sender of a request, which came by this scheme, is sent to.
    ///
    /// # Errors
    /// When there is none; then nothing of use was appended.
    pub fn locate(
        &self,
        head: &RequestHead,
        came_by: Scheme,
        out: &mut Vec<u8>,
    ) -> Result<(), Nowhere> {
        let scheme = self.scheme.unwrap_or(came_by);
        let host = match &self.host {
            Some(host) => host.as_bytes(),
            None => head.host(),
        };
        if host.is_empty() {
            return Err(Nowhere::NoHost);
        }
        let asked_port = port(head.authority());
        let port = match (self.port, self.scheme) {
            (Some(port), _) => Some(port),
            (None, Some(_)) => None,
            (None, None) => asked_port,
        };
        let port = port.filter(|&port| port != default_port(scheme));
        let path_start = out.len();
        match &self.path {
            Some(rewrite) => rewrite.apply(head.path(), out)?,
            None => out.extend_from_slice(head.path()),
        }
        let query = head.query().filter(|_| self.query);
        let is_there = scheme == came_by
            && host.eq_ignore_ascii_case(head.host())
            && port.unwrap_or(default_port(scheme)) == asked_port.unwrap_or(default_port(came_by))
            && out[path_start..] == *head.path()
            && query == head.query();
        if is_there {
            return Err(Nowhere::Itself);
        }
        // What the path is has to be known before it is known whether there is a URL at all.
        let path = out.split_off(path_start);
        out.extend_from_slice(scheme.name().as_bytes());
        out.extend_from_slice(b"://");
        out.extend_from_slice(host);
        if let Some(port) = port {
            write!(out, ":{port}").expect("a Vec takes any bytes");
        }
        write_encoded(out, &path);
        if let Some(query) = query {
            out.push(b'?');
            write_encoded(out, query);
        }
        Ok(())
    }
}

/// The port of an authority, if it has one that can be.
fn port(authority: &[u8]) -> Option<u16> {
    let colon = memchr::memrchr(b':', authority)?;
    // A colon within brackets is an address's.
    let port = std::str::from_utf8(&authority[colon + 1..]).ok()?;
    port.parse().ok()
}

fn default_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}

/// Writes a part of a URL as it came, but for what no URL has (RFC 3986, section 2): clients send
/// such characters, and some would read a backslash as a slash.
fn write_encoded(out: &mut Vec<u8>, part: &[u8]) {
    for &byte in part {
        let is_kept = byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
        if is_kept {
            out.push(byte);
        } else {
            write!(out, "%{byte:02X}").expect("a Vec takes any bytes");
        }
    }
}

#[cfg(test)]
mod tests;
