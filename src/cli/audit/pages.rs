//! Reads the audit trail by the admin API, page by page.

use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use crate::admin::wire::Audit;
use crate::cli::client::{Client, encode};
use crate::cli::moment::time_of_day;
use crate::cli::output::Failure;
use crate::cli::signals::Ends;
use crate::store::instant;
use crate::store::{ActorKind, Record};

/// The most records that one answer has.
const MOST: u64 = 1000;
/// How often it is looked for more.
const LOOK: Duration = Duration::from_secs(1);

/// Which records.
#[derive(Args, Clone, Debug, Default)]
pub(in crate::cli) struct Which {
    /// Of objects of a kind, or of one: release, or release:shop-2.0.0.
    #[arg(long, value_name = "KIND[:NAME]")]
    pub(in crate::cli) object: Option<String>,
    /// Of one actor.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) actor: Option<String>,
    /// Of actions that begin so: release.gate.
    #[arg(long, value_name = "ACTION")]
    pub(in crate::cli) action: Option<String>,
}

/// The trail of an instance.
pub(in crate::cli) struct Pages<'a> {
    client: &'a Client,
    which: Which,
}

impl<'a> Pages<'a> {
    /// Those records of an instance.
    pub(in crate::cli) fn new(client: &'a Client, which: Which) -> Self {
        Self { client, which }
    }

    /// The last so many, the oldest of them first; and the number of the last one that there is of
    /// any kind.
    pub(in crate::cli) async fn last(&self, n: u64) -> Result<(Vec<Record>, u64), Failure> {
        let page = format!("order=newest&limit={}", n.clamp(1, MOST));
        let mut audit = self.ask(&page).await?;
        audit.records.reverse();
        if n == 0 {
            audit.records.clear();
        }
        Ok((audit.records, audit.head))
    }

    /// A page from a record on, or from a moment on, and up to another; the oldest first.
    pub(in crate::cli) async fn from(
        &self,
        since: &str,
        until: Option<&str>,
    ) -> Result<Audit, Failure> {
        let until = until.map_or(String::new(), |until| format!("&until={}", encode(until)));
        let page = format!("since={}{until}&limit={MOST}", encode(since));
        self.ask(&page).await
    }

    /// Shows the last so many, and then those to come, until something ends the command.
    pub(in crate::cli) async fn follow(
        &self,
        n: u64,
        show: impl Fn(&[Record]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut ends = Ends::new(None)?;
        let (records, head) = self.last(n).await?;
        show(&records)?;
        let mut next = head + 1;
        loop {
            tokio::select! {
                () = ends.come() => return Ok(()),
                () = sleep(LOOK) => {}
            }
            let page = self.from(&next.to_string(), None).await?;
            show(&page.records)?;
            let last = page.records.last().map(|record| record.seq + 1);
            // What is left out of a full page comes with the next one.
            next = page.next.or(last).unwrap_or(next).max(next);
        }
    }

    async fn ask(&self, page: &str) -> Result<Audit, Failure> {
        let mut path = format!("/api/v1/audit?{page}");
        for (name, value) in [
            ("object", &self.which.object),
            ("actor", &self.which.actor),
            ("action", &self.which.action),
        ] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", encode(value)));
            }
        }
        self.client.get(&path).await?.value()
    }
}

/// A record in a line: number, time, who, what, to what, why.
pub(in crate::cli) fn row(record: &Record) -> [String; 6] {
    let at = instant::text(record.at);
    [
        record.seq.to_string(),
        time_of_day(&at).to_owned(),
        who(record),
        record.action.clone(),
        record.object.id.clone(),
        record.reason.clone().unwrap_or_default(),
    ]
}

/// Who did it: of a file, whose name is its hash, the beginning of that.
fn who(record: &Record) -> String {
    let id = &record.actor.id;
    match record.actor.kind {
        ActorKind::File => format!("file {}", id.get(..8).unwrap_or(id)),
        ActorKind::User
        | ActorKind::Token
        | ActorKind::Controller
        | ActorKind::System
        | ActorKind::Local => id.clone(),
    }
}
