//! `tidegate demo --weights`: the file is edited again and again, and no connection notices.

mod view;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::cli::demo::load::Load;
use crate::cli::demo::origin::Origin;
use crate::cli::demo::proxy::{Edit, Proxy};
use crate::cli::demo::tally::Tally;
use crate::cli::demo::weights::view::{Note, Scene};
use crate::cli::demo::{FRAME_TIME, LINE_TIME};
use crate::cli::output::{Failure, Ink};
use crate::cli::screen::Screen;
use crate::cli::signals::{Ends, Terminal, Told};

/// How long each division of the traffic is shown.
const SCENE_TIME: Duration = Duration::from_secs(8);
/// The divisions of the traffic, one after another and over again: weights of stable and canary.
const WEIGHTS: [[u32; 2]; 2] = [[95, 5], [50, 50]];

/// Plays it until something ends it.
pub(in crate::cli::demo) async fn play(rate: u32, mut ends: Ends, ink: Ink) -> Result<(), Failure> {
    let shutdown = CancellationToken::new();
    let _stop_all = shutdown.clone().drop_guard();
    let stable = Origin::start("v1", Duration::from_millis(4), &shutdown).await?;
    let canary = Origin::start("v2", Duration::from_millis(7), &shutdown).await?;
    let mut proxy = Proxy::start(&config([stable.address(), canary.address()])).await?;
    let first = proxy.division().await.ok_or_else(|| {
        Failure::Refused("the proxy does not tell how it divides the traffic".to_owned())
    })?;
    let tally = Arc::new(Tally::new(first.shares));
    let stop_load = shutdown.child_token();
    let load = Load::start(proxy.addresses().http, rate, &tally, &stop_load);

    // Before the screen is taken: a signal must find somebody who gives it back.
    let mut terminal = Terminal::new()?;
    let started = Instant::now();
    let mut stage = Stage {
        screen: Screen::below(ink)?,
        scene: Scene::new(&proxy),
        tally,
        started,
        weights: first.weights,
        is_ours: true,
    };
    let note = stage
        .scene
        .note(started.elapsed(), &Note::Serving(first.weights));
    let outcome = stage
        .play(&mut proxy, &mut ends, &mut terminal, &note)
        .await;

    // Clients first: what they have under way is still answered.
    stop_load.cancel();
    load.finish().await;
    let summary = stage.summary();
    proxy.stop().await?;
    outcome.and(summary)?;
    if stage.tally.look().lost() == 0 {
        Ok(())
    } else {
        Err(Failure::Refused(
            "requests failed; they are counted above".to_owned(),
        ))
    }
}

/// The view and what it shows.
struct Stage {
    screen: Screen,
    scene: Scene,
    tally: Arc<Tally>,
    started: Instant,
    /// What is live.
    weights: [u32; 2],
    /// False once somebody else has edited the file: then the demo leaves it alone.
    is_ours: bool,
}

impl Stage {
    async fn play(
        &mut self,
        proxy: &mut Proxy,
        ends: &mut Ends,
        terminal: &mut Terminal,
        first_note: &str,
    ) -> Result<(), Failure> {
        let mut frames = interval(if self.screen.is_terminal() {
            FRAME_TIME
        } else {
            LINE_TIME
        });
        frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut next = self.started + SCENE_TIME;
        let mut turn = 0;
        let introduction = self.scene.introduction().join("\n");
        self.screen.print(&format!("{introduction}\n"))?;
        self.announce(first_note)?;
        loop {
            tokio::select! {
                () = ends.come() => return Ok(()),
                told = terminal.next() => match told {
                    Told::Pause => self.screen.suspend()?,
                    Told::Resized => {}
                },
                _ = frames.tick() => {
                    proxy.check()?;
                    self.look(proxy).await?;
                    self.draw()?;
                }
                () = sleep_until(next), if self.is_ours => {
                    turn += 1;
                    self.edit(proxy, WEIGHTS[turn % WEIGHTS.len()]).await?;
                    next = Instant::now() + SCENE_TIME;
                }
            }
        }
    }

    /// Looks whether somebody else has edited the file.
    async fn look(&mut self, proxy: &Proxy) -> Result<(), Failure> {
        let Some(division) = proxy.division().await else {
            return Ok(());
        };
        if division.weights == self.weights {
            return Ok(());
        }
        self.is_ours = false;
        self.weights = division.weights;
        self.tally.begin_scene(division.shares);
        self.tell(&Note::Yours(division.weights))
    }

    fn tell(&mut self, note: &Note) -> Result<(), Failure> {
        let line = self.scene.note(self.started.elapsed(), note);
        self.announce(&line)
    }

    /// Tells that something happened, where the view does not.
    fn announce(&mut self, note: &str) -> Result<(), Failure> {
        if !self.screen.is_terminal() {
            self.screen.print(&format!("{note}\n"))?;
        }
        Ok(())
    }

    /// Rewrites the file, waits until the proxy says that it is live, and tells how long it took.
    async fn edit(&mut self, proxy: &mut Proxy, weights: [u32; 2]) -> Result<(), Failure> {
        let note = match proxy.set_weights(weights).await? {
            Edit::Live(division, took) => {
                // Only from now on is the new division the one to measure.
                self.weights = division.weights;
                self.tally.begin_scene(division.shares);
                Note::Live(weights, took)
            }
            Edit::NotLive => Note::NotLive(weights),
        };
        self.tell(&note)?;
        self.draw()
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let (seen, at) = (self.tally.look(), self.started.elapsed());
        if self.screen.is_terminal() {
            let ink = self.screen.ink();
            self.screen.draw(self.scene.frame(&seen, at, ink))?;
        } else {
            self.screen
                .print(&format!("{}\n", Scene::line(&seen, at)))?;
        }
        Ok(())
    }

    fn summary(&mut self) -> Result<(), Failure> {
        if self.screen.is_terminal() {
            self.draw()?;
        }
        let (seen, at) = (self.tally.look(), self.started.elapsed());
        let summary = self.scene.summary(&seen, at, self.screen.ink());
        self.screen.print(&format!("\n{}\n", summary.join("\n")))?;
        Ok(())
    }
}

fn config([v1, v2]: [SocketAddr; 2]) -> String {
    format!(
        r#"# Made by `tidegate demo`, which rewrites the two weights now and then.
# Edit it yourself and save: it is obeyed at once.

[listener.http]
address = "127.0.0.1:0"

[upstream.shop-v1]
endpoints = ["{v1}"]

[upstream.shop-v2]
endpoints = ["{v2}"]

[route.shop]
match = {{ path = "/" }}
sticky = {{ keys = ["header:x-user-id"] }}
force = {{ header = "x-variant" }}

[route.shop.split]
stable = {{ upstream = "shop-v1", weight = 95 }}
canary = {{ upstream = "shop-v2", weight = 5 }}

[access_log]
output = "off"

[shutdown]
delay = "0s"
spread = "0s"
timeout = "2s"

[admin]
address = "127.0.0.1:0"
"#
    )
}
