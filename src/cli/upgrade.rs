//! `tidegate upgrade`: has a running instance replaced, and tells what came of it.

use std::io::Write;

use clap::Args;
use http::StatusCode;

use crate::admin::wire;
use crate::cli::block_on;
use crate::cli::client::{Client, Instance, Reason};
use crate::cli::output::Failure;

/// Replace the program of a running instance.
#[derive(Args, Debug)]
pub(in crate::cli) struct Upgrade {
    #[command(flatten)]
    instance: Instance,
    #[command(flatten)]
    reason: Reason,
    /// Print the answer of the API as it is.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl Upgrade {
    pub(in crate::cli) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let answer = block_on(client.post("/api/v1/upgrade", &self.reason.body()))?;
        if answer.status == StatusCode::UNPROCESSABLE_ENTITY
            && let Some(problem) = answer.problem()
        {
            let why = problem.detail;
            let what = format!("not upgraded, the old process serves on: {why}");
            return Err(Failure::Refused(what));
        }
        let upgraded: wire::Upgraded = answer.value()?;
        if self.json {
            return answer.copy(out);
        }
        let wire::Upgraded {
            pid,
            former_pid,
            took_ms,
        } = upgraded;
        writeln!(
            out,
            "upgraded: process {pid} serves (ready after {took_ms:.0} ms), process {former_pid} drains"
        )?;
        Ok(())
    }
}
