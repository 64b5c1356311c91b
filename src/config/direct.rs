//! Reads what a route answers by itself: `redirect` and `respond`.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::HeaderName;

use crate::config::matching;
use crate::config::reader::{Table, Value};
use crate::config::treatment::{self, HeaderText};
use crate::http1::codec::is_authority;
use crate::proxy::{Redirect, owner_in_responses};
use crate::route::Match;

/// The largest page that is kept in memory, in bytes.
const MAX_PAGE: u64 = 1 << 20;

/// The statuses that send a client elsewhere (RFC 9110, section 15.4).
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// What a text is when nothing else is said.
const TEXT: &str = "text/plain; charset=utf-8";

/// The types of pages by the ends of their names.
const TYPES: [(&str, &str); 8] = [
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("txt", TEXT),
    ("css", "text/css; charset=utf-8"),
    ("json", "application/json"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("ico", "image/vnd.microsoft.icon"),
];

/// What a route answers by itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DirectConfig {
    /// It sends clients elsewhere.
    Redirect(Redirect),
    /// It says the same to everybody.
    Respond(RespondConfig),
}

/// A page that is the same for everybody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RespondConfig {
    /// The status.
    pub status: u16,
    /// What it says, and where that is from.
    pub body: RespondBody,
    /// The type of that; nothing has none.
    pub content_type: Option<String>,
    /// Further fields, in lower case.
    pub headers: Vec<(String, HeaderText)>,
}

/// What a page says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum RespondBody {
    /// Nothing.
    #[default]
    Empty,
    /// A text in the configuration.
    Text(String),
    /// What a file holds.
    File(PathBuf, Bytes),
}

impl RespondBody {
    /// The bytes themselves.
    pub fn bytes(&self) -> Bytes {
        match self {
            Self::Empty => Bytes::new(),
            Self::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Self::File(_, bytes) => bytes.clone(),
        }
    }
}

/// Reads where clients are sent; `None` when a problem was recorded. `matched` is what the route
/// catches, if that is known.
pub(crate) fn redirect(value: &Value<'_>, matched: Option<&Match>) -> Option<Redirect> {
    value.table(|table| {
        let scheme = table.maybe("scheme", matching::scheme_of);
        let host = table.maybe("host", |value| {
            let what = "a host without a port, such as \"www.example.com\"";
            let text = value.parsed(what, |text| is_host(text).then_some(text))?;
            Some(text.to_owned())
        });
        let port = table.maybe("port", |value| {
            value.whole(1..=65535).and_then(|n| u16::try_from(n).ok())
        });
        let path = treatment::path_rewrite(table, matched);
        let mut query = true;
        table.set("query", &mut query, Value::boolean);
        let mut status = 302;
        table.set("status", &mut status, redirect_status);
        let redirect = Redirect {
            status,
            scheme: scheme?,
            host: host?,
            port: port?,
            path: path?,
            query,
        };
        let names_nothing = redirect.scheme.is_none()
            && redirect.host.is_none()
            && redirect.port.is_none()
            && redirect.path.is_none();
        if names_nothing {
            table.refuse("leads nowhere else; a scheme, a host, a port or a path belongs here");
            return None;
        }
        Some(redirect)
    })?
}

fn redirect_status(value: &Value<'_>) -> Option<u16> {
    let number = value.whole(301..=308)?;
    let status = u16::try_from(number).ok();
    let status = status.filter(|status| REDIRECTS.contains(status));
    if status.is_none() {
        value.is_not("301, 302, 303, 307 or 308");
    }
    status
}

/// Reads what is said to everybody; `None` when a problem was recorded.
pub(crate) fn respond(value: &Value<'_>) -> Option<RespondConfig> {
    value.table(|table| {
        let mut status = 200;
        table.set("status", &mut status, |value| {
            value.whole(200..=599).and_then(|n| u16::try_from(n).ok())
        });
        let body = body(table);
        let content_type = table.maybe("content_type", |value| {
            let what = "a media type such as \"text/html; charset=utf-8\"";
            let is_plain = |text: &str| {
                text.contains('/')
                    && text.trim() == text
                    && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
            };
            let text = value.parsed(what, |text| is_plain(text).then_some(text))?;
            Some(text.to_owned())
        });
        let headers = headers(table);
        let body = body?;
        let content_type = match &body {
            RespondBody::Empty => {
                table.refuse_key("content_type", "there is nothing that it is the type of");
                None
            }
            RespondBody::Text(_) => content_type?.or_else(|| Some(TEXT.to_owned())),
            RespondBody::File(path, _) => content_type?.or_else(|| Some(type_of(path).to_owned())),
        };
        // RFC 9110, section 15: these have no content, whatever they say.
        if matches!(status, 204 | 205 | 304) && body != RespondBody::Empty {
            table.refuse(format!("a response with status {status} says nothing"));
            return None;
        }
        if status == 304 {
            table.refuse("304 answers a question that nobody here has heard");
            return None;
        }
        Some(RespondConfig {
            status,
            body,
            content_type,
            headers: headers?,
        })
    })?
}

/// Reads what a page says: a text, the path of a file, or nothing.
fn body(table: &mut Table<'_>) -> Option<RespondBody> {
    let text = table.optional("body");
    let Some(value) = table.optional("file") else {
        return match text {
            Some(value) => Some(RespondBody::Text(value.string()?.to_owned())),
            None => Some(RespondBody::Empty),
        };
    };
    if let Some(text) = text {
        text.refuse_key("only one of body and file can be given");
        return None;
    }
    let (path, bytes) = value.page(MAX_PAGE)?;
    Some(RespondBody::File(path, bytes.into()))
}

/// Reads further fields of a page.
fn headers(table: &mut Table<'_>) -> Option<Vec<(String, HeaderText)>> {
    let Some(value) = table.optional("headers") else {
        return Some(Vec::new());
    };
    let mut seen = Vec::new();
    let mut n_entries = 0;
    let headers = value.entries(|text, value| {
        n_entries += 1;
        let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
            value.refuse_key(format!("{text:?} is not the name of a header"));
            return None;
        };
        let name = name.as_str().to_owned();
        let owner = match name.as_str() {
            "content-type" => Some("content_type says it"),
            name => owner_in_responses(name),
        };
        if let Some(owner) = owner {
            value.refuse_key(format!("{name} cannot be set here: {owner}"));
            return None;
        }
        if seen.contains(&name) {
            value.refuse_key(format!("{name} is set already"));
            return None;
        }
        seen.push(name.clone());
        Some((name, treatment::field_text(value)?))
    });
    (value.is_table() && n_entries == headers.len()).then_some(headers)
}

/// The type of a page by the end of its name.
fn type_of(path: &Path) -> &'static str {
    let end = path.extension().and_then(|end| end.to_str());
    let end = end.unwrap_or_default().to_ascii_lowercase();
    let known = TYPES.iter().find(|(other, _)| *other == end);
    known.map_or(TEXT, |(_, media_type)| media_type)
}

/// True for a host without a port.
fn is_host(text: &str) -> bool {
    let after_bracket = text.rfind(']').map_or(0, |at| at + 1);
    is_authority(text.as_bytes()) && !text[after_bracket..].contains(':')
}
