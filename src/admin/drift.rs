//! What runs against the file, and the commit after which nothing does.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};

use crate::admin::fault::Fault;
use crate::admin::handlers::{TEXT_TYPE, aside};
use crate::admin::params::Params;
use crate::admin::releases::{View, desk, stamp};
use crate::admin::wire::{Drift, FlagDrift, RouteDrift};
use crate::admin::{Served, flags, reply};
use crate::control::Live;
use crate::release::overlay::{Owner, same_shares};
use crate::release::spec::FLAG;
use crate::release::state::{Origin, Phase};

/// Every route that is not divided as the file says, and every flag that is not as it says.
pub(in crate::admin) async fn drift(
    State(served): State<Served>,
    uri: Uri,
) -> Result<Response, Fault> {
    Params::of(&uri, &[])?;
    let desk = desk(&served)?;
    Ok(aside(served, move |admin| {
        let (live, view) = (admin.control.live(), View::of(&desk));
        let (routes, stable) = (drifted(&live, &view), replaced(&live, &view));
        let flags = flags::drifted(&live, &view.page);
        reply::json(&Drift {
            has_drifted: !(routes.is_empty() && stable.is_empty() && flags.is_empty()),
            routes,
            stable,
            flags,
        })
    })
    .await)
}

/// The commit, as TOML that takes the place of what the file says.
pub(in crate::admin) async fn patch(
    State(served): State<Served>,
    uri: Uri,
) -> Result<Response, Fault> {
    Params::of(&uri, &[])?;
    let desk = desk(&served)?;
    Ok(aside(served, move |admin| {
        let (live, view) = (admin.control.live(), View::of(&desk));
        let told = Told {
            routes: drifted(&live, &view),
            stable: replaced(&live, &view),
            flags: flags::drifted(&live, &view.page),
        };
        let text = written(&told, &view);
        reply::text(StatusCode::OK, TEXT_TYPE, text)
    })
    .await)
}

fn drifted(live: &Live, view: &View) -> BTreeMap<String, RouteDrift> {
    let mut routes = BTreeMap::new();
    for (name, overlay) in &live.overlay.routes {
        let Some(file) = live.file.weights.get(name) else {
            continue;
        };
        if same_shares(&overlay.weights, file) {
            continue;
        }
        let set = view.page.known.overrides.get(name);
        let left = set.and_then(|set| set.release.clone());
        let (cause, release, by, advice) = match (&overlay.owner, left) {
            (Owner::Release(id), _) => (
                "release",
                Some(id.clone()),
                None,
                format!("the release {id} moves it: nothing is to be done before it ends"),
            ),
            (Owner::Person(_), Some(id)) => (
                "left",
                Some(id.clone()),
                None,
                format!("commit what the release {id} has left, as /api/v1/config/patch has it"),
            ),
            (Owner::Person(by), None) => (
                "set",
                None,
                Some(by.clone()),
                "commit it, as /api/v1/config/patch has it, or clear it".to_owned(),
            ),
        };
        let weights = file.keys().map(|variant| {
            let weight = overlay.weights.get(variant).copied();
            (variant.clone(), weight.unwrap_or_default())
        });
        let expires = set
            .filter(|_| cause != "release")
            .and_then(|set| set.expires);
        let drift = RouteDrift {
            file: file.clone(),
            weights: weights.collect(),
            cause: cause.to_owned(),
            release,
            by,
            expires_at: expires.map(stamp),
            advice,
        };
        routes.insert(name.clone(), drift);
    }
    routes
}

/// What `stable` is to be of releases in the file that have not started: once another one has brought
/// a variant to everyone, they would begin with what nobody gets.
fn replaced(live: &Live, view: &View) -> BTreeMap<String, String> {
    let known = &view.page.known.releases;
    let file = &live.file;
    let waiting = file.releases.values().filter(|spec| {
        let state = known.get(&spec.id);
        state.is_none_or(|state| state.phase == Phase::Pending && state.origin == Origin::File)
    });
    let replaced = waiting.filter_map(|spec| {
        let obeyed = live.overlay.routes.get(&spec.route);
        let obeyed = obeyed.map(|obeyed| &obeyed.weights);
        let weights = obeyed.or_else(|| file.weights.get(&spec.route))?;
        let mut serving = weights.iter().filter(|(_, weight)| **weight != 0);
        let (only, None) = (serving.next()?.0, serving.next()) else {
            return None;
        };
        let is_other = *only != spec.stable && *only != spec.candidate;
        is_other.then(|| (spec.id.clone(), only.clone()))
    });
    replaced.collect()
}

/// What runs otherwise than the file says.
struct Told {
    routes: BTreeMap<String, RouteDrift>,
    stable: BTreeMap<String, String>,
    flags: Vec<FlagDrift>,
}

/// The keys that the file is to have; what a release still moves is not settled.
fn written(told: &Told, view: &View) -> String {
    let Told {
        routes,
        stable,
        flags,
    } = told;
    let mut out = String::new();
    for (name, drift) in routes {
        let flag = name.strip_prefix(FLAG);
        let what = match flag {
            Some(flag) => format!("flag {}", plain(flag)),
            None => format!("route {}", plain(name)),
        };
        if drift.cause == "release" {
            out += &format!("# {what}: {}\n", plain(&drift.advice));
            continue;
        }
        let who = match (&drift.release, &drift.by) {
            (Some(release), _) => format!("the release {release} left it so"),
            (None, Some(by)) => format!("{by} set it so"),
            (None, None) => "it was set so".to_owned(),
        };
        let until = drift.expires_at.as_ref();
        let until = until.map_or_else(String::new, |until| format!(", until {until}"));
        out += &format!("# {what}: {}{until}\n", plain(&who));
        if flag.is_some() {
            // Where it is said depends on its rules: `tidegate export` finds the place.
            let weights = drift.weights.iter();
            let weights = weights.map(|(variant, weight)| format!("{} = {weight}", key(variant)));
            let weights = weights.collect::<Vec<_>>().join(", ");
            out += &format!("# its first rule without a segment: split = {{ {weights} }}\n");
            continue;
        }
        for (variant, weight) in &drift.weights {
            if drift.file.get(variant) != Some(weight) {
                let (route, variant) = (key(name), key(variant));
                out += &format!("[route.{route}.split.{variant}]\nweight = {weight}\n");
            }
        }
    }
    for (id, variant) in stable {
        let value = serde_json::json!(variant);
        out += &format!(
            "# the release {} has not started, and its stable variant was replaced\n\
             [release.{}]\nstable = {value}\n",
            plain(id),
            key(id)
        );
    }
    // How a file has to say it depends on the rules of the flag: that is for people.
    let settled = ["release", "left"];
    for drift in flags
        .iter()
        .filter(|drift| !settled.contains(&&*drift.cause))
    {
        let (flag, obeyed) = (plain(&drift.flag), plain(&drift.obeyed));
        let (cause, by) = (plain(&drift.cause), plain(&drift.said.by));
        out += &format!(
            "# flag {flag}: {obeyed} ({cause}, {by}): {}\n",
            plain(&drift.advice)
        );
    }
    let over = view.page.known.releases.values();
    let over = over.filter(|state| state.phase == Phase::Promoted && state.origin == Origin::File);
    for state in over {
        let id = &state.spec.id;
        out += &format!(
            "# the release {} is promoted: [release.{}] may be taken out\n",
            plain(id),
            key(id)
        );
    }
    if out.is_empty() {
        out.push_str("# nothing runs against the file\n");
    }
    out
}

/// A text that stays in its comment.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// A name as a key of TOML: bare where it can be.
fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.is_empty() && name.bytes().all(is_bare) {
        name.to_owned()
    } else {
        toml::Value::from(name).to_string()
    }
}
