//! An instance with a release, asked by the command line.

use serde_json::Value;

use crate::support::command::{self, Output};
use crate::support::config::Config;
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

/// A release that somebody has to start, and that then stays in its first step.
pub(crate) const SLOW: &str = r#"
[release.shop-2]
route = "shop"
stable = "stable"
candidate = "canary"
start = "manual"
strategy = "slow"
[strategy.slow]
analysis = false
steps = [
  { weight = 10, for = "1h", gate = "sre" },
  { weight = 50, for = "1h" },
  { weight = 100, bake = "1h" },
]
[gate.sre]
roles = ["operator"]
"#;

/// A proxy with a release, and a way to ask it.
pub(crate) struct Instance {
    /// What it stands before.
    pub(crate) pair: Pair,
    /// It.
    pub(crate) proxy: Proxy,
    /// The URL of its admin API.
    pub(crate) admin: String,
}

impl Instance {
    /// Starts it, with these sections in its configuration.
    pub(crate) async fn start(sections: &str) -> Self {
        let pair = Pair::start().await;
        let proxy = proxy::start(&config(&pair, [100, 0], sections)).await;
        let admin = proxy.admin_url();
        Self { pair, proxy, admin }
    }

    /// Runs a command, asking this instance.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let arguments = [arguments, &["--admin", &self.admin]].concat();
        command::run(&arguments).await
    }

    /// What a command printed that had to succeed.
    #[track_caller]
    pub(crate) fn done(output: &Output) -> &str {
        assert_eq!(output.code, 0, "{output:?}");
        &output.stdout
    }

    /// Runs a command that has to succeed and to print JSON.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat()).await;
        let text = Self::done(&output);
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// Waits until the candidate has such a share, in percent, by the decision of a release.
    pub(crate) async fn is_at(&self, percent: f64) {
        wait::until("the step", async || {
            let release = self.json(&["release", "get", "shop-2"]).await;
            let weight = release["weight_percent"].as_f64();
            weight.is_some_and(|weight| (weight - percent).abs() < 1e-9)
        })
        .await;
    }
}

/// The configuration of two variants, and these sections.
pub(crate) fn config(pair: &Pair, weights: [u32; 2], sections: &str) -> Config {
    pair.split(weights, "").section(sections)
}
