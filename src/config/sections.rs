//! The file as a whole: its sections, and what concerns several of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::admin;
use crate::config::advice;
use crate::config::flags::{self, KnownFlags};
use crate::config::include::{INCLUDE, INCLUDES};
use crate::config::listener::{self, NamedFile};
use crate::config::ofrep;
use crate::config::overload;
use crate::config::pins;
use crate::config::process;
use crate::config::reader;
use crate::config::releases;
use crate::config::resolver;
use crate::config::route::{self, RouteConfig};
use crate::config::segment::Segments;
use crate::config::settings::{Config, ListenerConfig};
use crate::config::upgrade;
use crate::config::upstream;
use crate::message::Address;
use crate::route::Table;

/// Reads all sections; `None` when a problem was recorded that leaves nothing to go on with. `look`
/// is given all files that are named.
pub(crate) fn read<'d>(
    root: &mut reader::Table<'d>,
    look: impl FnOnce(Vec<NamedFile<'d>>),
) -> Option<Config> {
    let mut files = Vec::new();
    // What it includes stands here already, and the key itself only for whoever wants to know of it.
    if let Some(value) = root.optional(INCLUDE) {
        value.list(INCLUDES, reader::Value::string);
    }
    let runtime = process::runtime(root);
    let listeners = listeners(root, &mut files);
    let mut known_upstreams = BTreeSet::new();
    let mut upstreams = BTreeMap::new();
    let upstream_section = root.optional("upstream");
    if let Some(value) = &upstream_section {
        // An upstream with problems is no unknown upstream.
        value.entries(|name, _| known_upstreams.insert(name).then_some(()));
        upstreams = value
            .names(|_, value| upstream::read(value, &mut files))
            .into_iter()
            .map(|(name, upstream)| (name.to_owned(), upstream))
            .collect();
    }
    let flag_settings = flags::settings(root);
    let flag_section = root.optional("flag");
    let known_flags = flag_section.as_ref().map(KnownFlags::of);
    let known_flags = known_flags.unwrap_or_default();
    let segment_section = root.optional("segment");
    let segments = segment_section.as_ref();
    let segments = segments.map(|section| Segments::of(section, &known_flags));
    let segments = segments.unwrap_or_default();
    let trace = process::trace(root);
    let request_id = trace.request_id.as_deref();
    let (routes, table) = routes(root, &known_upstreams, &segments, request_id, &listeners);
    let flags = flags::read(
        root,
        flag_settings,
        &known_flags,
        &segments,
        &routes,
        request_id,
    );
    let overload = overload::read(root);
    let shutdown = process::shutdown(root);
    let upgrade = upgrade::upgrade(root);
    let access_log = process::access_log(root);
    let admin = admin::read(root, &listeners);
    let ofrep = ofrep::read(root, &admin);
    let metrics = process::metrics(root);
    let resolver = resolver::read(root);
    let releases = releases::read(root, &routes, flags.as_ref(), &segments.read);
    look(files);
    // What is wrong may be why something seems unused.
    if root.is_fine() {
        if let Some(value) = &upstream_section {
            advice::unused_upstreams(value, &routes);
        }
        if let Some(value) = &segment_section {
            let flags = flags.as_ref();
            advice::unused_segments(value, &routes, flags.map(flags::segments));
        }
    }
    Some(Config {
        runtime,
        listeners,
        upstreams,
        segments: segments.read,
        flags: flags?,
        routes,
        table: Arc::new(table?),
        overload,
        shutdown,
        upgrade,
        access_log,
        trace,
        admin,
        ofrep,
        metrics,
        resolver,
        releases,
    })
}

/// Reads the routes and makes their table; `None` stands for a table that cannot be made.
fn routes(
    root: &mut reader::Table<'_>,
    known_upstreams: &BTreeSet<&str>,
    segments: &Segments<'_>,
    request_id: Option<&str>,
    listeners: &BTreeMap<String, ListenerConfig>,
) -> (BTreeMap<String, RouteConfig>, Option<Table<usize>>) {
    let mut routes = BTreeMap::new();
    let section = root.optional("route");
    if let Some(section) = &section {
        section.names(|name, value| {
            let route = route::read(name, value, known_upstreams, segments, request_id)?;
            advice::redirect(value, &route, listeners);
            routes.insert(name.to_owned(), route);
            Some(())
        });
    }
    pins::refuse_clashes(&routes, section.as_ref());
    let rules = routes
        .iter()
        .enumerate()
        .map(|(n, (name, route))| (name.clone(), route.matched.clone(), n));
    match Table::build(rules.collect()) {
        Ok(table) => (routes, Some(table)),
        Err(ties) => {
            for tie in ties {
                let section = section.as_ref();
                if let Some(value) = section.and_then(|section| section.entry(&tie.second)) {
                    value.refuse_key(format!(
                        "ties with route {}: both catch {} and {}, and neither is more specific",
                        tie.first, tie.host, tie.path
                    ));
                }
            }
            (routes, None)
        }
    }
}

fn listeners<'d>(
    root: &mut reader::Table<'d>,
    files: &mut Vec<NamedFile<'d>>,
) -> BTreeMap<String, ListenerConfig> {
    let Some(value) = root.required("listener", "at least one [listener.NAME]") else {
        return BTreeMap::new();
    };
    let mut addresses: BTreeMap<Address, &str> = BTreeMap::new();
    let mut n_listeners = 0;
    let listeners: BTreeMap<String, ListenerConfig> = value
        .names(|name, value| {
            n_listeners += 1;
            let listener = listener::read(value, files)?;
            if !listener.address.is_any_port()
                && let Some(other) = addresses.insert(listener.address.clone(), name)
            {
                value.refuse_key(format!(
                    "{} is the address of listener {other} already",
                    listener.address
                ));
            }
            Some(listener)
        })
        .into_iter()
        .map(|(name, listener)| (name.to_owned(), listener))
        .collect();
    if value.is_table() && n_listeners == 0 {
        value.refuse_key("empty; at least one [listener.NAME] belongs here");
    }
    listeners
}
