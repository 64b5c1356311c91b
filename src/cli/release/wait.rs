//! `tidegate release wait`: one call that blocks until a release is where it is to be, for pipelines.

use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::time::{Instant, sleep, timeout_at};

use crate::admin::wire::{Release, ReleaseRow, Why};
use crate::cli::client::{Address, Client, duration};
use crate::cli::output::{Failure, json};
use crate::cli::release::{get, path};
use crate::cli::steps::progress;
use crate::cli::{block_on, printing};

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long one look may take: an instance that is being upgraded is asked again.
const ANSWER: Duration = Duration::from_secs(10);

/// Wait until a release is somewhere.
#[derive(Args, Debug)]
#[command(after_help = "\
Exit codes: 0 it is there; 5 it was aborted or rolled back, or has ended otherwise; 4 it is not there in
time, and why is printed.")]
pub(in crate::cli::release) struct Wait {
    /// The identity of the release.
    id: String,
    /// What to wait for.
    #[arg(
        long = "for",
        value_enum,
        value_name = "WHAT",
        default_value = "promoted"
    )]
    goal: Goal,
    /// How long to wait: 90s, 30m, 2h.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    timeout: Duration,
    #[command(flatten)]
    address: Address,
    /// Print the release at the end as JSON, and nothing before.
    #[arg(long)]
    pub(in crate::cli::release) json: bool,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Goal {
    /// That it has started.
    Started,
    /// That the candidate has everything.
    Baking,
    /// That it is promoted.
    Promoted,
    /// That it is over, however it ended.
    Ended,
}

/// What a look has come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Seen {
    There,
    /// It will not be there any more.
    Never,
    NotYet,
}

impl Goal {
    fn judge(self, row: &ReleaseRow) -> Seen {
        let has_started = row.phase != "pending";
        let is_reached = match self {
            Self::Started => has_started,
            Self::Baking => matches!(row.phase.as_str(), "baking" | "promoted"),
            Self::Promoted => row.phase == "promoted",
            Self::Ended => !row.is_active,
        };
        if self != Self::Ended && !row.is_active && row.phase != "promoted" {
            Seen::Never
        } else if is_reached {
            Seen::There
        } else {
            Seen::NotYet
        }
    }
}

impl Wait {
    pub(in crate::cli::release) fn run(self) -> Result<(), Failure> {
        let client = Client::of(&self.address, ANSWER.min(self.timeout))?;
        let (release, seen) = block_on(self.wait(&client))?;
        if self.json {
            printing(|out| json(out, &release))?;
        }
        let row = &release.row;
        let cause = row.cause.as_deref();
        let cause = cause.map_or(String::new(), |cause| format!(": {cause}"));
        match seen {
            Seen::There => Ok(()),
            Seen::Never if self.json => Err(Failure::Told(5)),
            Seen::Never => Err(Failure::Ended(format!(
                "{} is {}{cause}",
                row.id, row.phase
            ))),
            Seen::NotYet if self.json => Err(Failure::Told(4)),
            Seen::NotYet => {
                let why: Option<Why> = block_on(get(&client, &path(&self.id, "/why"))).ok();
                Err(Failure::TimedOut(not_yet(row, why.as_ref())))
            }
        }
    }

    async fn wait(&self, client: &Client) -> Result<(Release, Seen), Failure> {
        let until = Instant::now() + self.timeout;
        let path = path(&self.id, "");
        let mut told = String::new();
        let mut last: Option<Release> = None;
        loop {
            match timeout_at(until, client.get(&path)).await {
                // An answer that says no is one; one that does not come is waited for.
                Ok(Ok(answer)) => {
                    let release: Release = answer.value()?;
                    let place = place(&release.row);
                    if place != told && !self.json {
                        printing(|out| Ok(writeln!(out, "{place}")?))?;
                        told = place;
                    }
                    match self.goal.judge(&release.row) {
                        Seen::NotYet => last = Some(release),
                        seen => return Ok((release, seen)),
                    }
                }
                Ok(Err(failure)) if last.is_none() => return Err(failure),
                Ok(Err(_)) | Err(_) => {}
            }
            if timeout_at(until, sleep(LOOK)).await.is_err() {
                let late = || Failure::TimedOut(format!("{}: no answer in time", client.base()));
                return Ok((last.ok_or_else(late)?, Seen::NotYet));
            }
        }
    }
}

/// Where a release stands and what holds it, in a line.
fn place(row: &ReleaseRow) -> String {
    let holds: Vec<_> = row.holds.iter().map(|hold| hold.reason.as_str()).collect();
    let held = if holds.is_empty() {
        String::new()
    } else {
        format!(", waits for {}", holds.join(", "))
    };
    format!("{} {} {}{held}", row.id, row.phase, progress(row))
}

/// Why a release is not yet where it was to be.
fn not_yet(row: &ReleaseRow, why: Option<&Why>) -> String {
    let mut text = format!("{} is still {}", row.id, row.phase);
    if let Some(why) = why.filter(|_| row.holds.is_empty()) {
        text.push_str(&format!(": {}", why.text));
    }
    for hold in &row.holds {
        text.push_str(&format!(
            "\n  {}: {}; it ends when {} ({})",
            hold.reason, hold.detail, hold.clears_when, hold.who_may_clear
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::cli::release::show::tests::release;
    use crate::cli::release::wait::{Goal, Seen, not_yet, place};

    #[track_caller]
    fn check(goal: Goal, phase: &str, expected: Seen) {
        let mut row = release().row;
        phase.clone_into(&mut row.phase);
        row.is_active = ["pending", "progressing", "baking"].contains(&phase);
        assert_eq!(goal.judge(&row), expected, "{goal:?} {phase}");
    }

    #[test]
    fn a_goal_is_reached_or_never_will_be() {
        check(Goal::Promoted, "progressing", Seen::NotYet);
        check(Goal::Promoted, "promoted", Seen::There);
        for phase in ["aborted", "rolled_back", "superseded", "cancelled"] {
            check(Goal::Promoted, phase, Seen::Never);
            check(Goal::Started, phase, Seen::Never);
            check(Goal::Ended, phase, Seen::There);
        }
        check(Goal::Started, "pending", Seen::NotYet);
        check(Goal::Started, "progressing", Seen::There);
        check(Goal::Baking, "progressing", Seen::NotYet);
        check(Goal::Baking, "baking", Seen::There);
        check(Goal::Baking, "promoted", Seen::There);
        check(Goal::Ended, "baking", Seen::NotYet);
        check(Goal::Ended, "promoted", Seen::There);
    }

    #[test]
    fn what_is_waited_for_is_told_with_who_can_end_it() {
        let row = release().row;
        let line = place(&row);
        assert_eq!(
            line,
            "shop-2.0.0 progressing [##--] 2/4 5 %, waits for approval:sre"
        );
        let text = not_yet(&row, None);
        assert!(text.contains("the gate `sre` is open (sre)"), "{text}");
    }
}
