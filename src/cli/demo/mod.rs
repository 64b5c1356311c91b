//! `tidegate demo`: the first minutes of a new user. They need nothing but this program.
//!
//! Two little upstreams and some clients live in this process; the proxy is a child: the same
//! executable, run as anyone would run it, with a file of its own. What the view shows of requests is
//! what the clients saw, not what the proxy says of itself.

mod figures;
mod load;
mod origin;
mod proxy;
mod release;
mod tally;
mod weights;

use std::time::Duration;

use clap::Args;

use crate::cli::block_on;
use crate::cli::output::{Failure, Ink};
use crate::cli::signals::Ends;

/// How often the view is drawn on a terminal.
const FRAME_TIME: Duration = Duration::from_millis(250);
/// How often a line is printed elsewhere.
const LINE_TIME: Duration = Duration::from_secs(1);

/// See it work: a release on two little upstreams with real traffic.
#[derive(Args, Debug)]
#[command(after_help = "\
The candidate gets 1 %, 5 %, 25 %, 50 % and then all of the traffic, each step only when the numbers
allow it; a gate on the way is approved by the demo, if you do not do it first. The audit trail is
shown at the end. Exit code 0: it went as announced, and no request was lost by a move.")]
pub(in crate::cli) struct Demo {
    /// Let the candidate turn bad at 25 %: it fails 5 % of its requests, and is rolled back.
    #[arg(long, conflicts_with = "weights")]
    bad: bool,
    /// Show weights alone, without a release: 95/5 and 50/50 in turns, until Ctrl-C.
    #[arg(long)]
    weights: bool,
    /// Stay after the end of the release, until Ctrl-C, so that you can look around.
    #[arg(long, conflicts_with = "weights")]
    stay: bool,
    /// End after so many seconds, whatever goes on; Ctrl-C does that, too.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Requests per second.
    #[arg(long, value_name = "N", default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
}

impl Demo {
    pub(in crate::cli) fn run(self, ink: Ink) -> Result<(), Failure> {
        block_on(async {
            let ends = Ends::new(self.seconds.map(Duration::from_secs))?;
            if self.weights {
                return weights::play(self.rate, ends, ink).await;
            }
            let plan = release::Plan {
                turns_bad: self.bad,
                stays: self.stay,
                rate: self.rate,
            };
            release::play(&plan, ends, ink).await
        })
    }
}
