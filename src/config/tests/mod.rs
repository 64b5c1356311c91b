//! What is read and what is refused, to the letter.

mod certificates;
mod defaults;
mod direct;
mod environment;
mod examples;
mod files;
mod flag_releases;
mod flags;
mod flags_refused;
mod guard;
mod health;
mod include;
mod messages;
mod mirror;
mod ofrep;
mod overload;
mod pins;
mod proxy_protocol;
mod releases;
mod releases_refused;
mod routes;
mod schema;
mod secrets;
mod segments;
mod strategies;
mod strategies_refused;
mod syntax;
mod tls;
mod tokens;
mod treatment;
mod tunnels;
mod unix;
mod warnings;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use crate::config::Config;
use crate::config::load::{Checked, check};
use crate::config::reader::Disk;

/// A listener and an upstream, so that a test need only write what it is about.
const BASE: &str = "\n[listener.base]\naddress = \"127.0.0.1:80\"\n\
                    [upstream.base]\nendpoints = [\"127.0.0.1:9000\"]\n";

/// Reads a text without looking for the files that it names. What is good is good by the schema, too.
#[track_caller]
fn read(text: &str) -> Result<Config, String> {
    let config = checked(text)
        .config
        .map_err(|problems| problems.to_string())?;
    schema::allows(text);
    Ok(config)
}

/// Checks a text without looking for the files that it names; `A` in the environment is `one`, and
/// `EMPTY` is nothing.
fn checked(text: &str) -> Checked {
    let variable = |name: &str| match name {
        "A" => Some(OsString::from("one")),
        "NUMBER" => Some(OsString::from("17")),
        "EMPTY" => Some(OsString::new()),
        "BYTES" => Some(OsString::from_vec(vec![0xff])),
        _ => None,
    };
    check(
        text.as_bytes().to_vec(),
        Path::new("/etc/tidegate/t.toml"),
        Disk::Ignore,
        &variable,
        |_| {},
    )
}

/// The configuration that a text and [`BASE`] make.
#[track_caller]
pub(in crate::config) fn config(text: &str) -> Config {
    read(&format!("{text}{BASE}")).unwrap()
}

/// Checks what is said of a text with [`BASE`] behind it: a line for each problem, without the file.
#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    let problems = read(&format!("{text}{BASE}")).unwrap_err();
    let said: Vec<&str> = problems
        .lines()
        .map(|line| line.strip_prefix("/etc/tidegate/t.toml:").unwrap())
        .collect();
    assert_eq!(said, expected, "{text}");
}
