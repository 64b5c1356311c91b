//! Releases that roll a flag out are judged by the requests of the route that serves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::ask;
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

/// The service behind the route, which has the old code and the new.
struct Shop {
    origin: Origin,
    /// Makes the new code fail.
    is_bad: Arc<AtomicBool>,
}

/// A service that does what the flag says it is to do.
async fn shop() -> Shop {
    let is_bad = Arc::new(AtomicBool::new(false));
    let bad = Arc::clone(&is_bad);
    let origin = origin::serving(move |mut conversation| {
        let bad = Arc::clone(&bad);
        async move {
            while let Some(request) = conversation.request().await {
                let is_new = request.field("x-flag-new-search") == Some("on");
                if is_new && bad.load(Ordering::Relaxed) {
                    let broken = "HTTP/1.1 500 Broken\r\ncontent-length: 3\r\n\r\nbad";
                    conversation.send(broken).await;
                } else {
                    conversation
                        .ok(if is_new { "new" } else { "old" }.as_bytes())
                        .await;
                }
            }
        }
    });
    Shop {
        origin: origin.await,
        is_bad,
    }
}

const FLAG: &str = r#"
[flags]
context = { targetingKey = "header:u" }

[segment.staff]
all = [{ attr = "header:x-staff", op = "exists" }]

[flag.new-search]
type = "boolean"
rules = [{ name = "staff", segment = "staff", serve = "on" }]
inject = { header = "x-flag-new-search", routes = ["shop"] }

[strategy.quick]
steps = [
  { weight = 50, for = "2s", require = "no-regression" },
  { weight = 100, bake = "1s" },
]
[strategy.quick.analysis]
interval = "1s"
warmup = "0s"
[strategy.quick.check.errors]
kind = "error_rate"
bad = ["5xx"]
pass_abs = 0.1
"#;

const RELEASE: &str = r#"
[release.new-search-1]
flag = "new-search"
stable = "off"
candidate = "on"
strategy = "quick"
"#;

fn config(shop: &Shop, release: &str) -> Config {
    config::new()
        .upstream("shop", &[shop.origin.address])
        .route("shop", "upstream = \"shop\"")
        .section(FLAG)
        .section(release)
}

/// Users who ask all the time.
fn users(proxy: &Proxy) -> (JoinSet<()>, Arc<AtomicU64>) {
    let mut users = JoinSet::new();
    let n_bad = Arc::new(AtomicU64::new(0));
    for worker in 0..4 {
        let (address, n_bad) = (proxy.http(), Arc::clone(&n_bad));
        users.spawn(async move {
            let mut client = client::connect(address).await;
            for n in (worker..).step_by(4) {
                let user = (n % 1000_u32).to_string();
                let answer = client.ask(&ask::get("/").field("u", user)).await;
                n_bad.fetch_add(u64::from(answer.status != 200), Ordering::Relaxed);
            }
        });
    }
    (users, n_bad)
}

async fn release(proxy: &Proxy) -> Value {
    proxy
        .get_admin("/api/v1/releases/new-search-1")
        .await
        .json()
}

async fn comes_to(proxy: &Proxy, phase: &str) {
    wait::until(&format!("the release is {phase}"), async || {
        release(proxy).await["phase"] == phase
    })
    .await;
}

/// How many of a hundred users have the new search.
async fn with_it(proxy: &Proxy) -> usize {
    let mut client = proxy.connect().await;
    let mut n = 0;
    for user in 5000..5100_u32 {
        let ask = ask::get("/").field("u", user.to_string());
        n += usize::from(client.ask(&ask).await.text() == "new");
    }
    n
}

#[tokio::test]
async fn a_flag_whose_users_fare_worse_is_taken_back_and_those_of_a_rule_keep_it() {
    let shop = shop().await;
    let proxy = proxy::start(&config(&shop, RELEASE)).await;
    let (mut users, n_bad) = users(&proxy);
    wait::until("half of the users have it", async || {
        (20..=80).contains(&with_it(&proxy).await)
    })
    .await;
    shop.is_bad.store(true, Ordering::Relaxed);
    comes_to(&proxy, "aborted").await;
    // It is obeyed before it is told.
    users.shutdown().await;
    assert!(0 < n_bad.load(Ordering::Relaxed));
    shop.is_bad.store(false, Ordering::Relaxed);
    assert_eq!(with_it(&proxy).await, 0);
    let why = release(&proxy).await;
    let cause = why["cause"].as_str().expect("why");
    assert!(cause.contains("errors"), "{cause}");
    let staff = proxy.ask(&ask::get("/").field("x-staff", "1")).await;
    assert_eq!(staff.text(), "new");
}
