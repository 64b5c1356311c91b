//! `tidegate release ls`: one line for each release.

use std::io::Write;

use clap::Args;

use crate::admin::wire::{ReleaseRow, Releases};
use crate::cli::block_on;
use crate::cli::client::{Client, Instance, encode};
use crate::cli::moment::distance_from_now;
use crate::cli::output::{Failure, table};
use crate::cli::steps::progress;

/// List releases.
#[derive(Args, Debug)]
pub(in crate::cli::release) struct Ls {
    /// Only those of a phase, or `active` or `ended`; several with commas.
    #[arg(long, value_name = "PHASE")]
    state: Option<String>,
    /// Only those of a route.
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    #[command(flatten)]
    instance: Instance,
    /// Print the answer of the API as it is.
    #[arg(long)]
    pub(in crate::cli::release) json: bool,
}

impl Ls {
    pub(in crate::cli::release) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let asked = [("state", &self.state), ("route", &self.route)];
        let asked = asked.iter().filter_map(|(name, value)| {
            let value = value.as_ref()?;
            Some(format!("{name}={}", encode(value)))
        });
        let query = asked.collect::<Vec<_>>().join("&");
        let answer = block_on(client.get(&format!("/api/v1/releases?{query}")))?;
        let releases: Releases = answer.value()?;
        if self.json {
            return answer.copy(out);
        }
        print(out, &releases.releases)
    }
}

fn print(out: &mut dyn Write, releases: &[ReleaseRow]) -> Result<(), Failure> {
    let header = [
        "RELEASE",
        "ROUTE",
        "PHASE",
        "STEPS",
        "VERDICT",
        "AGE",
        "WAITS FOR",
    ];
    let rows: Vec<_> = releases.iter().map(row).collect();
    table(out, &header, &[5], &rows)
}

fn row(release: &ReleaseRow) -> Vec<String> {
    let holds = release.holds.iter().map(|hold| hold.reason.as_str());
    vec![
        release.id.clone(),
        release.route.clone(),
        release.phase.clone(),
        progress(release),
        release.verdict.clone().unwrap_or_default(),
        distance_from_now(&release.created_at),
        holds.collect::<Vec<_>>().join(", "),
    ]
}

#[cfg(test)]
mod tests {
    use crate::cli::release::list::print;
    use crate::cli::release::show::tests::release;

    #[test]
    fn a_release_is_a_row_with_its_steps_and_what_it_waits_for() {
        let mut out = Vec::new();
        print(&mut out, &[release().row]).unwrap();
        let text = String::from_utf8(out).unwrap();
        let line = text.lines().nth(1).unwrap();
        for part in [
            "shop-2.0.0",
            "progressing",
            "[##--] 2/4 5 %",
            "approval:sre",
        ] {
            assert!(line.contains(part), "{part}: {text}");
        }
    }
}
