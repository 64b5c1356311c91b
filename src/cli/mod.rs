//! The command line: what may be asked, and who answers it.
//!
//! Commands that concern a running instance speak its admin API like any other client. What they
//! print can be piped: nothing but text, JSON when it was asked for, and colours for terminals
//! alone. The exit codes stand in `about`.

mod about;
mod audit;
mod check;
mod client;
mod completions;
mod config;
mod demo;
mod dora;
mod drift;
mod events;
mod explain;
mod export;
mod flag;
mod freeze;
mod gate;
mod line;
mod man;
mod moment;
mod mutation;
mod output;
mod plan;
mod release;
mod screen;
mod signals;
mod status;
mod steps;
mod token;
mod top;
mod upgrade;
mod weights;

use std::ffi::OsString;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{
    Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, ValueHint,
};

use crate::app::{self, StandIn};
use crate::cli::output::{Failure, Ink};
use crate::telemetry::colour::Colour;

/// What the program is called.
const NAME: &str = "tidegate";

/// Where a configuration is looked for when none is named.
const DEFAULT_FILES: [&str; 2] = ["tidegate.toml", "/etc/tidegate/tidegate.toml"];

/// A traffic-splitting edge proxy: weights that change without touching a connection.
#[derive(Debug, Parser)]
#[command(name = NAME, version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// When to use colours: auto, always or never.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    color: When,
}

/// When to use colours, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum When {
    /// On terminals.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl From<When> for Colour {
    fn from(when: When) -> Self {
        match when {
            When::Auto => Self::Auto,
            When::Always => Self::Always,
            When::Never => Self::Never,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: SIGHUP reloads the configuration, SIGUSR2 upgrades, SIGTERM drains and ends.
    Run(Run),
    /// Check a configuration as `run` would, and list everything that is wrong with it.
    #[command(alias = "validate")]
    Check(check::Check),
    /// Show what would change if a configuration were loaded, and the share of users that would move.
    Plan(plan::Plan),
    /// Tell which route and variant a request would get, why, and when that would change.
    Explain(explain::Explain),
    /// Show what is live on a running instance.
    Status(status::Status),
    /// Watch how the variants of a running instance fare.
    Top(top::Top),
    /// Make a running instance read its configuration again, and wait until it is live.
    Reload(status::Reload),
    /// Replace the program of a running instance without losing a connection.
    Upgrade(upgrade::Upgrade),
    /// Bring a change to everyone, step by step, only while the numbers allow it.
    Release(release::Release),
    /// Show the gates that releases wait at, and say yes or no there.
    Gate(gate::Gate),
    /// Show, ask and change flags, and find those that should be gone.
    Flag(flag::Flag),
    /// Show when nothing moves, and let something through.
    Freeze(freeze::Freeze),
    /// Stop everything that moves forward, or let it go on.
    StopTheLine(line::Line),
    /// Show and set the weights of routes at run time.
    Weights(weights::Weights),
    /// Read the audit trail, and verify it.
    Audit(audit::Audit),
    /// Follow what releases tell others.
    Events(events::Events),
    /// Show how often, how fast and how well changes reach users.
    Dora(dora::Dora),
    /// Show what runs against the file.
    Drift(drift::Drift),
    /// Print the file with the weights that are obeyed, or what to change as a patch.
    Export(export::Export),
    /// Ask a running instance whether it is ready; exit 1 when it is not.
    Healthcheck(status::Healthcheck),
    /// Print the configuration's schema, or a configuration with every default.
    Config(config::Config),
    /// Make a token of the admin API.
    Token(token::Token),
    /// Print a script that completes commands and options in a shell.
    Completions(completions::Completions),
    /// Print the manual, or write one page for each command.
    Man(man::Man),
    /// See it work: a release on two little upstreams with real traffic, while you watch.
    Demo(demo::Demo),
}

#[derive(Args, Debug)]
struct Run {
    #[command(flatten)]
    file: ConfigFile,
    /// Where the file is refused, start with the last configuration that was applied, as it is kept in
    /// the store's folder: the one that the file names, or DIR.
    #[arg(
        long,
        value_name = "DIR",
        num_args = 0..=1,
        require_equals = true,
        value_hint = ValueHint::DirPath
    )]
    last_good: Option<Option<PathBuf>>,
    /// Written once everything is bound and serving, with the addresses.
    #[arg(long, value_name = "PATH", hide = true)]
    ready_file: Option<PathBuf>,
}

/// The configuration to use.
#[derive(Args, Clone, Debug)]
struct ConfigFile {
    /// The configuration [default: ./tidegate.toml, else /etc/tidegate/tidegate.toml].
    #[arg(
        short,
        long,
        env = "TIDEGATE_CONFIG",
        hide_env_values = true,
        value_name = "FILE",
        value_hint = ValueHint::FilePath
    )]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// The file that was named, else the first of the usual ones that exists.
    fn path(self) -> Result<PathBuf, Failure> {
        default_file(self.config)
    }
}

/// A configuration, as the commands take it that are about a file and not about a proxy.
#[derive(Args, Debug)]
struct NamedFile {
    /// The configuration [default: ./tidegate.toml, else /etc/tidegate/tidegate.toml].
    #[arg(
        value_name = "FILE",
        env = "TIDEGATE_CONFIG",
        hide_env_values = true,
        value_hint = ValueHint::FilePath
    )]
    file: Option<PathBuf>,
}

impl NamedFile {
    /// The file that was named, else the first of the usual ones that exists.
    fn path(&self) -> Result<PathBuf, Failure> {
        default_file(self.file.clone())
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
    let asked = ask();
    let (colour, json) = (asked.color.into(), asked.command.json());
    match asked.command.run(colour) {
        Ok(code) => code,
        Err(failure) if json => failure.report_as_json(),
        Err(failure) => failure.report(),
    }
}

/// Reads the arguments; ends the process when they are none, or ask for help alone.
fn ask() -> Arguments {
    let colour = match help_colour(std::env::args_os().skip(1)) {
        // Where `CI` is set clap writes colours to terminals that can do nothing with them.
        ColorChoice::Auto if !Colour::Auto.is_on(true, |name| std::env::var(name).ok()) => {
            ColorChoice::Never
        }
        asked => asked,
    };
    let matches = command().color(colour).get_matches();
    Arguments::from_arg_matches(&matches)
        .unwrap_or_else(|error| error.format(&mut command()).exit())
}

/// The command line as clap knows it.
fn command() -> clap::Command {
    Arguments::command().after_help(about::after_help())
}

/// The colours of help and of complaints about arguments, which are written before the arguments
/// are understood.
fn help_colour(arguments: impl Iterator<Item = OsString>) -> ColorChoice {
    let arguments: Vec<_> = arguments.collect();
    let is = |n: usize, text: &str| arguments.get(n).is_some_and(|argument| argument == text);
    let asks = |when: &str| {
        (0..arguments.len())
            .any(|n| is(n, &format!("--color={when}")) || is(n, "--color") && is(n + 1, when))
    };
    match (asks("never"), asks("always")) {
        (true, _) => ColorChoice::Never,
        (false, true) => ColorChoice::Always,
        (false, false) => ColorChoice::Auto,
    }
}

impl Command {
    /// Whether JSON was asked for.
    fn json(&self) -> bool {
        match self {
            Self::Check(check) => check.json(),
            Self::Plan(plan) => plan.json(),
            Self::Explain(explain) => explain.json,
            Self::Status(status) => status.json,
            Self::Top(top) => top.json,
            Self::Reload(reload) => reload.json,
            Self::Upgrade(upgrade) => upgrade.json,
            Self::Release(release) => release.json(),
            Self::Gate(gate) => gate.json(),
            Self::Flag(flag) => flag.json(),
            Self::Freeze(freeze) => freeze.json(),
            Self::StopTheLine(line) => line.json(),
            Self::Weights(weights) => weights.json(),
            Self::Audit(audit) => audit.json(),
            Self::Events(events) => events.json,
            Self::Dora(dora) => dora.json,
            Self::Drift(drift) => drift.json,
            Self::Export(export) => export.json,
            Self::Healthcheck(healthcheck) => healthcheck.json,
            Self::Config(config) => config.json(),
            Self::Token(token) => token.json(),
            Self::Run(_) | Self::Demo(_) | Self::Completions(_) | Self::Man(_) => false,
        }
    }

    fn run(self, colour: Colour) -> Result<ExitCode, Failure> {
        let ink = Ink::of_stdout(colour);
        match self {
            Self::Run(run) => return serve(run, colour),
            Self::Demo(demo) => demo.run(ink),
            Self::Top(top) => top.run(ink),
            Self::Check(check) => printing(|out| check.run(out, ink)),
            Self::Plan(plan) => printing(|out| plan.run(out, ink)),
            Self::Explain(explain) => printing(|out| explain.run(out, ink)),
            Self::Status(status) => printing(|out| status.run(out)),
            Self::Reload(reload) => printing(|out| reload.run(out)),
            Self::Upgrade(upgrade) => printing(|out| upgrade.run(out)),
            Self::Release(release) => release.run(ink),
            Self::Gate(gate) => printing(|out| gate.run(out)),
            Self::Flag(flag) => printing(|out| flag.run(out, ink)),
            Self::Freeze(freeze) => printing(|out| freeze.run(out)),
            Self::StopTheLine(line) => printing(|out| line.run(out)),
            Self::Weights(weights) => printing(|out| weights.run(out)),
            Self::Audit(audit) => audit.run(ink),
            Self::Events(events) => events.run(),
            Self::Dora(dora) => printing(|out| dora.run(out)),
            Self::Drift(drift) => printing(|out| drift.run(out)),
            Self::Export(export) => printing(|out| export.run(out)),
            Self::Healthcheck(healthcheck) => printing(|out| healthcheck.run(out)),
            Self::Config(config) => printing(|out| config.run(out)),
            Self::Token(token) => printing(|out| token.run(out)),
            Self::Completions(completions) => printing(|out| completions.run(out)),
            Self::Man(man) => printing(|out| man.run(out)),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Has something printed, in few writes. What was printed before a failure is printed, too, and a
/// verdict counts more than whether somebody read it.
fn printing(print: impl FnOnce(&mut dyn Write) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let done = print(&mut out);
    let flushed = out.flush();
    done?;
    Ok(flushed?)
}

fn serve(run: Run, colour: Colour) -> Result<ExitCode, Failure> {
    Ok(app::run(&app::Options {
        config: run.file.path()?,
        ready_file: run.ready_file,
        stand_in: match run.last_good {
            None => StandIn::Never,
            Some(None) => StandIn::FromStore,
            Some(Some(folder)) => StandIn::From(folder),
        },
        colour,
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
    use clap::ColorChoice;

    use crate::cli::{command, help_colour};

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    /// Every command there is, with those below it.
    fn all(command: &clap::Command) -> Vec<&clap::Command> {
        let below = command.get_subcommands().flat_map(all);
        std::iter::once(command).chain(below).collect()
    }

    #[test]
    fn every_command_and_every_option_is_explained() {
        let root = command();
        for command in all(&root) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            for argument in command.get_arguments() {
                let explained = argument.get_help().is_some();
                assert!(explained, "{name}: {}", argument.get_id());
            }
        }
    }

    #[test]
    fn what_prints_can_print_json() {
        const EXCEPTED: [&str; 5] = ["run", "demo", "completions", "man", "schema"];
        let root = command();
        for command in all(&root) {
            let name = command.get_name();
            let prints = !command.has_subcommands() && !EXCEPTED.contains(&name);
            let has_json = command
                .get_arguments()
                .any(|argument| argument.get_id() == "json");
            assert_eq!(has_json, prints, "{name}");
        }
    }

    #[test]
    fn the_version_is_the_packages() {
        let version = command().render_version();
        assert_eq!(version, format!("tidegate {}\n", env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn help_obeys_the_option_for_colours() {
        for (arguments, expected) in [
            (&["--color=never", "--help"][..], ColorChoice::Never),
            (
                &["status", "--help", "--color", "always"],
                ColorChoice::Always,
            ),
            (&["--color"], ColorChoice::Auto),
            (&["never", "always"], ColorChoice::Auto),
        ] {
            let arguments = arguments.iter().map(Into::into);
            assert_eq!(help_colour(arguments), expected);
        }
    }
}
