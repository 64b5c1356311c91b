//! CDEvents 0.5: deployments in the words of the Continuous Delivery Foundation.
//!
//! A release that starts has deployed its candidate; one that is promoted has upgraded the service
//! and published it; one that is rolled back has rolled it back, to the artifact of the stable
//! variant. What CDEvents ask for and is not known cannot be told: without an artifact, which is a
//! package URL, there is none of them.

use serde_json::{Value, json};

use crate::notify::event::Event;
use crate::notify::render::Outgoing;
use crate::notify::render::cloudevents::{Attributes, carry, source};
use crate::store::instant;

/// What happened to a service.
#[derive(Clone, Copy)]
enum Predicate<'a> {
    Deployed { artifact: &'a str },
    Upgraded { artifact: &'a str },
    RolledBack { artifact: &'a str },
    Published,
}

pub(in crate::notify::render) fn requests(
    environment: &str,
    event: &Event,
    id: &str,
) -> Vec<Outgoing> {
    let predicates = predicates(event).into_iter();
    let requests = predicates.map(|predicate| request(environment, event, id, predicate));
    requests.collect()
}

fn predicates(event: &Event) -> Vec<Predicate<'_>> {
    match event.kind.as_str() {
        "release.started" => match purl(&event.artifact) {
            Some(artifact) => vec![Predicate::Deployed { artifact }],
            None => Vec::new(),
        },
        "release.promoted" => match purl(&event.artifact) {
            Some(artifact) => vec![Predicate::Upgraded { artifact }, Predicate::Published],
            None => Vec::new(),
        },
        "release.rolled_back" => match purl(&event.stable_artifact) {
            Some(artifact) => vec![Predicate::RolledBack { artifact }],
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// An artifact as CDEvents name it.
fn purl(artifact: &Option<String>) -> Option<&str> {
    let artifact = artifact.as_deref();
    artifact.filter(|artifact| artifact.starts_with("pkg:"))
}

fn request(environment: &str, event: &Event, id: &str, predicate: Predicate<'_>) -> Outgoing {
    let (word, artifact) = match predicate {
        Predicate::Deployed { artifact } => ("deployed", Some(artifact)),
        Predicate::Upgraded { artifact } => ("upgraded", Some(artifact)),
        Predicate::RolledBack { artifact } => ("rolledback", Some(artifact)),
        Predicate::Published => ("published", None),
    };
    let id = format!("{id}-{word}");
    let kind = format!("dev.cdevents.service.{word}.0.3.0");
    let source = source(event);
    let time = instant::text_in_milliseconds(event.at);
    let service = event.route.as_deref().unwrap_or(event.subject());
    let subject = format!("service/{service}");
    let mut content = json!({ "environment": { "id": environment } });
    if let Some(artifact) = artifact {
        content["artifactId"] = Value::from(artifact);
    }
    let data = json!({
        "context": {
            "specversion": "0.5.0",
            "id": id,
            "source": source,
            "type": kind,
            "timestamp": time,
        },
        "subject": {
            "id": subject,
            "source": source,
            "type": "service",
            "content": content,
        },
    });
    // The binding to CloudEvents: the attributes are the context's, and the whole is the body.
    let attributes = Attributes {
        id: &id,
        source: &source,
        kind: &kind,
        subject: &subject,
        time: &time,
    };
    carry(&attributes, "application/cdevents+json", &data)
}
