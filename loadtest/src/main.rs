//! The load test's two ends: `origin` answers as fast as it can, `drive` asks and checks.
//!
//! Both are one thread over one epoll, so that on a machine with few cores they take little from
//! the proxy that is measured. What they print is JSON, read by `loadtest/run`.

mod arguments;
mod counts;
mod drive;
mod fields;
mod head;
mod histogram;
mod origin;
mod reply;
mod requests;
mod tally;
mod wire;

use arguments::Arguments;
use std::process::ExitCode;

const USAGE: &str = "\
tidegate-load origin --group NAME=ADDRESS [--group …] [--count-field NAME …]
    answers GET and POST of any path that ends with /N with N bytes and the field `x-group: NAME`;
    /_counts, /_timeline and /_fields tell what was answered, and how many requests had a field
tidegate-load drive --address ADDRESS [--mode closed|open|churn] [--connections N]
    [--seconds S] [--size N] [--post N] [--rate N] [--host NAME] [--header 'NAME: VALUE' …]
    [--requests FILE] [--count-field NAME …]
    asks for /SIZE, or for what the lines of FILE name (host, path and fields, with tabs between
    them) in turns; checks status and length, counts groups and fields; prints JSON";

fn main() -> ExitCode {
    let mut given = std::env::args().skip(1);
    let command = given.next().unwrap_or_default();
    let outcome = Arguments::read(given).and_then(|arguments| match command.as_str() {
        "origin" => origin::run(&arguments),
        "drive" => drive::run(&arguments),
        _ => Err(USAGE.to_owned()),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}
