//! What the help and the manual say of the program as a whole: exit codes and environment.

use std::fmt::Write;

/// The exit codes, with what they mean.
pub(in crate::cli) const EXIT_CODES: [(u8, &str); 6] = [
    (0, "done; also when the reader of a pipe had read enough"),
    (1, "refused or failed, or the verdict is \"no\""),
    (2, "used in a wrong way"),
    (3, "done, but for what conflicts with a release"),
    (4, "timed out waiting"),
    (
        5,
        "the release that was waited for was aborted or rolled back",
    ),
];

/// The environment variables, with what they are for.
pub(in crate::cli) const ENVIRONMENT: [(&str, &str); 9] = [
    ("TIDEGATE_CONFIG", "the configuration, where none is named"),
    ("TIDEGATE_ADMIN", "the admin API of the instance to ask"),
    ("TIDEGATE_TOKEN", "its token"),
    ("TIDEGATE_TOKEN_FILE", "a file with its token"),
    (
        "TIDEGATE_LOG",
        "what `run` logs: info, debug, info,tidegate::control=debug",
    ),
    ("TIDEGATE_LOG_FORMAT", "how `run` logs: text or json"),
    ("NO_COLOR", "no colours, if it is not empty"),
    ("CLICOLOR_FORCE", "colours also where there is no terminal"),
    (
        "TERM",
        "`dumb` or nothing: no colours, nothing redrawn in place",
    ),
];

/// The files that are looked for, with what they are.
pub(in crate::cli) const FILES: [(&str, &str); 2] = [
    ("./tidegate.toml", "the configuration, where none is named"),
    ("/etc/tidegate/tidegate.toml", "the same, where that is not"),
];

/// What stands below the help of the program.
pub(in crate::cli) fn after_help() -> String {
    let mut text = String::from("Exit codes:\n");
    for (code, meaning) in EXIT_CODES {
        // Writing to a string cannot fail.
        let _written = writeln!(text, "  {code}  {meaning}");
    }
    text.push_str("\nEnvironment:\n");
    for (name, purpose) in ENVIRONMENT {
        let _written = writeln!(text, "  {name:<20} {purpose}");
    }
    text.push_str(
        "\nWith --json, standard output holds one JSON document, also for what went wrong:\n\
         {\"error\": \"...\", \"problems\": [{file, line, column, key, message}]}",
    );
    text
}
