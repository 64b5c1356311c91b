//! Releases that the file does not have.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value};

use crate::admin::fault::{Code, Fault, any_of};
use crate::admin::mutation::Mutation;
use crate::admin::releases::view::View;
use crate::admin::releases::{answer, cause, desk, refused, settled};
use crate::admin::wire::{ConfigProblem, ReleaseChanged};
use crate::admin::{Served, handlers};
use crate::config::{Problem, release_of};
use crate::release::readiness::ChangeType;
use crate::release::role::Permission;
use crate::release::spec::Spec;

/// Makes one.
pub(in crate::admin) async fn create(
    State(served): State<Served>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    let desk = desk(&served)?;
    let mut keys: Map<String, Value> = mutation.body()?;
    let Some(Value::String(id)) = keys.remove("id") else {
        let why = "a release has an id, such as \"checkout-2.4.0\"";
        return Err(Fault::new(Code::BodyInvalid, why).at("/id"));
    };
    // What is null is not there, as everywhere in a body.
    keys.retain(|_, value| !value.is_null());
    let known = &desk.ledger().read().known.releases;
    let others: BTreeSet<String> = known.keys().cloned().collect();
    let spec = read(&served, id, keys, others).await?;
    let roles = &mutation.actor.roles;
    if spec.change == ChangeType::Standard && !roles.may(Permission::Preauthorise) {
        let may = Permission::Preauthorise.granted_to();
        let why = format!(
            "a standard change meets no gate: it needs the role {}",
            any_of(may)
        );
        let fault = Fault::new(Code::RoleMissing, why).needs(may);
        served.denials.of_mutation(&served, &mutation, &fault);
        return Err(fault);
    }
    // There is none yet, which is what `If-Match: "0"` says.
    mutation.expects_revision(View::of(&desk).revision(&spec.id))?;
    let cause = cause(&served, &mutation, "release.create");
    let made = desk.create(&spec, &cause).await;
    let (state, committed) = made.map_err(|error| refused(&served, &mutation, error))?;
    let changed = settled(&served, committed).await;
    let view = View::of(&desk);
    let state = view.page.known.releases.get(&spec.id).unwrap_or(&state);
    let body = ReleaseChanged {
        changed: changed.clone(),
        release: view.release(state),
    };
    let revision = view.revision(&spec.id);
    Ok(answer(StatusCode::CREATED, &changed, revision, &body))
}

/// Reads it as the file's would be read; that takes a while where there are many routes.
async fn read(
    served: &Served,
    id: String,
    keys: Map<String, Value>,
    others: BTreeSet<String>,
) -> Result<Spec, Fault> {
    let live = served.admin.control.live();
    let reading = tokio::task::spawn_blocking(move || {
        release_of(&id, &keys, &live.written, &others).map_err(|problems| (id, problems))
    });
    match reading.await {
        Ok(Ok(spec)) => Ok(spec),
        Ok(Err((id, problems))) => Err(invalid(&id, &problems)),
        Err(error) => Err(handlers::failed(&error)),
    }
}

fn invalid(id: &str, problems: &[Problem]) -> Fault {
    let pointers = problems.iter().map(|problem| pointer(id, &problem.key));
    let pointer = pointers.into_iter().next().unwrap_or_default();
    let said: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.key, problem.message))
        .collect();
    Fault::new(Code::ReleaseInvalid, said.join("; "))
        .at(&pointer)
        .with(problems.iter().map(ConfigProblem::from).collect())
}

/// Where in the body a key of the release is.
fn pointer(id: &str, key: &str) -> String {
    let rest = key.strip_prefix("release.").unwrap_or(key);
    let quoted = format!("\"{id}\"");
    let rest = rest
        .strip_prefix(&quoted)
        .or_else(|| rest.strip_prefix(id))
        .unwrap_or(rest);
    let rest = rest.replace('[', ".").replace(']', "");
    let steps = rest.split('.').filter(|step| !step.is_empty());
    let steps = steps.map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1")));
    steps.collect()
}

#[cfg(test)]
mod tests {
    use crate::admin::releases::create::pointer;

    #[test]
    fn a_key_of_a_release_is_a_place_in_the_body() {
        let id = "shop-2.0";
        for (key, expected) in [
            ("release.\"shop-2.0\".route", "/route"),
            ("release.shop-2.0.change.type", "/change/type"),
            (
                "release.\"shop-2.0\".strategy.steps[2].for",
                "/strategy/steps/2/for",
            ),
            ("release.\"shop-2.0\"", ""),
        ] {
            assert_eq!(pointer(id, key), expected);
        }
    }
}
