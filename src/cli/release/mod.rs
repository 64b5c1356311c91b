//! `tidegate release`: what releases there are, why they stand where they stand, and what people ask
//! of them.

mod analysis;
mod change;
mod list;
mod show;
mod start;
mod wait;
mod watch;

use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;

pub(in crate::cli) use crate::cli::release::change::tell;

use crate::cli::client::{Answer, Client, Instance, encode};
use crate::cli::output::{Failure, Ink};
use crate::cli::{block_on, printing};

/// Bring a change to everyone, step by step.
#[derive(Args, Debug)]
pub(in crate::cli) struct Release {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a release that waits for it, or make one of a file and start it.
    Start(start::Start),
    /// List releases: those that are not over first.
    Ls(list::Ls),
    /// Show where a release stands.
    Get(show::Get),
    /// Tell why a release does not move, what ends that, and who can.
    Why(show::AskWhy),
    /// Show what the analysis says, check by check, with its numbers.
    Analysis(analysis::Analysis),
    /// Print a release as a document: notes, procedure, rollback plan, approvals, timeline.
    Doc(show::Doc),
    /// Hold a release where it is.
    Pause(change::Change),
    /// Let a release go on that was paused, or is held for a decision.
    Resume(change::Change),
    /// Go to the next step without waiting for time or evidence; the analysis must not have failed.
    Skip(change::Change),
    /// Let the candidate win now, without the steps that are left.
    Promote(change::Change),
    /// Give stable everything back.
    Abort(change::Change),
    /// Give stable everything back after the promotion.
    Rollback(change::Rollback),
    /// Begin a release again that was aborted or rolled back.
    Retry(change::Change),
    /// Close the review of an emergency: a second person has looked at it.
    Review(change::Change),
    /// Take what the file asks for, where it conflicts with the release.
    AcceptFile(change::Change),
    /// Keep what runs, where the file asks for something else.
    Keep(change::Change),
    /// Wait until a release is promoted, or somewhere else.
    Wait(wait::Wait),
}

/// One release of a running instance.
#[derive(Args, Clone, Debug)]
struct One {
    /// The identity of the release.
    id: String,
    #[command(flatten)]
    instance: Instance,
    /// Print the answer of the API as it is.
    #[arg(long)]
    json: bool,
}

impl Release {
    /// Whether JSON was asked for.
    pub(in crate::cli) fn json(&self) -> bool {
        match &self.command {
            Command::Start(start) => start.json(),
            Command::Ls(ls) => ls.json,
            Command::Get(get) => get.json(),
            Command::Why(why) => why.json(),
            Command::Analysis(analysis) => analysis.json(),
            Command::Doc(doc) => doc.json(),
            Command::Pause(change)
            | Command::Resume(change)
            | Command::Skip(change)
            | Command::Promote(change)
            | Command::Abort(change)
            | Command::Retry(change)
            | Command::Review(change)
            | Command::AcceptFile(change)
            | Command::Keep(change) => change.json(),
            Command::Rollback(rollback) => rollback.json(),
            Command::Wait(wait) => wait.json,
        }
    }

    pub(in crate::cli) fn run(self, ink: Ink) -> Result<(), Failure> {
        match self.command {
            Command::Start(start) => printing(|out| start.run(out)),
            Command::Ls(ls) => printing(|out| ls.run(out)),
            Command::Get(get) => get.run(ink),
            Command::Why(why) => printing(|out| why.run(out)),
            Command::Analysis(analysis) => analysis.run(ink),
            Command::Doc(doc) => printing(|out| doc.run(out)),
            Command::Pause(change) => printing(|out| change.run(out, "pause")),
            Command::Resume(change) => printing(|out| change.run(out, "resume")),
            Command::Skip(change) => printing(|out| change.run(out, "skip")),
            Command::Promote(change) => printing(|out| change.run(out, "promote")),
            Command::Abort(change) => printing(|out| change.run(out, "abort")),
            Command::Rollback(rollback) => printing(|out| rollback.run(out)),
            Command::Retry(change) => printing(|out| change.run(out, "retry")),
            Command::Review(change) => printing(|out| change.run(out, "review")),
            Command::AcceptFile(change) => printing(|out| change.run(out, "accept-file")),
            Command::Keep(change) => printing(|out| change.run(out, "keep")),
            Command::Wait(wait) => wait.run(),
        }
    }
}

/// The path of a release in the API; `rest` begins with a slash, if there is any.
fn path(id: &str, rest: &str) -> String {
    format!("/api/v1/releases/{}{rest}", encode(id))
}

/// Asks for what a path names.
async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, Failure> {
    client.get(path).await?.value()
}

impl One {
    /// Asks for a part of it.
    fn get(&self, rest: &str) -> Result<Answer, Failure> {
        let client = Client::new(&self.instance)?;
        block_on(client.get(&path(&self.id, rest)))
    }
}
