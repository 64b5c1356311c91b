//! What people decide about releases by the command line, each with a token of their own.

use serde_json::Value;

use crate::support::command::{self, Output};
use crate::support::instance::{Instance, SLOW, config};
use crate::support::proxy;
use crate::support::staff::{secret, token};
use crate::support::wait;

/// Otto operates, Zoe approves, Sven is of the group that the gate asks, Rita may pass gates, and so may
/// Maja.
fn staff() -> String {
    [
        token("otto", &["operator"]),
        token("zoe", &["approver"]),
        token("sven", &["sre"]),
        token("rita", &["release-manager"]),
        token("maja", &["release-manager"]),
    ]
    .concat()
}

/// A release at a gate after its first step, or nearly so.
fn gated() -> String {
    SLOW.replacen("1h", "1s", 1)
        .replace("roles = [\"operator\"]", "roles = [\"sre\"]")
        + &staff()
}

struct Team(Instance);

impl Team {
    async fn start(sections: &str) -> Self {
        Self(Instance::start(sections).await)
    }

    /// Runs a command by the token of somebody.
    async fn run(&self, name: &str, arguments: &[&str]) -> Output {
        let arguments = [arguments, &["--admin", &self.0.admin]].concat();
        command::run_with(&arguments, |command| {
            command.env("TIDEGATE_TOKEN", secret(name));
        })
        .await
    }

    /// Has somebody do something about the release, with a reason.
    async fn done(&self, name: &str, arguments: &[&str]) -> String {
        let arguments = [arguments, &["--reason", "because"]].concat();
        let output = self.run(name, &arguments).await;
        assert_eq!(output.code, 0, "{output:?}");
        output.stdout
    }

    /// Has somebody try what is refused; what is told of that has these words.
    async fn refused(&self, name: &str, arguments: &[&str], words: &str) {
        let arguments = [arguments, &["--reason", "because"]].concat();
        let output = self.run(name, &arguments).await;
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains(words), "{words}: {output:?}");
    }

    /// Waits until what `get` shows has these words.
    async fn shows(&self, words: &str) {
        wait::until(words, async || {
            let shown = self.run("otto", &["release", "get", "shop-2"]).await;
            shown.stdout.contains(words)
        })
        .await;
    }

    /// Waits until the candidate is to have such a share.
    async fn is_at(&self, percent: f64) {
        wait::until("the step", async || {
            let shown = self
                .run("otto", &["release", "get", "shop-2", "--json"])
                .await;
            let release: Value = serde_json::from_str(&shown.stdout).expect("JSON");
            let weight = release["weight_percent"].as_f64();
            weight.is_some_and(|weight| (weight - percent).abs() < 1e-9)
        })
        .await;
    }

    /// Waits until the gate holds the release.
    async fn at_the_gate(&self) {
        self.done("otto", &["release", "start", "shop-2"]).await;
        self.shows("approval:sre").await;
    }
}

#[tokio::test]
async fn a_gate_is_approved_by_whom_it_asks() {
    let team = Team::start(&gated()).await;
    team.at_the_gate().await;
    let approve = ["gate", "approve", "shop-2", "sre"];
    team.refused("otto", &approve, "sre").await;
    let told = team.done("sven", &approve).await;
    assert!(told.starts_with("shop-2: "), "{told}");
    team.is_at(50.0).await;
}

#[tokio::test]
async fn a_no_at_a_gate_ends_the_release() {
    let team = Team::start(&gated()).await;
    team.at_the_gate().await;
    let told = team
        .done("sven", &["gate", "reject", "shop-2", "sre"])
        .await;
    assert!(told.starts_with("shop-2: aborted"), "{told}");
    team.shows("rejected by sven").await;
}

#[tokio::test]
async fn a_gate_is_passed_in_an_emergency_that_somebody_else_reviews() {
    let team = Team::start(&gated()).await;
    team.at_the_gate().await;
    let pass = ["gate", "pass", "shop-2", "sre"];
    team.refused("zoe", &pass, "release-manager").await;
    team.done("rita", &pass).await;
    team.is_at(50.0).await;
    team.shows("an emergency has to be looked at").await;
    let review = ["release", "review", "shop-2"];
    team.refused("rita", &review, "somebody else").await;
    team.done("maja", &review).await;
    let shown = team.run("otto", &["release", "get", "shop-2"]).await;
    assert!(
        !shown.stdout.contains("an emergency has to be looked at"),
        "{shown:?}"
    );
}

#[tokio::test]
async fn a_release_is_led_by_hand_and_taken_back_by_force() {
    let sections = SLOW
        .replace(", gate = \"sre\"", "")
        .replace("[gate.sre]\nroles = [\"operator\"]\n", "")
        .replace(
            "[strategy.slow]",
            "[strategy.slow]\nrollback_window = \"0s\"",
        );
    let team = Team::start(&(sections + &staff())).await;
    team.done("otto", &["release", "start", "shop-2"]).await;
    team.is_at(10.0).await;
    let told = team.done("otto", &["release", "skip", "shop-2"]).await;
    assert!(told.contains("2/3"), "{told}");
    let promote = ["release", "promote", "shop-2"];
    team.refused("otto", &promote, "approver").await;
    let told = team.done("zoe", &promote).await;
    assert!(told.contains("promoted"), "{told}");
    let rollback = ["release", "rollback", "shop-2"];
    team.refused("otto", &rollback, "window").await;
    let told = team
        .done("otto", &["release", "rollback", "shop-2", "--force"])
        .await;
    assert!(told.contains("rolled_back"), "{told}");
}

#[tokio::test]
async fn what_the_file_asks_for_is_accepted() {
    let sections = SLOW.to_owned() + &staff();
    let team = Team::start(&sections).await;
    team.done("otto", &["release", "start", "shop-2"]).await;
    team.is_at(10.0).await;
    let accept = ["release", "accept-file", "shop-2"];
    team.refused("otto", &accept, "file").await;
    let more = config(&team.0.pair, [50, 50], &sections);
    proxy::replace(&team.0.proxy.file(), more.text());
    team.shows("config_conflict").await;
    team.done("otto", &accept).await;
    wait::until("the end of the conflict", async || {
        team.run("otto", &["reload"]).await.code == 0
    })
    .await;
    team.is_at(10.0).await;
}
