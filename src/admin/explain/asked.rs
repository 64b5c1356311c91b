//! A request as somebody describes it, and the head that it would have.
//!
//! The description becomes the text of a request and is read as one from the wire: what tidegate
//! would refuse is refused here too.

use std::net::{IpAddr, Ipv4Addr};

use http::header::{HOST, HeaderName, HeaderValue};
use http::{Method, Uri};
use thiserror::Error as ThisError;

use crate::http1::codec::read_request;
use crate::message::{Limits, RequestHead, Scheme};
use crate::proxy::Edge;
use crate::split;

/// A request as somebody describes it.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// `http://shop.example.com/cart?x=1`, the same without the scheme, which is `http` then, or a
    /// path alone.
    pub url: String,
    /// The method; GET unless it is told.
    pub method: Option<String>,
    /// Fields, each as `Name: value`. A `Host` goes before the host of the URL.
    pub headers: Vec<String>,
    /// A key to hash in the place of the one that the request has.
    pub key: Option<String>,
    /// The client's address; loopback unless it is told.
    pub client: Option<IpAddr>,
}

/// Why a description is no request, or cannot be answered.
#[derive(Debug, ThisError)]
#[expect(missing_docs, reason = "the fields are what the message says")]
pub enum AskedError {
    /// The URL cannot be read.
    #[error("`{url}` is not a URL such as http://shop.example.com/cart, nor a path")]
    Url { url: String },
    /// The method cannot be one.
    #[error("`{method}` is not a method")]
    Method { method: String },
    /// A field is no field.
    #[error("`{header}` is not a header such as `x-user-id: 42`")]
    Header { header: String },
    /// Together they are no request that would be let in.
    #[error("tidegate answers such a request with {status}")]
    Refused { status: u16 },
    /// The routes tie; a configuration that was checked has no such routes.
    #[error("{ties}")]
    Ties { ties: String },
}

/// The request that a description means.
#[derive(Debug)]
pub(in crate::admin::explain) struct Request {
    pub(in crate::admin::explain) head: RequestHead,
    pub(in crate::admin::explain) client: IpAddr,
    pub(in crate::admin::explain) scheme: Scheme,
}

impl Request {
    /// It, as a split is asked about it.
    pub(in crate::admin::explain) fn asked<'a>(&'a self, edge: &'a Edge) -> split::Asked<'a> {
        split::Asked {
            request: &self.head,
            client: self.client,
            elsewhere: edge,
        }
    }
}

impl Asked {
    /// Makes the request.
    pub(in crate::admin::explain) fn request(&self) -> Result<Request, AskedError> {
        let uri = self.uri()?;
        let method = self.method.as_deref().unwrap_or("GET");
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| AskedError::Method {
            method: method.to_owned(),
        })?;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let mut fields = Vec::with_capacity(self.headers.len());
        for header in &self.headers {
            fields.push(field(header)?);
        }
        let mut text = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        if !fields.iter().any(|(name, _)| name == HOST) {
            let host = uri.authority().map_or("localhost", |host| host.as_str());
            text.extend_from_slice(format!("Host: {host}\r\n").as_bytes());
        }
        for (name, value) in &fields {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"\r\n");
        let mut head = RequestHead::default();
        read_request(&text, &Limits::default(), &mut head).map_err(|error| {
            AskedError::Refused {
                status: error.status(),
            }
        })?;
        Ok(Request {
            head,
            client: self.client.unwrap_or(Ipv4Addr::LOCALHOST.into()),
            scheme: match uri.scheme_str() {
                Some("https") => Scheme::Https,
                _ => Scheme::Http,
            },
        })
    }

    fn uri(&self) -> Result<Uri, AskedError> {
        let url = &self.url;
        let wrong = || AskedError::Url { url: url.clone() };
        let is_whole = url.starts_with('/') || url.contains("://");
        let uri: Uri = if is_whole {
            url.parse().map_err(|_| wrong())?
        } else {
            format!("http://{url}").parse().map_err(|_| wrong())?
        };
        match uri.scheme_str() {
            None | Some("http" | "https") => Ok(uri),
            Some(_) => Err(wrong()),
        }
    }
}

fn field(header: &str) -> Result<(HeaderName, HeaderValue), AskedError> {
    let parse = || {
        let (name, value) = header.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(value.trim_matches([' ', '\t']).as_bytes()).ok()?;
        Some((name, value))
    };
    parse().ok_or_else(|| AskedError::Header {
        header: header.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use crate::admin::explain::asked::{Asked, AskedError};

    fn asked(url: &str, headers: &[&str]) -> Asked {
        Asked {
            url: url.to_owned(),
            headers: headers.iter().map(|&header| header.to_owned()).collect(),
            ..Asked::default()
        }
    }

    #[track_caller]
    fn check(url: &str, host: &str, path: &str, query: Option<&str>) {
        let request = asked(url, &[]).request().unwrap();
        assert_eq!(request.head.host(), host.as_bytes());
        assert_eq!(request.head.path(), path.as_bytes());
        assert_eq!(request.head.query(), query.map(str::as_bytes));
    }

    #[test]
    fn a_url_may_be_whole_without_its_scheme_or_a_path_alone() {
        check(
            "https://shop.example.com/a?b=c",
            "shop.example.com",
            "/a",
            Some("b=c"),
        );
        check("shop.example.com:8080/a", "shop.example.com", "/a", None);
        check("http://shop.example.com", "shop.example.com", "/", None);
        check("/a?b", "localhost", "/a", Some("b"));
    }

    #[test]
    fn a_host_field_goes_before_the_host_of_the_url() {
        let request = asked("http://127.0.0.1:8080/", &["Host: shop.example.com"]).request();
        assert_eq!(request.unwrap().head.host(), b"shop.example.com");
    }

    #[test]
    fn what_no_client_could_send_is_no_request() {
        for (url, header) in [
            ("ftp://example.com/", "a: 1"),
            ("http://", "a: 1"),
            ("/a b", "a: 1"),
            ("/", "a"),
            ("/", "a b: 1"),
            ("/", "a: 1\r\nHost: other"),
            ("/", "transfer-encoding: gzip"),
        ] {
            assert!(asked(url, &[header]).request().is_err(), "{url} {header}");
        }
        let twice = asked("/", &["Host: a", "Host: b"]).request();
        assert!(
            matches!(twice, Err(AskedError::Refused { status: 400 })),
            "{twice:?}"
        );
    }
}
