//! Pins: who was on a variant stays there, whatever the weights become.

use crate::support::ask::{self, Ask};
use crate::support::config::{self, Config};
use crate::support::message::Message;
use crate::support::origin;
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::secure;

const SECRET: &str = "secret = \"a-secret-of-instances\"";

fn pinned(pair: &Pair, weights: [u32; 2], more: &str) -> Config {
    pair.split(
        weights,
        &format!("sticky = {{ mode = \"pin\", {SECRET}{more} }}"),
    )
}

/// The pin that an answer sets, as `name=value`.
fn pin(answer: &Message) -> Option<&str> {
    answer.field("set-cookie")?.split("; ").next()
}

fn with(pin: &str) -> Ask {
    ask::get("/").field("cookie", format!("a=b; {pin}; c=d"))
}

/// A pin to the canary.
async fn pin_to_canary(proxy: &Proxy) -> String {
    let mut client = proxy.connect().await;
    for _ in 0..100 {
        let answer = client.get("/").await;
        if answer.text() == "canary" {
            return pin(&answer).expect("a pin").to_owned();
        }
    }
    panic!("nobody was drawn to the canary");
}

#[tokio::test]
async fn who_has_no_pin_is_drawn_and_gets_one_once() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pinned(&pair, [50, 50], "")).await;
    let mut client = proxy.connect().await;
    for _ in 0..20 {
        let first = client.get("/").await;
        let field = first.field("set-cookie").expect("a pin").to_owned();
        assert!(
            field.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
            "{field}"
        );
        let pin = field.split("; ").next().expect("a pair");
        assert!(pin.starts_with("tidegate_pin=1.1."), "{pin}");
        for hidden in ["stable", "canary", "127.0.0.1"] {
            assert!(!pin.contains(hidden), "{pin}");
        }
        let again = client.ask(&with(pin)).await;
        assert_eq!(
            (again.text(), again.field("set-cookie")),
            (first.text(), None)
        );
    }
    // The pin is between client and proxy.
    for received in [pair.stable.requests(), pair.canary.requests()].concat() {
        let cookie = received.field("cookie").unwrap_or("a=b; c=d");
        assert_eq!(cookie, "a=b; c=d");
    }
    proxy
        .counted("20 pins", |metrics| {
            let labels = [("route", "shop"), ("kind", "pin")];
            let by_pin = [("route", "shop"), ("selection", "pin")];
            metrics.sum("tidegate_sticky_cookies_set_total", &labels) == 20.0
                && metrics.sum("tidegate_selections_total", &by_pin) == 20.0
        })
        .await;
}

#[tokio::test]
async fn a_pin_holds_at_weight_0_and_over_reloads_until_its_variant_is_off() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pinned(&pair, [50, 50], "")).await;
    let pin_to_canary = pin_to_canary(&proxy).await;
    let mut client = proxy.connect().await;
    for weights in [[90, 10], [100, 0], [0, 100], [100, 0]] {
        proxy.reload(&pinned(&pair, weights, "")).await;
        let answer = client.ask(&with(&pin_to_canary)).await;
        assert_eq!((answer.text().as_str(), pin(&answer)), ("canary", None));
    }
    assert_eq!(client.get("/").await.text(), "stable");
    let drained = proxy.status().await["routes"]["shop"]["variants"]["canary"]["drained"].clone();
    assert_eq!(drained, false, "pinned clients may still come");
    let off = pinned(&pair, [100, 0], "").variant_keys("canary", "state = \"off\"");
    proxy.reload(&off).await;
    let answer = client.ask(&with(&pin_to_canary)).await;
    assert_eq!(answer.text(), "stable");
    let anew = pin(&answer).expect("a pin to where it is now").to_owned();
    assert_ne!(anew, pin_to_canary);
    let answer = client.ask(&with(&anew)).await;
    assert_eq!((answer.text().as_str(), pin(&answer)), ("stable", None));
    let variants = proxy.status().await["routes"]["shop"]["variants"].clone();
    assert_eq!(variants["canary"]["drained"], true);
}

#[tokio::test]
async fn a_new_epoch_or_secret_ends_all_pins() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pinned(&pair, [50, 50], "")).await;
    let pin_to_canary = pin_to_canary(&proxy).await;
    let other_secret = "sticky = { mode = \"pin\", secret = \"another-secret-of-all\" }";
    for config in [
        pinned(&pair, [100, 0], ", epoch = 2"),
        pair.split([100, 0], other_secret),
    ] {
        proxy.reload(&config).await;
        let answer = proxy.ask(&with(&pin_to_canary)).await;
        assert_eq!(answer.text(), "stable");
        assert!(pin(&answer).is_some_and(|anew| anew != pin_to_canary));
    }
    // And with the old ones they are back.
    proxy.reload(&pinned(&pair, [100, 0], "")).await;
    assert_eq!(proxy.ask(&with(&pin_to_canary)).await.text(), "canary");
}

#[tokio::test]
async fn instances_that_share_the_secret_share_the_pins() {
    let pair = Pair::start().await;
    let first = proxy::start(&pinned(&pair, [50, 50], "")).await;
    let second = proxy::start(&pinned(&pair, [100, 0], "")).await;
    let pin_to_canary = pin_to_canary(&first).await;
    assert_eq!(second.ask(&with(&pin_to_canary)).await.text(), "canary");
}

#[tokio::test]
async fn routes_of_one_salt_share_pins_and_other_routes_know_none_of_theirs() {
    let pair = Pair::start().await;
    let sticky = format!("sticky = {{ mode = \"pin\", {SECRET} }}");
    let weights = [("stable", 100), ("canary", 0)];
    let api = format!("match.path = \"/api\"\nsalt = \"s\"\n{sticky}");
    // It has the same host as the others, so it needs a cookie of its own.
    let other = sticky.replace("mode", "cookie.name = \"o\", mode");
    let config = pair
        .split([50, 50], &format!("salt = \"s\"\n{sticky}"))
        .split_route("api", &api, &weights)
        .split_route(
            "other",
            &format!("match.path = \"/other\"\n{other}"),
            &weights,
        );
    let proxy = proxy::start(&config).await;
    let pin_to_canary = pin_to_canary(&proxy).await;
    let at = |path: &str, pin: &str| ask::get(path).field("cookie", pin);
    let api = at("/api", &pin_to_canary);
    assert_eq!(proxy.ask(&api).await.text(), "canary");
    let other = at("/other", &pin_to_canary.replace("tidegate_pin", "o"));
    let answer = proxy.ask(&other).await;
    assert_eq!(answer.text(), "stable");
    assert!(pin(&answer).is_some_and(|pin| pin.starts_with("o=1.1.")));
}

#[tokio::test]
async fn a_forged_pin_is_as_good_as_none() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pinned(&pair, [100, 0], "")).await;
    let mut client = proxy.connect().await;
    for forged in [
        "",
        "canary",
        "1.1.canary",
        "1.1.00000000000000000000000000000000",
        "1.1.",
    ] {
        let answer = client.ask(&with(&format!("tidegate_pin={forged}"))).await;
        assert_eq!(answer.text(), "stable", "{forged}");
        assert!(pin(&answer).is_some(), "{forged}");
    }
}

#[tokio::test]
async fn while_a_variant_is_gone_another_serves_and_its_pins_are_kept() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pinned(&pair, [50, 50], "")).await;
    let pin_to_canary = pin_to_canary(&proxy).await;
    let Pair { stable, canary } = pair;
    let address = canary.address;
    canary.stop().await;
    let answer = proxy.ask(&with(&pin_to_canary)).await;
    assert_eq!((answer.text().as_str(), pin(&answer)), ("stable", None));
    // Who comes new meanwhile is pinned to who serves, not to who was to.
    let mut client = proxy.connect().await;
    let mut pins = Vec::new();
    for _ in 0..10 {
        let answer = client.get("/").await;
        assert_eq!(answer.text(), "stable");
        pins.push(pin(&answer).expect("a pin").to_owned());
    }
    assert!(
        pins.iter()
            .all(|pin| *pin == pins[0] && *pin != pin_to_canary)
    );
    let canary = origin::answering_at(address, "canary").await;
    crate::support::wait::until("the canary serves its own again", async || {
        proxy.ask(&with(&pin_to_canary)).await.text() == "canary"
    })
    .await;
    drop((stable, canary));
}

#[tokio::test]
async fn a_pin_has_the_name_and_age_that_are_configured() {
    let pair = Pair::start().await;
    let more = ", cookie = { name = \"shop_pin\" }, max_age = \"7d\"";
    let secure = secure::start(&pinned(&pair, [1, 0], more)).await;
    let answer = secure.http1().await.get("/").await;
    let field = answer.field("set-cookie").expect("a pin");
    assert!(field.starts_with("shop_pin=1.1."), "{field}");
    assert!(
        field.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=604800"),
        "{field}"
    );
}

#[tokio::test]
async fn an_answer_for_shared_caches_pins_nobody() {
    let origin = origin::raw(
        "HTTP/1.1 200 OK\r\ncache-control: public, max-age=60\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let keys = format!("sticky = {{ mode = \"pin\", {SECRET} }}");
    let proxy = proxy::start(&config::split(&keys, &[("one", 1, origin.address)])).await;
    assert_eq!(pin(&proxy.get("/").await), None);
}

#[tokio::test]
async fn who_has_a_key_is_hashed_and_then_pinned() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pinned(&pair, [50, 50], ", keys = [\"header:u\"]")).await;
    let plain = proxy::start(&pair.split([50, 50], "sticky = { keys = [\"header:u\"] }")).await;
    for user in 0..20 {
        let user = ask::get("/").field("u", user.to_string());
        let answer = proxy.ask(&user).await;
        assert_eq!(answer.text(), plain.ask(&user).await.text());
        assert!(pin(&answer).is_some());
    }
}

#[tokio::test]
async fn explain_tells_of_pins() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pinned(&pair, [50, 50], "")).await;
    let pin_to_canary = pin_to_canary(&proxy).await;
    proxy.reload(&pinned(&pair, [100, 0], "")).await;
    let explained = async |cookie: &str| {
        let path = format!("/api/v1/explain?url=/&header=cookie:{cookie}");
        proxy.get_admin(&path).await.json()
    };
    let by_pin = explained(&pin_to_canary).await;
    assert_eq!(by_pin["reason"], "pin");
    assert_eq!(by_pin["variant"], "canary");
    let note = |explained: &serde_json::Value| explained["notes"][0].to_string();
    assert!(
        note(&by_pin).contains("whatever the weights are"),
        "{by_pin}"
    );
    let none = explained("a=b").await;
    assert!(
        note(&none).contains("it has no pin: the response pins it"),
        "{none}"
    );
    let old = explained(&pin_to_canary.replacen("=1.1.", "=1.7.", 1)).await;
    assert!(note(&old).contains("of epoch 7, and now it is 1"), "{old}");
    let forged = explained("tidegate_pin=x").await;
    assert!(note(&forged).contains("is not valid"), "{forged}");
}
