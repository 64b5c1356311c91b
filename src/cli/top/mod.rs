//! `tidegate top`: how each variant of a running instance fares, now and again and again.
//!
//! It looks at the status, with counts and histograms, and shows the difference to the look before.
//! On a terminal the table is drawn over; elsewhere each interval is a block of lines, or a line of
//! JSON. An instance that goes away is waited for.

mod interval;
mod keys;
mod layout;
mod quantile;
mod view;

use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::admin::wire::Status;
use crate::cli::block_on;
use crate::cli::client::{Client, Instance, duration};
use crate::cli::output::{Failure, Ink};
use crate::cli::screen::Screen;
use crate::cli::signals::{Ends, Terminal, Told};
use crate::cli::top::interval::Interval;
use crate::cli::top::keys::Keys;
use crate::cli::top::view::{Choice, Seen};

/// Where the numbers are.
const PATH: &str = "/api/v1/status?verbose";
/// Who watches wants to know when an instance hangs.
const POLL_TIMEOUT: Duration = Duration::from_secs(5);
/// Oftener is more work for the instance than it is worth.
const SHORTEST: Duration = Duration::from_millis(100);

/// Watch how the variants of a running instance fare.
#[derive(Args, Debug)]
#[command(after_help = ABOUT)]
pub(in crate::cli) struct Top {
    /// Show one interval and end.
    #[arg(long, conflicts_with = "count")]
    once: bool,
    /// Show so many intervals and end.
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// How long an interval is: 500ms, 1s, 1m.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval_length)]
    interval: Duration,
    /// Which routes come first.
    #[arg(long, value_enum, default_value = "rate")]
    sort: Sort,
    /// Show this route alone; may be given several times.
    #[arg(long = "route", value_name = "NAME")]
    routes: Vec<String>,
    #[command(flatten)]
    instance: Instance,
    /// Print one JSON object for each interval, each on a line.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// What the columns and the keys mean.
const ABOUT: &str = "\
SHARE is what is configured, ACTUAL what the requests of the interval got that did not name their
variant. FAILED is the part of requests that were answered with a 5xx, cut, or calls of gRPC that the
service failed; BY PROXY the part that tidegate itself answered with a 5xx. P50 and P99 are times from sending a request to the head of the upstream's answer, as
the histogram has them. UP counts endpoints. On a terminal: q ends, r e l n sort by rate, errors,
latency, name. An instance that goes away, or takes more than 5 s to answer, is asked again.";

/// What routes are sorted by.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(in crate::cli::top) enum Sort {
    /// Requests per second.
    Rate,
    /// The part that failed.
    Errors,
    /// The p99.
    Latency,
    /// Their names.
    Name,
}

impl Sort {
    /// What the option calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Errors => "errors",
            Self::Latency => "latency",
            Self::Name => "name",
        }
    }

    fn of_key(key: char) -> Option<Self> {
        match key {
            'r' => Some(Self::Rate),
            'e' => Some(Self::Errors),
            'l' => Some(Self::Latency),
            'n' => Some(Self::Name),
            _ => None,
        }
    }
}

fn interval_length(text: &str) -> Result<Duration, String> {
    let length = duration(text)?;
    if length < SHORTEST {
        return Err("shorter than 100ms".to_owned());
    }
    Ok(length)
}

impl Top {
    pub(in crate::cli) fn run(self, ink: Ink) -> Result<(), Failure> {
        block_on(self.watch(ink))
    }

    async fn watch(self, ink: Ink) -> Result<(), Failure> {
        let instance = Instance {
            timeout: self.instance.timeout.min(POLL_TIMEOUT),
            ..self.instance.clone()
        };
        let client = Client::new(&instance)?;
        // Before the screen is taken: a signal must find somebody who gives it back.
        let mut ends = Ends::new(None)?;
        let terminal = Terminal::new()?;
        let first = tokio::select! {
            first = look(&client) => first?,
            () = ends.come() => return Ok(()),
        };
        self.known(&first.status)?;
        let mut watch = Watch {
            admin: client.base().to_owned(),
            interval: Interval::first(&first.status),
            last: first,
            gone: None,
            choice: Choice {
                sort: self.sort,
                routes: self.routes.clone(),
            },
            screen: if self.json {
                Screen::lines(ink)
            } else {
                Screen::whole(ink)?
            },
        };
        watch.draw()?;
        self.follow(&client, ends, terminal, &mut watch).await
    }

    /// Refuses names that no route has: nothing would ever be shown.
    fn known(&self, status: &Status) -> Result<(), Failure> {
        let unknown = |route: &&String| !status.routes.contains_key(*route);
        match self.routes.iter().find(unknown) {
            Some(route) => Err(Failure::Refused(format!("there is no route {route}"))),
            None => Ok(()),
        }
    }

    async fn follow(
        &self,
        client: &Client,
        mut ends: Ends,
        mut terminal: Terminal,
        watch: &mut Watch,
    ) -> Result<(), Failure> {
        let mut keys = Keys::of(&watch.screen);
        let mut ticks = interval_at(Instant::now() + self.interval, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut left = if self.once { Some(1) } else { self.count };
        while left != Some(0) {
            let next = async {
                ticks.tick().await;
                look(client).await
            };
            tokio::pin!(next);
            // Whatever else happens, a look that has begun goes on.
            let seen = loop {
                tokio::select! {
                    seen = &mut next => break seen,
                    () = ends.come() => return Ok(()),
                    key = keys.next() => match (key, Sort::of_key(key)) {
                        ('q', _) => return Ok(()),
                        (_, Some(sort)) => {
                            watch.choice.sort = sort;
                            watch.draw()?;
                        }
                        (_, None) => {}
                    },
                    told = terminal.next() => match told {
                        Told::Resized => watch.draw()?,
                        Told::Pause => watch.pause()?,
                    },
                }
            };
            watch.take(seen)?;
            if watch.screen.is_terminal() {
                watch.draw()?;
            } else {
                watch.print(self.json)?;
            }
            left = left.map(|left| left - 1);
        }
        Ok(())
    }
}

/// One look at an instance.
struct Look {
    at: Instant,
    time: SystemTime,
    status: Status,
}

async fn look(client: &Client) -> Result<Look, Failure> {
    let status = client.get(PATH).await?.value()?;
    Ok(Look {
        at: Instant::now(),
        time: SystemTime::now(),
        status,
    })
}

/// What is watched and how it is shown.
struct Watch {
    admin: String,
    last: Look,
    interval: Interval,
    gone: Option<String>,
    choice: Choice,
    screen: Screen,
}

impl Watch {
    /// Takes another look, or notes that there was nothing to see.
    fn take(&mut self, seen: Result<Look, Failure>) -> Result<(), Failure> {
        match seen {
            Ok(look) => {
                let took = look.at.duration_since(self.last.at);
                self.interval = Interval::between(&self.last.status, took, &look.status);
                self.last = look;
                self.gone = None;
            }
            Err(Failure::Refused(why) | Failure::TimedOut(why)) => self.gone = Some(why),
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    fn seen(&self) -> Seen<'_> {
        let now = match self.gone {
            Some(_) => SystemTime::now(),
            None => self.last.time,
        };
        let started = self.last.status.started_at.parse::<Timestamp>().ok();
        let running = started.and_then(|at| now.duration_since(at.into()).ok());
        let at = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
        Seen {
            admin: &self.admin,
            at: format!("{at:.3}"),
            running,
            status: &self.last.status,
            interval: &self.interval,
            gone: self.gone.as_deref(),
        }
    }

    fn draw(&mut self) -> Result<(), Failure> {
        if self.screen.is_terminal() {
            let (size, ink) = (self.screen.size(), self.screen.ink());
            let lines = view::frame(&self.seen(), &self.choice, size, ink);
            self.screen.draw(lines)?;
        }
        Ok(())
    }

    fn print(&mut self, json: bool) -> Result<(), Failure> {
        let seen = self.seen();
        let text = if json {
            format!("{}\n", view::object(&seen, &self.choice))
        } else {
            view::block(&seen, &self.choice, self.screen.ink()).join("\n") + "\n\n"
        };
        self.screen.print(&text)?;
        Ok(())
    }

    fn pause(&mut self) -> Result<(), Failure> {
        self.screen.suspend()?;
        self.draw()
    }
}
