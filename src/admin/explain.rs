//! Why a request goes where it goes: the same tables and the same hash as for real requests, asked
//! with a request that somebody describes.
//!
//! It needs a configuration and no running instance, so the command line answers by it as well.

use std::net::{IpAddr, Ipv4Addr};

use http::header::{HeaderName, HeaderValue};
use http::{Method, Uri};
use thiserror::Error as ThisError;

use crate::admin::wire::{Explained, ExplainedVariant};
use crate::config::{Config, RouteConfig};
use crate::http1::codec::read_request;
use crate::message::{Limits, RequestHead};
use crate::route::{FieldSpec, Match, MatchSpec, PathSpec, Table, ValueSpec};
use crate::split::{Draw, Reason, Split, State};

/// A request as somebody describes it.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// `http://shop.example.com/cart?x=1`, the same without the scheme, or a path alone.
    pub url: String,
    /// The method; GET unless it is told.
    pub method: Option<String>,
    /// Fields, each as `Name: value`.
    pub headers: Vec<String>,
    /// A key to hash in the place of the one that the request has.
    pub key: Option<String>,
    /// The client's address; loopback unless it is told.
    pub client: Option<IpAddr>,
}

/// Why a description is not a request.
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
    #[error("tidegate would refuse this request with {status}")]
    Refused { status: u16 },
    /// The configuration that is asked cannot be built.
    #[error("the configuration cannot be asked: {reason}")]
    Config { reason: String },
}

/// A request head, and whether it came by TLS.
struct Request {
    head: RequestHead,
    secure: bool,
}

/// Tells what the configuration does with a request. `is_available` tells of an upstream, by its
/// name, whether any of its endpoints may be used.
///
/// It builds the tables anew, which takes a while when there are thousands of routes: not for a
/// worker.
///
/// # Errors
/// When what is described is no request.
pub fn explain(
    config: &Config,
    asked: &Asked,
    is_available: impl Fn(&str) -> bool,
) -> Result<Explained, AskedError> {
    let request = read(asked)?;
    let Some((name, route)) = find(config, &request.head)? else {
        return Ok(Explained {
            generation: None,
            route: None,
            matched: Vec::new(),
            variant: None,
            served_by: None,
            reason: "no route".to_owned(),
            key: None,
            notes: Vec::new(),
            variants: Vec::new(),
        });
    };
    let split = Split::new(route.split_spec.clone()).map_err(|error| AskedError::Config {
        reason: error.to_string(),
    })?;
    let available = |n: usize| route.upstreams.get(n).is_some_and(|name| is_available(name));
    let verdict = judge(&split, &request, asked, available);
    let specs = &route.split_spec.variants;
    let sum: u64 = specs.iter().map(|spec| u64::from(spec.weight)).sum();
    let scored = verdict.key.as_deref().map(|key| split.explain(key));
    let variants = specs
        .iter()
        .zip(&route.upstreams)
        .enumerate()
        .map(|(n, (spec, upstream))| ExplainedVariant {
            name: spec.name.clone(),
            upstream: upstream.clone(),
            state: state_name(spec.state).to_owned(),
            weight: spec.weight,
            share: f64::from(spec.weight) / sum as f64,
            score: scored.as_ref().map(|scored| scored.variants[n].score),
            flips_at: scored.as_ref().and_then(|scored| scored.variants[n].flips_at),
        })
        .collect();
    let named = |n: usize| specs[n].name.clone();
    Ok(Explained {
        generation: None,
        route: Some(name.to_owned()),
        matched: conditions(&route.match_spec),
        variant: verdict.chosen.map(named),
        served_by: verdict.served.map(named),
        reason: verdict.reason.to_owned(),
        key: verdict.key.map(|key| String::from_utf8_lossy(&key).into_owned()),
        notes: verdict.notes,
        variants,
    })
}
