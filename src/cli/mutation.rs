//! What every change by the admin API comes with: why, for which ticket, of which revision.
//!
//! Which changes need a reason is the instance's to say: where it does and somebody sits at a
//! terminal, they are asked for it.

use std::io::{BufRead, IsTerminal, Write};

use clap::Args;
use http::Method;
use serde_json::{Map, Value};

use crate::cli::block_on;
use crate::cli::client::{Answer, Client, Instance, Question, Reason};
use crate::cli::output::Failure;

/// The code of a refusal for want of a reason.
const REASON_MISSING: &str = "reason_missing";

/// A change of a running instance.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct Mutation {
    #[command(flatten)]
    pub(in crate::cli) instance: Instance,
    #[command(flatten)]
    reason: Reason,
    /// The ticket that it belongs to; it is kept with the reason.
    #[arg(long, value_name = "TICKET")]
    ticket: Option<String>,
    /// Only if its revision is this still; `--json` shows it.
    #[arg(long, value_name = "REVISION")]
    if_match: Option<u64>,
    /// Print the answer of the API as it is.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl Mutation {
    /// Asks for it, with these members besides; a reason that is missing is asked for.
    pub(in crate::cli) fn send(
        &self,
        method: &Method,
        path: &str,
        members: &Map<String, Value>,
    ) -> Result<Answer, Failure> {
        let client = Client::new(&self.instance)?;
        let ask = |reason: Option<&str>| {
            let body = self.body(members, reason);
            let question = Question::new(method.clone(), path).with(&body)?;
            let question = question.if_revision(self.if_match);
            block_on(client.send(&question))
        };
        let mut answer = ask(self.reason.reason.as_deref())?;
        let problem = answer.problem().filter(|_| !answer.status.is_success());
        if problem.is_some_and(|problem| problem.code == REASON_MISSING) {
            let Some(reason) = ask_why()? else {
                let why = "this is not done without a reason: --reason TEXT";
                return Err(Failure::Usage(why.to_owned()));
            };
            answer = ask(Some(&reason))?;
        }
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(answer.failure())
        }
    }

    fn body(&self, members: &Map<String, Value>, reason: Option<&str>) -> Map<String, Value> {
        let mut body = members.clone();
        for (name, text) in [("reason", reason), ("ticket", self.ticket.as_deref())] {
            if let Some(text) = text {
                body.insert(name.to_owned(), text.into());
            }
        }
        body
    }
}

/// Asks for a reason on the terminal; nothing where there is none, or nobody who answers.
fn ask_why() -> Result<Option<String>, Failure> {
    let stdin = std::io::stdin();
    let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
    // What is printed may be meant for a file, and what is complained of hardly ever is.
    let mut shown: Box<dyn Write> = match (stderr.is_terminal(), stdout.is_terminal()) {
        (true, _) => Box::new(stderr),
        (false, true) => Box::new(stdout),
        (false, false) => return Ok(None),
    };
    if !stdin.is_terminal() {
        return Ok(None);
    }
    write!(shown, "Why? ")?;
    shown.flush()?;
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    let reason = line.trim();
    Ok((!reason.is_empty()).then(|| reason.to_owned()))
}

/// Members of a body.
pub(in crate::cli) fn members<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    let present = members.into_iter().filter(|(_, value)| !value.is_null());
    present
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
