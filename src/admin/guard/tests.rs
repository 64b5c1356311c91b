//! Who may come in, and as whom.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, Uri};

use crate::admin::actor::{Actor, Kind};
use crate::admin::guard::{Guard, Needs, Refusal};
use crate::config::{AdminConfig, Secret, TokenConfig, TokenSecret};
use crate::release::role::Permission;

/// A configuration without a token.
fn open() -> AdminConfig {
    AdminConfig::default()
}

fn secret(text: &str) -> TokenSecret {
    TokenSecret::of(&Secret::new(text.to_owned()))
}

/// One with the one token that may do everything.
fn with_token() -> AdminConfig {
    let token = Some(secret("s3cret"));
    AdminConfig { token, ..open() }
}

/// One with this token, too.
fn with_named(mut config: AdminConfig, name: &str, roles: &[&str], text: &str) -> AdminConfig {
    let token = TokenConfig {
        roles: roles.iter().map(|role| role.parse().unwrap()).collect(),
        secret: secret(text),
        expires: None,
    };
    config.tokens.insert(name.to_owned(), token);
    config
}

fn admit(
    (bound, config): (&str, &AdminConfig),
    needs: Needs,
    fields: &[(&'static str, &str)],
    now: SystemTime,
) -> Result<Actor, Refusal> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    let uri = Uri::from_static("/api/v1/status");
    let guard = Guard::new(bound.parse().unwrap(), config);
    guard.admit(needs, &uri, &headers, now)
}

/// The actor as text, or why there is none.
#[track_caller]
fn check(
    of: (&str, &AdminConfig),
    fields: &[(&'static str, &str)],
    expected: Result<&str, Refusal>,
) {
    let viewer = Needs::May(Permission::View);
    let admitted = admit(of, viewer, fields, SystemTime::UNIX_EPOCH);
    let admitted = admitted.map(|actor| format!("{actor} {}", actor.roles));
    assert_eq!(admitted, expected.map(str::to_owned));
}

const LOCAL: &str = "127.0.0.1:9900";
const EVERYWHERE: &str = "0.0.0.0:9900";

#[test]
fn on_loopback_everyone_who_names_this_machine_is_local_and_may_do_everything() {
    for host in [
        "127.0.0.1:9900",
        "localhost:9900",
        "LOCALHOST",
        "[::1]:9900",
        "10.1.2.3",
    ] {
        check((LOCAL, &open()), &[("host", host)], Ok("user:local *"));
    }
}

#[test]
fn a_name_that_could_be_rebound_is_misdirected() {
    let open = open();
    for host in [
        "evil.example",
        "127.0.0.1.evil.example:9900",
        "localhost.evil.example",
        "a b",
    ] {
        check((LOCAL, &open), &[("host", host)], Err(Refusal::HostForeign));
    }
    check((LOCAL, &open), &[], Err(Refusal::HostMissing));
    let twice = [("host", "localhost"), ("host", "localhost")];
    check((LOCAL, &open), &twice, Err(Refusal::HostForeign));
}

#[test]
fn a_page_of_another_origin_is_refused() {
    let (open, host) = (open(), ("host", "127.0.0.1:9900"));
    for origin in [
        "http://evil.example",
        "null",
        "http://127.0.0.1:9901",
        "http://localhost:9900",
    ] {
        check(
            (LOCAL, &open),
            &[host, ("origin", origin)],
            Err(Refusal::OriginForeign),
        );
    }
    let own = ("origin", "http://127.0.0.1:9900");
    check((LOCAL, &open), &[host, own], Ok("user:local *"));
}

#[test]
fn a_configured_token_is_asked_for_everywhere() {
    let host = ("host", "127.0.0.1:9900");
    let named = with_named(open(), "ci", &["operator"], "s3cret");
    for (config, actor) in [
        (with_token(), "token:admin admin"),
        (named, "token:ci operator"),
    ] {
        for bound in [LOCAL, EVERYWHERE] {
            let check = |fields: &[_], expected| check((bound, &config), fields, expected);
            check(&[host], Err(Refusal::TokenMissing));
            for wrong in ["Bearer s3cre", "Bearer s3cret2", "bearer  "] {
                let sent = [host, ("authorization", wrong)];
                check(&sent, Err(Refusal::TokenWrong));
            }
            let other_scheme = [host, ("authorization", "Basic s3cret")];
            check(&other_scheme, Err(Refusal::TokenMissing));
            check(&[host, ("authorization", "bearer s3cret")], Ok(actor));
        }
    }
}

#[test]
fn each_token_is_an_actor_of_its_own() {
    let config = with_named(with_token(), "ana", &["approver", "sre"], "anas-secret");
    let config = with_named(config, "zoe", &["viewer"], "zoes-secret");
    for (sent, actor) in [
        ("Bearer s3cret", "token:admin admin"),
        ("Bearer anas-secret", "token:ana approver, sre"),
        ("Bearer zoes-secret", "token:zoe viewer"),
    ] {
        let fields = [("host", "proxy.internal"), ("authorization", sent)];
        check((EVERYWHERE, &config), &fields, Ok(actor));
    }
    let fields = [("authorization", "Bearer anas-secret")];
    let actor = admit((LOCAL, &config), Needs::Nothing, &fields, SystemTime::now()).unwrap();
    assert_eq!((actor.kind, actor.id.as_str()), (Kind::Token, "ana"));
}

#[test]
fn a_token_is_valid_until_it_expires() {
    let mut config = with_named(open(), "ana", &["viewer"], "anas-secret");
    let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    config.tokens.get_mut("ana").unwrap().expires = Some(expires);
    let fields = [("authorization", "Bearer anas-secret")];
    let at = |now| {
        let admitted = admit((LOCAL, &config), Needs::May(Permission::View), &fields, now);
        admitted.map(|actor| actor.id)
    };
    assert_eq!(at(expires - Duration::from_nanos(1)), Ok("ana".to_owned()));
    assert_eq!(at(expires), Err(Refusal::TokenExpired));
}

#[test]
fn off_loopback_nobody_gets_in_without_a_token() {
    check(
        (EVERYWHERE, &open()),
        &[("host", "10.1.2.3:9900")],
        Err(Refusal::TokenUnset),
    );
}

#[test]
fn a_probe_needs_neither_host_nor_token() {
    let config = with_token();
    let asked = admit(
        (EVERYWHERE, &config),
        Needs::Nothing,
        &[],
        SystemTime::now(),
    );
    assert_eq!(asked, Ok(Actor::local()));
    let wrong = [("authorization", "Bearer other")];
    let asked = admit(
        (EVERYWHERE, &config),
        Needs::Nothing,
        &wrong,
        SystemTime::now(),
    );
    assert_eq!(asked, Err(Refusal::TokenWrong));
}
