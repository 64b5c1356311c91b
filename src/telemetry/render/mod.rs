//! All numbers as one text.
//!
//! Families stand in the order of the catalogue, series in the order of names, so that two texts
//! of an idle process are the same bytes but for what the kernel counts.

mod edges;
mod flags;
mod mirrors;
mod plane;
mod releases;
mod tls;
mod variants;

use tokio::time::Instant;

use crate::telemetry::exposition::{Exposition, Labels};
use crate::telemetry::metrics::{self as names, Family};
use crate::telemetry::plane::PlaneLive;
use crate::telemetry::process::Process;
use crate::telemetry::recorder::Recorder;
use crate::telemetry::registry::Registry;
use crate::telemetry::render::edges::{listener_rows, upstream_rows};
use crate::telemetry::render::variants::{route_rows, variant_rows};
use crate::telemetry::stats::Code;

/// Renders everything.
pub(crate) fn render(
    registry: &Registry,
    recorder: &Recorder,
    plane: Option<&PlaneLive>,
    now: Instant,
) -> String {
    let shown = registry.shown(now);
    let variants = variant_rows(&shown.variants);
    let routes = route_rows(&shown.routes);
    let listeners = listener_rows(&shown.listeners);
    let upstreams = upstream_rows(&shown.upstreams);

    let mut text = Exposition::default();
    variants::requests(&mut text, &variants, &routes);
    edges::unrouted(&mut text, &listeners);
    variants::live(&mut text, &shown.live.variants);
    variants::selections(&mut text, &variants, &routes, &shown.rules);
    variants::attempts(&mut text, &variants);
    edges::upstream_connections(&mut text, &upstreams);
    variants::endpoints(&mut text, &shown.live.variants);
    edges::guards(&mut text, &shown.live.upstreams, &upstreams);
    edges::health(&mut text, &upstreams);
    edges::resolutions(&mut text, &upstreams);
    variants::tunnels(&mut text, &variants);
    mirrors::mirrors(&mut text, &shown.mirrors);
    flags::flags(&mut text, &shown.flags);
    flags::kept(&mut text, plane);
    edges::downstream_connections(&mut text, &listeners);
    tls::handshakes(&mut text, &listeners);
    tls::certificates(&mut text, &shown.live);
    releases::releases(&mut text, plane);
    plane::plane(&mut text, plane);
    control(&mut text, recorder);
    process(&mut text, &Process::read());
    text.finish()
}

/// What the control plane has recorded.
fn control(text: &mut Exposition, recorder: &Recorder) {
    let families = recorder.families();
    let append = |text: &mut Exposition, family: &Family| {
        if let Some(rendered) = families.get(family.name) {
            text.append(rendered);
        }
    };
    append(text, &names::CONFIG_RELOADS);
    append(text, &names::CONFIG_LAST_RELOAD_SUCCESSFUL);
    append(text, &names::CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP);
    append(text, &names::CONFIG_GENERATION);
    append(text, &names::CONFIG_RELOAD_DURATION);
    text.family(&names::CONFIG_INFO, |samples| {
        if let Some(sha256) = recorder.sha256() {
            samples.value(&Labels::new([("sha256", &sha256)]), 1);
        }
    });
    append(text, &names::UPGRADES);
    append(text, &names::OVERLOADED);
    append(text, &names::DRAINING);
    append(text, &names::ACCESS_LOG_DROPPED);
    append(text, &names::BUILD_INFO);
}

/// What the kernel has counted; a family that cannot be read is left out.
fn process(text: &mut Exposition, process: &Process) {
    let none = Labels::default();
    if let Some(seconds) = process.cpu_seconds {
        text.family(&names::PROCESS_CPU, |samples| samples.value(&none, seconds));
    }
    if let Some(bytes) = process.resident_bytes {
        text.family(&names::PROCESS_RESIDENT_MEMORY, |samples| {
            samples.value(&none, bytes);
        });
    }
    if let Some(bytes) = process.virtual_bytes {
        text.family(&names::PROCESS_VIRTUAL_MEMORY, |samples| {
            samples.value(&none, bytes);
        });
    }
    if let Some(n) = process.open_fds {
        text.family(&names::PROCESS_OPEN_FDS, |samples| samples.value(&none, n));
    }
    if let Some(n) = process.max_fds {
        text.family(&names::PROCESS_MAX_FDS, |samples| samples.value(&none, n));
    }
    if let Some(seconds) = process.start_seconds {
        text.family(&names::PROCESS_START_TIME, |samples| {
            samples.value(&none, seconds);
        });
    }
}

/// The text of a status.
fn code_label(code: Code) -> String {
    match code {
        Code::Exact(code) => code.to_string(),
        Code::Class(digit) => format!("{digit}xx"),
    }
}

#[cfg(test)]
mod tests;
