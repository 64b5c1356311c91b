//! All flags at once: order, entity tags, and what a stream is asked by.

use http::StatusCode;
use serde_json::{Value, json};

use crate::flag::Runtime;
use crate::ofrep::tests::{Ask, World, settings};
use crate::ofrep::{Arrival, Asked, Settings, TicketSecret};

fn keys(body: &Value) -> Vec<&str> {
    let flags = body["flags"].as_array().unwrap().iter();
    flags.map(|flag| flag["key"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn all_flags_are_sorted_by_key_and_answered_as_each_by_itself() {
    let world = World::new(settings());
    let context = json!({ "targetingKey": "ana", "plan": "gold" });
    let body = world
        .ask(Ask::all().server().context(&context))
        .await
        .json();
    let names: Vec<&str> = world.specs.keys().map(String::as_str).collect();
    assert_eq!(keys(&body), names);
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(names, sorted);
    for flag in body["flags"].as_array().unwrap() {
        let alone = world.one(flag["key"].as_str().unwrap(), &context).await;
        assert_eq!(*flag, alone);
    }
    assert_eq!(body["metadata"], json!({}));
}

#[tokio::test]
async fn clients_are_told_of_what_they_may_see_and_of_nothing_else() {
    let world = World::new(settings());
    for ask in [Ask::all(), Ask::all().header("x-api-key", "of-client")] {
        let body = world.ask(ask).await.json();
        let keys = keys(&body);
        assert_eq!(keys.len(), world.specs.len() - 1);
        assert!(!keys.contains(&"internal"));
    }
    let hidden = world.ask(Ask::one("internal")).await;
    let unknown = world.ask(Ask::one("eternal")).await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
    assert_eq!(hidden.body.replace("internal", "eternal"), unknown.body);
}

#[tokio::test]
async fn the_tag_is_the_hash_of_the_answer_and_is_known_the_next_time() {
    let world = World::new(settings());
    let first = world.ask(Ask::all()).await;
    let tag = first.header("etag").unwrap();
    assert_eq!(tag.len(), 34);
    assert!(
        tag.starts_with('"') && tag.ends_with('"'),
        "it is strong: {tag}"
    );
    for known in [
        tag.to_owned(),
        format!("W/{tag}"),
        format!("\"other\", {tag}"),
        "*".to_owned(),
    ] {
        let again = world.ask(Ask::all().header("if-none-match", &known)).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(again.header("etag"), Some(tag));
        assert_eq!(again.header("content-type"), None);
        assert_eq!(again.body, "");
    }
    let other = world
        .ask(Ask::all().header("if-none-match", "\"other\""))
        .await;
    assert_eq!((other.status, other.body), (StatusCode::OK, first.body));
    let counted = world.service.totals().read();
    assert_eq!((counted.bulk, counted.not_modified), (6, 4));
}

#[tokio::test]
async fn another_context_of_the_same_person_is_not_told_304() {
    let world = World::new(settings());
    let blue = json!({ "targetingKey": "ana", "plan": "free" });
    let first = world.ask(Ask::all().context(&blue)).await;
    let tag = first.header("etag").unwrap();
    let gold = json!({ "targetingKey": "ana", "plan": "gold" });
    let second = world
        .ask(Ask::all().context(&gold).header("if-none-match", tag))
        .await;
    assert_eq!(second.status, StatusCode::OK);
    assert!(second.body.contains("golden"), "{}", second.body);
    // What no flag asks about changes nothing.
    let more = json!({ "targetingKey": "ana", "plan": "free", "more": "nothing" });
    let third = world
        .ask(Ask::all().context(&more).header("if-none-match", tag))
        .await;
    assert_eq!(third.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn a_change_that_does_not_show_is_still_304() {
    let world = World::new(settings());
    let before = world.ask(Ask::all()).await;
    let tag = before.header("etag").unwrap();
    world.set(
        "boolean",
        Runtime {
            enabled: Some(true),
            ..Runtime::default()
        },
    );
    let again = world.ask(Ask::all().header("if-none-match", tag)).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    world.set(
        "boolean",
        Runtime {
            killed: true,
            ..Runtime::default()
        },
    );
    let changed = world.ask(Ask::all().header("if-none-match", tag)).await;
    assert_eq!(changed.status, StatusCode::OK);
}

#[tokio::test]
async fn each_token_has_its_own_tag() {
    let world = World::new(settings());
    let anonymous = world.ask(Ask::all()).await;
    let client = world.ask(Ask::all().header("x-api-key", "of-client")).await;
    let server = world.ask(Ask::all().server()).await;
    let tags = [&anonymous, &client, &server].map(|answer| answer.header("etag").unwrap());
    assert_ne!(tags[0], tags[1]);
    assert_ne!(tags[0], tags[2]);
    assert_ne!(tags[1], tags[2]);
}

#[tokio::test]
async fn hints_in_the_query_change_nothing() {
    let world = World::new(settings());
    let plain = world.ask(Ask::all()).await;
    let path = "/ofrep/v1/evaluate/flags?flagConfigEtag=177&flagConfigLastModified=1771622898";
    let hinted = world.ask(Ask::to(path)).await;
    assert_eq!(hinted.body, plain.body);
}

#[tokio::test]
async fn an_answer_names_its_stream_with_a_ticket_and_without_a_token() {
    let world = World::new(settings());
    let body = world.ask(Ask::all().server()).await.json();
    let streams = body["eventStreams"].as_array().unwrap();
    assert_eq!(streams.len(), 1);
    assert_eq!(streams[0]["type"], "sse");
    assert_eq!(streams[0]["inactivityDelaySec"], 120);
    let uri = streams[0]["endpoint"]["requestUri"].as_str().unwrap();
    assert!(uri.starts_with("/ofrep/v1/stream?t="), "{uri}");
    assert!(
        !uri.contains("of-server") && !uri.contains("backend"),
        "{uri}"
    );
    assert!(streams[0]["endpoint"].get("origin").is_none());
}

#[tokio::test]
async fn without_streams_none_is_named() {
    let world = World::new(Settings {
        stream: false,
        ..settings()
    });
    let body = world.ask(Ask::all()).await.json();
    assert_eq!(body.get("eventStreams"), None);
}

#[tokio::test]
async fn the_address_of_the_stream_has_what_the_path_lost_on_its_way() {
    let proxied = || World::arriving(settings(), Arrival::Proxied(std::sync::Arc::default()));
    for (prefix, expected) in [
        (None, "/ofrep/v1/stream?t="),
        (Some("/flags"), "/flags/ofrep/v1/stream?t="),
        (Some("/outer, /flags/"), "/outer/flags/ofrep/v1/stream?t="),
        // None of these is a path that could be put before another one.
        (Some("//evil.example\""), "/ofrep/v1/stream?t="),
        (Some("/a?b=c"), "/ofrep/v1/stream?t="),
    ] {
        let mut ask = Ask::all();
        if let Some(prefix) = prefix {
            ask = ask.header("x-forwarded-prefix", prefix);
        }
        let body = proxied().ask(ask).await.json();
        let uri = body["eventStreams"][0]["endpoint"]["requestUri"]
            .as_str()
            .unwrap();
        assert!(uri.starts_with(expected), "{uri}");
    }
    // Whoever asks by themselves has lost nothing, whatever they say.
    let world = World::new(settings());
    let body = world
        .ask(Ask::all().header("x-forwarded-prefix", "/flags"))
        .await
        .json();
    let uri = body["eventStreams"][0]["endpoint"]["requestUri"]
        .as_str()
        .unwrap();
    assert!(uri.starts_with("/ofrep/"), "{uri}");
}

#[tokio::test]
async fn instances_that_share_a_secret_give_the_same_answer() {
    let shared = || Settings {
        ticket_secret: Some(TicketSecret::of(b"shared")),
        ..settings()
    };
    let (one, other) = (World::new(shared()), World::new(shared()));
    let tag = one.ask(Ask::all()).await.header("etag").unwrap().to_owned();
    let answer = other.ask(Ask::all().header("if-none-match", &tag)).await;
    assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn evaluations_with_all_are_counted_as_such() {
    let world = World::new(settings());
    world.ask(Ask::all()).await;
    let notes = std::mem::take(&mut *world.notes.0.lock().unwrap());
    let (asked, needed): (Vec<_>, Vec<_>) = notes.into_iter().partition(|(.., how)| how.is_some());
    assert_eq!(asked.len(), world.specs.len() - 1);
    assert!(
        asked
            .iter()
            .all(|(.., how)| how.is_some_and(|(_, asked)| asked == Asked::All))
    );
    let internal = world
        .specs
        .keys()
        .position(|name| name == "internal")
        .unwrap();
    assert_eq!(needed, [(internal, 1, None)]);
}
