//! The command line: what may be asked, and who answers it.
//!
//! Commands that concern a running instance speak its admin API like any other client. Exit codes:
//! 0 done, 1 refused or failed, 2 asked in a wrong way.

mod check;
mod client;
mod demo;
mod explain;
mod output;
mod status;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::app;
use crate::cli::output::Failure;

/// Where a configuration is looked for when none is named.
const DEFAULT_FILES: [&str; 2] = ["tidegate.toml", "/etc/tidegate/tidegate.toml"];

/// A traffic-splitting edge proxy: weights that change without touching a connection.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: SIGHUP reloads the configuration, SIGTERM drains and ends.
    Run(Run),
    /// Check a configuration as `run` would, and list everything that is wrong with it.
    #[command(alias = "validate")]
    Check(check::Check),
    /// Tell which route and variant a request would get, why, and when that would change.
    Explain(explain::Explain),
    /// Show what is live on a running instance.
    Status(status::Status),
    /// Make a running instance read its configuration again, and wait until it is live.
    Reload(status::Reload),
    /// Ask a running instance whether it is ready; exit 1 when it is not.
    Healthcheck(status::Healthcheck),
    /// See it work: proxy, two little upstreams and traffic, with weights that change as you watch.
    Demo(demo::Demo),
}

#[derive(Args, Debug)]
struct Run {
    #[command(flatten)]
    file: ConfigFile,
    /// Written once everything is bound and serving, with the addresses.
    #[arg(long, value_name = "PATH", hide = true)]
    ready_file: Option<PathBuf>,
}

/// The configuration to use.
#[derive(Args, Clone, Debug)]
struct ConfigFile {
    /// The configuration [default: ./tidegate.toml, else /etc/tidegate/tidegate.toml].
    #[arg(short, long, env = "TIDEGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// The file that was named, else the first of the usual ones that exists.
    fn path(self) -> Result<PathBuf, Failure> {
        default_file(self.config)
    }
}

fn default_file(named: Option<PathBuf>) -> Result<PathBuf, Failure> {
    named
        .or_else(|| {
            DEFAULT_FILES
                .map(PathBuf::from)
                .into_iter()
                .find(|path| path.exists())
        })
        .ok_or_else(|| {
            Failure::Usage(format!(
                "no configuration: name one with --config or TIDEGATE_CONFIG (looked for {})",
                DEFAULT_FILES.join(", ")
            ))
        })
}

/// Runs the command line of this process and gives its exit code.
pub fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let mut out = std::io::stdout().lock();
    let done = match command {
        Command::Run(run) => {
            drop(out);
            return serve(run).unwrap_or_else(Failure::report);
        }
        Command::Check(check) => check.run(&mut out),
        Command::Explain(explain) => explain.run(&mut out),
        Command::Status(status) => status.run(&mut out),
        Command::Reload(reload) => reload.run(&mut out),
        Command::Healthcheck(healthcheck) => healthcheck.run(&mut out),
        Command::Demo(demo) => {
            drop(out);
            return demo
                .run()
                .map_or_else(Failure::report, |()| ExitCode::SUCCESS);
        }
    };
    let flushed = done.and_then(|()| out.flush().map_err(Failure::from));
    flushed.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}

fn serve(run: Run) -> Result<ExitCode, Failure> {
    Ok(app::run(&app::Options {
        config: run.file.path()?,
        ready_file: run.ready_file,
    }))
}

/// Runs one short task to its end.
fn block_on<T>(task: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Refused(format!("cannot start: {error}")))?
        .block_on(task)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::cli::Arguments;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_version_is_the_packages() {
        let version = Arguments::command().render_version();
        assert_eq!(version, format!("tidegate {}\n", env!("CARGO_PKG_VERSION")));
    }
}
