//! The demo of a release: step by step, while the numbers allow it, and back when they do not.
//!
//! The proxy decides; the demo only starts the release, approves at its gate where nobody else does,
//! and has the candidate turn bad if it is to.

mod config;
mod standing;
mod trail;
mod view;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::cli::demo::load::Load;
use crate::cli::demo::origin::Origin;
use crate::cli::demo::proxy::{Division, Proxy};
use crate::cli::demo::release::config::{GATE, RELEASE, TURNS_BAD_AT};
use crate::cli::demo::release::standing::Standing;
use crate::cli::demo::release::view::Notes;
use crate::cli::demo::tally::Tally;
use crate::cli::demo::{FRAME_TIME, LINE_TIME};
use crate::cli::output::{Failure, Ink, percent};
use crate::cli::screen::Screen;
use crate::cli::signals::{Ends, Terminal, Told};
use crate::store::{Broken, Record, Verified};

/// The middle of what an answer takes.
const WORK: Duration = Duration::from_millis(5);
/// How much traffic there is before the release starts, and after its end.
const BEFORE: Duration = Duration::from_secs(3);
const AFTER: Duration = Duration::from_secs(3);
/// How long the candidate is good at the share at which it turns bad.
const GOOD_TIME: Duration = Duration::from_secs(2);
/// How long the demo waits for somebody else at the gate.
const AT_GATE: Duration = Duration::from_secs(3);
/// Of a thousand requests so many are failed by a candidate that is bad.
const BAD: u32 = 50;

/// What is to be shown.
pub(in crate::cli::demo) struct Plan {
    /// Whether the candidate turns bad.
    pub(in crate::cli::demo) turns_bad: bool,
    /// Whether it goes on after the release's end.
    pub(in crate::cli::demo) stays: bool,
    /// Requests per second.
    pub(in crate::cli::demo) rate: u32,
}

impl Plan {
    /// The phase that the release is to end in.
    fn end(&self) -> &'static str {
        if self.turns_bad {
            "aborted"
        } else {
            "promoted"
        }
    }
}

/// Plays it until the release is over, or something ends it before.
pub(in crate::cli::demo) async fn play(
    plan: &Plan,
    mut ends: Ends,
    ink: Ink,
) -> Result<(), Failure> {
    let shutdown = CancellationToken::new();
    let _stop_all = shutdown.clone().drop_guard();
    let stable = Origin::start("v1", WORK, &shutdown).await?;
    let candidate = Origin::start("v2", WORK, &shutdown).await?;
    let addresses = [stable.address(), candidate.address()];
    let mut proxy = Proxy::start(&config::text(addresses)).await?;
    let division = proxy.division().await.ok_or_else(|| {
        Failure::Refused("the proxy does not tell how it divides the traffic".to_owned())
    })?;
    let standing = Standing::ask(proxy.admin(), None).await?;
    let tally = Arc::new(Tally::new(division.shares));
    let stop_load = shutdown.child_token();
    let load = Load::start(proxy.addresses().http, plan.rate, &tally, &stop_load);

    // Before the screen is taken: a signal must find somebody who gives it back.
    let mut terminal = Terminal::new()?;
    let now = Instant::now();
    let mut stage = Stage {
        screen: Screen::below(ink)?,
        notes: Notes::new(),
        tally,
        candidate,
        started: now,
        division,
        standing,
        entered: now,
        waits_since: None,
        bad_since: None,
        is_asked: false,
    };
    let outcome = stage.play(plan, &mut proxy, &mut ends, &mut terminal).await;

    // Clients first: what they have under way is still answered.
    stop_load.cancel();
    load.finish().await;
    let records = match &outcome {
        Ok(()) => standing::trail(proxy.admin()).await,
        Err(_) => Ok(Vec::new()),
    };
    proxy.stop().await?;
    outcome?;
    let verified = trail::verify(&proxy.directory().join("state"));
    stage.tell_end(&records?, &verified)?;
    verified.map_err(|error| Failure::Refused(format!("the audit trail is broken: {error}")))?;
    stage.judge(plan)
}

/// The view and what it shows.
struct Stage {
    screen: Screen,
    notes: Notes,
    tally: Arc<Tally>,
    candidate: Origin,
    started: Instant,
    /// What is live.
    division: Division,
    standing: Standing,
    /// When the phase or the step was entered.
    entered: Instant,
    /// Since when it waits at the gate.
    waits_since: Option<Instant>,
    /// Since when the candidate is bad.
    bad_since: Option<Instant>,
    /// Whether it was asked to start.
    is_asked: bool,
}

impl Stage {
    async fn play(
        &mut self,
        plan: &Plan,
        proxy: &mut Proxy,
        ends: &mut Ends,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        let mut looks = interval(FRAME_TIME);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut next_line = self.started;
        let introduction = introduction(proxy, plan);
        self.screen.print(&format!("{introduction}\n"))?;
        loop {
            tokio::select! {
                () = ends.come() => return Ok(()),
                told = terminal.next() => match told {
                    Told::Pause => self.screen.suspend()?,
                    Told::Resized => {}
                },
                now = looks.tick() => {
                    proxy.check()?;
                    self.look(proxy).await?;
                    self.act(plan, proxy).await?;
                    if self.screen.is_terminal() || next_line <= now {
                        self.draw()?;
                        next_line = now + LINE_TIME;
                    }
                    let is_over = !self.standing.release.row.is_active;
                    if is_over && !plan.stays && AFTER <= self.entered.elapsed() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Looks where the release stands and what is live, and tells what has changed.
    async fn look(&mut self, proxy: &Proxy) -> Result<(), Failure> {
        // In this order: what routes obey was decided before.
        let division = proxy.division().await;
        let standing = Standing::ask(proxy.admin(), Some(&self.standing)).await?;
        let news = standing.news(&self.standing);
        if standing.is_elsewhere_than(&self.standing) {
            self.entered = Instant::now();
        }
        self.standing = standing;
        for line in news {
            self.tell(&line)?;
        }
        match division.filter(|division| *division != self.division) {
            Some(division) => self.measure(division),
            None => Ok(()),
        }
    }

    /// Begins to measure another division of the traffic.
    fn measure(&mut self, division: Division) -> Result<(), Failure> {
        self.division = division;
        self.tally.begin_scene(division.shares);
        let share = percent(division.shares[1]);
        let mut line = format!("routes obey: the candidate gets {share}");
        if let Some(since) = self.bad_since.filter(|_| division.shares[1] == 0.0) {
            let seconds = since.elapsed().as_secs_f64();
            line.push_str(&format!(", {seconds:.1} s after it turned bad"));
        }
        self.tell(&line)
    }

    /// Does what the people around a release would do.
    async fn act(&mut self, plan: &Plan, proxy: &Proxy) -> Result<(), Failure> {
        if !self.is_asked && BEFORE <= self.started.elapsed() {
            self.is_asked = true;
            if self.standing.release.row.phase == "pending" {
                standing::start(proxy.admin()).await?;
                self.tell("started")?;
            }
        }
        let is_there = self.standing.weight() == TURNS_BAD_AT && self.division.shares[1] > 0.0;
        let turns = plan.turns_bad && self.bad_since.is_none() && is_there;
        if turns && GOOD_TIME <= self.entered.elapsed() {
            self.candidate.fail(BAD);
            self.bad_since = Some(Instant::now());
            let part = percent(f64::from(BAD) / 1000.0);
            self.tell(&format!(
                "the candidate turns bad: from now on it fails {part} of its requests"
            ))?;
        }
        if !self.standing.waits_at_gate() {
            self.waits_since = None;
            return Ok(());
        }
        let since = *self.waits_since.get_or_insert_with(Instant::now);
        if AT_GATE <= since.elapsed() {
            standing::approve(proxy.admin()).await?;
            self.waits_since = None;
            self.tell(&format!("the demo approves at the gate `{GATE}`"))?;
        }
        Ok(())
    }

    /// Tells that something happened.
    fn tell(&mut self, what: &str) -> Result<(), Failure> {
        let line = self.notes.add(self.started.elapsed(), what);
        if !self.screen.is_terminal() {
            self.screen.print(&format!("{line}\n"))?;
        }
        Ok(())
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let (seen, at) = (self.tally.look(), self.started.elapsed());
        if self.screen.is_terminal() {
            let ink = self.screen.ink();
            let frame = view::frame(&self.standing, &seen, &self.notes, at, ink);
            self.screen.draw(frame)?;
        } else {
            let line = view::line(&self.standing, &seen, at);
            self.screen.print(&format!("{line}\n"))?;
        }
        Ok(())
    }

    /// Tells what there was of traffic, and what the audit trail says.
    fn tell_end(
        &mut self,
        records: &[Record],
        verified: &Result<Verified, Broken>,
    ) -> Result<(), Failure> {
        if self.screen.is_terminal() {
            self.draw()?;
        }
        let (seen, at) = (self.tally.look(), self.started.elapsed());
        let ink = self.screen.ink();
        let columns = self
            .screen
            .is_terminal()
            .then(|| self.screen.size().columns);
        let mut text = format!("\n{}\n\n", view::summary(&seen, at, ink).join("\n"));
        text.push_str(&trail::table(records, columns)?);
        text.push_str(&format!("{}\n", trail::verdict(verified, ink)));
        self.screen.print(&text)?;
        Ok(())
    }

    /// Whether it went as announced.
    fn judge(&self, plan: &Plan) -> Result<(), Failure> {
        let row = &self.standing.release.row;
        let seen = self.tally.look();
        let refused = |why: String| Err(Failure::Refused(why));
        if row.is_active {
            return refused(format!("it was ended while the release was {}", row.phase));
        }
        if row.phase != plan.end() {
            let cause = row.cause.clone().unwrap_or_default();
            return refused(format!(
                "the release is {} and not {}: {cause}",
                row.phase,
                plan.end()
            ));
        }
        let lost = if plan.turns_bad {
            seen.failed
        } else {
            seen.lost()
        };
        if lost > 0 {
            return refused(format!("{lost} requests failed that should not"));
        }
        Ok(())
    }
}

/// What is said once, at the beginning.
fn introduction(proxy: &Proxy, plan: &Plan) -> String {
    let (http, admin) = (proxy.addresses().http, proxy.addresses().admin);
    let (program, file) = (proxy.program(), proxy.file());
    let course = if plan.turns_bad {
        "at 25 % the candidate turns bad, and is to be taken back by itself"
    } else {
        "the candidate is good, and is to be promoted; `--bad` shows one that is not"
    };
    format!(
        "tidegate demo: a release on two little upstreams, with clients, all right here;\n\
         {course}\n\
         \n\
         \x20 proxy  http://{http}   admin  http://{admin}\n\
         \x20 file   {}\n\
         \n\
         Try in another terminal:\n\
         \x20 export TIDEGATE_ADMIN=http://{admin}\n\
         \x20 {program} release get {RELEASE}\n\
         \x20 {program} release why {RELEASE}\n\
         \x20 {program} release abort {RELEASE} --reason \"I changed my mind\"\n",
        file.display()
    )
}
