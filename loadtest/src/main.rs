//! The load test's two ends: `origin` answers as fast as it can, `drive` asks and checks.
//!
//! Both are one thread over one epoll, so that on a machine with few cores they take little from
//! the proxy that is measured. What they print is JSON, read by `loadtest/run`.

mod arguments;
mod counts;
mod drive;
mod head;
mod histogram;
mod origin;
mod reply;
mod tally;
mod wire;

use arguments::Arguments;
use std::process::ExitCode;

const USAGE: &str = "\
tidegate-load origin --group NAME=ADDRESS [--group …]
    answers GET /N and POST /N with N bytes and the field `x-group: NAME`;
    /_counts and /_timeline tell what was answered
tidegate-load drive --address ADDRESS [--mode closed|open|churn] [--connections N]
    [--seconds S] [--size N] [--post N] [--rate N] [--host NAME] [--header 'NAME: VALUE' …]
    asks for /SIZE, checks status and length, counts groups; prints JSON";

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
