//! Matches: what a route catches, as written and as checked.

use http::{HeaderName, Method};
use ipnet::IpNet;
use thiserror::Error;

use crate::message::{Networks, Scheme};
use crate::route::condition::{Conditions, FieldCondition, Test};
use crate::route::host::HostPattern;
use crate::route::path::{FullRegex, PathPattern};

/// What a route catches, as written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MatchSpec {
    /// `example.com`, `*.example.com` (any host below, at any depth, not `example.com` itself) or
    /// an IP address; none means any host. The port of a request never matters.
    pub hosts: Vec<String>,
    /// The paths; none means any.
    pub path: Option<PathSpec>,
    /// The methods, as sent: `GET` does not include `HEAD`. None means any.
    pub methods: Vec<String>,
    /// What headers must be. One that comes several times counts by its first value.
    pub headers: Vec<FieldSpec>,
    /// What query parameters must be, names and values as sent, not decoded. One that comes several
    /// times counts by its first value.
    pub query: Vec<FieldSpec>,
    /// The networks of clients; none means any client.
    pub clients: Vec<IpNet>,
    /// The scheme that the client used; none means either.
    pub scheme: Option<Scheme>,
}

/// Which paths a route takes, as written. Paths are compared in their plain form: `/%61`, `//a` and
/// `/b/../a` are `/a`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PathSpec {
    /// This path and no other.
    Exact(String),
    /// This path and all below it, by whole segments: `/assets` and `/assets/` both take `/assets`,
    /// `/assets/` and `/assets/x`, but not `/assetsx`. `/` takes every path.
    Prefix(String),
    /// Every path that this regular expression matches as a whole, from first to last byte.
    Regex(String),
}

/// What a header or query parameter must be, as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldSpec {
    /// Its name; the case of a header's name does not matter.
    pub name: String,
    /// What its value must be.
    pub value: ValueSpec,
}

/// What a value must be, as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ValueSpec {
    /// Exactly this text.
    Exact(String),
    /// There is one, even if it is empty.
    Present,
    /// There is none.
    Absent,
    /// This regular expression matches it as a whole.
    Regex(String),
}

/// What a route catches, checked.
#[derive(Clone, Debug)]
pub struct Match {
    pub(in crate::route) hosts: Vec<HostPattern>,
    pub(in crate::route) path: PathPattern,
    pub(in crate::route) conditions: Conditions,
    pub(in crate::route) scheme: Option<Scheme>,
}

impl Match {
    /// Checks what a route is to catch.
    ///
    /// # Errors
    /// The first part of it that nothing could match, or that has two meanings.
    pub fn new(spec: MatchSpec) -> Result<Self, MatchError> {
        let mut hosts = Vec::with_capacity(spec.hosts.len().max(1));
        for host in spec.hosts {
            match HostPattern::parse(&host) {
                Ok(pattern) => hosts.push(pattern),
                Err(reason) => return Err(MatchError::Host { host, reason }),
            }
        }
        if hosts.is_empty() {
            hosts.push(HostPattern::Any);
        }
        hosts.sort();
        hosts.dedup();

        let path = match spec.path {
            None => PathPattern::Any,
            Some(PathSpec::Exact(path)) => {
                PathPattern::exact(&path).map_err(|reason| MatchError::Path { path, reason })?
            }
            Some(PathSpec::Prefix(path)) => {
                PathPattern::prefix(&path).map_err(|reason| MatchError::Path { path, reason })?
            }
            Some(PathSpec::Regex(pattern)) => FullRegex::new(&pattern)
                .map(PathPattern::Regex)
                .map_err(|reason| MatchError::PathRegex { pattern, reason })?,
        };

        let mut methods = Vec::with_capacity(spec.methods.len());
        for method in spec.methods {
            if Method::from_bytes(method.as_bytes()).is_err() {
                return Err(MatchError::Method { method });
            }
            methods.push(Box::from(method.as_bytes()));
        }
        methods.sort();
        methods.dedup();

        Ok(Self {
            hosts,
            path,
            conditions: Conditions {
                methods,
                headers: check_headers(spec.headers)?,
                query: check_query(spec.query)?,
                clients: Networks::new(spec.clients),
            },
            scheme: spec.scheme,
        })
    }
}

/// Why nothing can be matched by a [`MatchSpec`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "the fields are what the message says")]
pub enum MatchError {
    /// A host that cannot be one.
    #[error("`{host}` is not a host: {reason}")]
    Host { host: String, reason: &'static str },
    /// A path, exact or prefix, that no request could have.
    #[error("`{path}` is not a path to match: {reason}")]
    Path { path: String, reason: String },
    /// A regular expression for the path that cannot be compiled.
    #[error("`{pattern}` is not a regular expression: {reason}")]
    PathRegex { pattern: String, reason: String },
    /// A method that is not a token.
    #[error("`{method}` is not a method")]
    Method { method: String },
    /// A header that is not a token.
    #[error("`{name}` is not the name of a header")]
    HeaderName { name: String },
    /// Two conditions on one header.
    #[error("header `{name}` has two conditions")]
    HeaderRepeated { name: String },
    /// A value that no header has, or a regular expression that cannot be compiled.
    #[error("header `{name}`: {reason}")]
    HeaderValue { name: String, reason: String },
    /// A name that no query parameter has.
    #[error("`{name}` is not the name of a query parameter as it is sent")]
    QueryName { name: String },
    /// Two conditions on one query parameter.
    #[error("query parameter `{name}` has two conditions")]
    QueryRepeated { name: String },
    /// A value that no query parameter has, or a regular expression that cannot be compiled.
    #[error("query parameter `{name}`: {reason}")]
    QueryValue { name: String, reason: String },
}

impl MatchError {
    /// Which part of the [`MatchSpec`] is at fault: `hosts`, `path`, `methods`, `headers`, `query`.
    pub fn part(&self) -> &'static str {
        match self {
            Self::Host { .. } => "hosts",
            Self::Path { .. } | Self::PathRegex { .. } => "path",
            Self::Method { .. } => "methods",
            Self::HeaderName { .. } | Self::HeaderRepeated { .. } | Self::HeaderValue { .. } => {
                "headers"
            }
            Self::QueryName { .. } | Self::QueryRepeated { .. } | Self::QueryValue { .. } => {
                "query"
            }
        }
    }
}

fn check_headers(specs: Vec<FieldSpec>) -> Result<Vec<FieldCondition>, MatchError> {
    let mut headers: Vec<FieldCondition> = Vec::with_capacity(specs.len());
    for FieldSpec { name, value } in specs {
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(MatchError::HeaderName { name });
        };
        if let ValueSpec::Exact(text) = &value
            && (text.trim_matches([' ', '\t']) != text || text.contains(['\r', '\n', '\0']))
        {
            let reason = "no value has white space around it or a line break in it".to_owned();
            return Err(MatchError::HeaderValue { name, reason });
        }
        let header = header.as_str().as_bytes();
        if headers.iter().any(|other| &*other.name == header) {
            return Err(MatchError::HeaderRepeated { name });
        }
        let test = check_value(value).map_err(|reason| MatchError::HeaderValue { name, reason })?;
        headers.push(FieldCondition {
            name: header.into(),
            test,
        });
    }
    Ok(headers)
}

fn check_query(specs: Vec<FieldSpec>) -> Result<Vec<FieldCondition>, MatchError> {
    let sendable = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'&')
    };
    let mut query: Vec<FieldCondition> = Vec::with_capacity(specs.len());
    for FieldSpec { name, value } in specs {
        if name.is_empty() || name.contains('=') || !sendable(&name) {
            return Err(MatchError::QueryName { name });
        }
        if let ValueSpec::Exact(text) = &value
            && !sendable(text)
        {
            let reason = "write the value as it is sent, percent-encoded".to_owned();
            return Err(MatchError::QueryValue { name, reason });
        }
        if query.iter().any(|other| *other.name == *name.as_bytes()) {
            return Err(MatchError::QueryRepeated { name });
        }
        match check_value(value) {
            Ok(test) => query.push(FieldCondition {
                name: name.as_bytes().into(),
                test,
            }),
            Err(reason) => return Err(MatchError::QueryValue { name, reason }),
        }
    }
    Ok(query)
}

fn check_value(value: ValueSpec) -> Result<Test, String> {
    Ok(match value {
        ValueSpec::Exact(text) => Test::Exact(text.into_bytes().into()),
        ValueSpec::Present => Test::Present,
        ValueSpec::Absent => Test::Absent,
        ValueSpec::Regex(pattern) => Test::Regex(FullRegex::new(&pattern)?),
    })
}
