//! Reloads: from a file that changed, or weights that did, to what the data plane obeys.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tracing::{error, info};

use crate::config::plan::needs_restart;
use crate::config::{self, Config, LastGood, Sources};
use crate::control::kept::ToKeep;
use crate::control::{
    Applied, Controller, Live, Outcome, Rejected, evaluating, follow, hex, refused, releases,
    sockets, tell_warnings,
};
use crate::proxy::Snapshot;
use crate::release::overlay::Overlay;
use crate::store::Via;

impl Controller {
    /// Loads, prepares and commits.
    pub(in crate::control) async fn reload(&mut self) -> Result<Applied, Rejected> {
        let began = Instant::now();
        let outcome = self.try_reload(began).await;
        if let Err(rejected) = &outcome {
            self.telemetry.recorder().config_rejected();
            for problem in &rejected.problems {
                error!(%problem, "configuration refused");
            }
        }
        outcome
    }

    async fn try_reload(&mut self, began: Instant) -> Result<Applied, Rejected> {
        let path = self.path.clone();
        let loaded = tokio::task::spawn_blocking(move || config::load(&path))
            .await
            .map_err(|_| refused(&self.path, "", "loading it panicked".into()))?
            .inspect_err(|problems| self.watch_also(problems.sources()))?;
        let read_in = began.elapsed();
        let live = self.shared.live.load_full();
        // What is refused from here on may be mended in any of its files.
        self.watch_also(&loaded.sources);
        if loaded.files_sha256 == live.files_sha256 {
            self.telemetry
                .recorder()
                .config_unchanged(SystemTime::now());
            return Ok(Applied {
                generation: live.generation,
                outcome: Outcome::Unchanged,
                took: began.elapsed(),
            });
        }
        let locate = |rejected: Rejected| rejected.located(&loaded.texts);
        self.refuse_restarts(&live.written, &loaded.config)
            .map_err(locate)?;
        if self.plane.is_none() {
            self.plane = releases::open(&loaded.config, &self.path).await?;
            self.begin_releases();
        }
        let written = Arc::new(evaluating(&mut self.builder, loaded.config, &self.path)?);
        let file = Arc::new(releases::file(&written));
        // What the file says of releases, and what these make of it, is obeyed at one moment.
        let overlay = Arc::new(releases::foresee(self.plane.as_ref(), &file));
        let config = releases::obeyed(&written, &overlay);
        let (before, resolved) = self.resolver.first(&config).await;
        let (snapshot, plan) = match self.prepare(&config, &live).map_err(locate) {
            Ok(prepared) => prepared,
            Err(rejected) => {
                self.resolver.roll_back(&live.config, before);
                self.resolved(resolved);
                return Err(rejected);
            }
        };
        let prepared_in = began.elapsed() - read_in;
        if let Some(plane) = &self.plane {
            plane
                .conform(&file, &hex(&loaded.sha256), Via::Reload)
                .await;
        }
        // From here on nothing can fail.
        self.resolver.commit(&config, &before);
        self.watcher.set_sources(loaded.sources.clone());
        let next = Arc::new(Live {
            generation: snapshot.generation,
            config_sha256: hex(&loaded.sha256),
            applied_at: SystemTime::now(),
            snapshot: Arc::new(snapshot),
            config,
            written,
            file,
            overlay,
            warnings: loaded.warnings,
            stands_in: None,
            files_sha256: loaded.files_sha256,
            sources: loaded.sources,
        });
        self.to_keep = self.plane.is_some().then(|| {
            let copy = LastGood::new(loaded.texts, &self.path, next.applied_at);
            ToKeep::new(copy)
        });
        self.obey(&live, &next);
        if let Some(plane) = &self.plane {
            plane.show(&next);
        }
        self.commit_sockets(plan, Some(&live.config));
        self.checker.follow(&next.snapshot);
        self.resolved(resolved);
        let took = began.elapsed();
        self.telemetry.recorder().config_applied(
            next.generation,
            &next.config_sha256,
            took,
            next.applied_at,
        );
        self.show();
        self.retired.add(live);
        if let Some(plane) = &self.plane {
            plane.tell(&next.written.releases).await;
        }
        self.keep_copy().await;
        tell_warnings(&next.warnings);
        let generation = next.generation;
        info!(
            generation,
            ?read_in,
            ?prepared_in,
            ?took,
            "configuration applied"
        );
        Ok(Applied {
            generation: next.generation,
            outcome: Outcome::Applied,
            took,
        })
    }

    /// Builds and binds what another configuration needs.
    fn prepare(
        &mut self,
        config: &Config,
        live: &Live,
    ) -> Result<(Snapshot, sockets::Plan), Rejected> {
        let snapshot =
            self.builder
                .build(config, Some(&live.snapshot), &self.resolver, &self.path)?;
        let plan = self.sockets.plan(config, &self.path)?;
        Ok((snapshot, plan))
    }

    /// Watches what is live and, besides, what was refused was read from: a certificate that was
    /// missing may arrive later.
    fn watch_also(&self, sources: &Sources) {
        let mut all = self.shared.live.load().sources.clone();
        all.extend(sources);
        self.watcher.set_sources(all);
    }

    /// Refuses what only a restart can change, rather than obey a part of a file.
    fn refuse_restarts(&self, old: &Config, new: &Config) -> Result<(), Rejected> {
        let problems: Vec<_> = needs_restart(old, new)
            .into_iter()
            .flat_map(|key| {
                let message =
                    "a change of this needs a restart, or `tidegate upgrade`, which loses no \
                               connection; nothing was applied"
                        .into();
                refused(&self.path, key, message).problems
            })
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Rejected { problems })
        }
    }

    /// Lets the data plane obey what is next. Nothing of it can fail.
    fn obey(&mut self, live: &Arc<Live>, next: &Arc<Live>) {
        self.pointer.store(Arc::clone(&next.snapshot));
        self.builder
            .switches()
            .turn(&next.config, tokio::time::Instant::now());
        self.builder.ofrep().follow(next);
        self.guard.follow(&next.config.overload);
        follow::retire(&live.snapshot, &next.snapshot);
        follow::forgive(&next.snapshot);
        self.shared.live.store(Arc::clone(next));
    }

    /// Lets routes obey what was decided of releases and weights, and makes what is kept fit the file
    /// where that is still to be done: a release that waited for another one to end, something whose
    /// time is over, a disk that could not be written to.
    pub(in crate::control) async fn follow_releases(&mut self) {
        let Some(plane) = &self.plane else {
            return;
        };
        let live = self.shared.live.load_full();
        let now = SystemTime::now();
        let place = (plane.revision(), live.generation);
        if place != self.conformed || plane.has_expired(now) {
            plane
                .conform(&live.file, &live.config_sha256, Via::Reload)
                .await;
            self.conformed = place;
        }
        let revision = plane.revision();
        let overlay = plane.overlay(&live.file, now);
        if overlay != *live.overlay {
            self.reweigh(&live, overlay);
        }
        self.shared.obeyed.send_replace(revision);
    }

    /// Makes a snapshot of the same file with other weights live.
    fn reweigh(&mut self, live: &Arc<Live>, overlay: Overlay) {
        let began = Instant::now();
        let overlay = Arc::new(overlay);
        let config = releases::obeyed(&live.written, &overlay);
        let built = self
            .builder
            .build(&config, Some(&live.snapshot), &self.resolver, &self.path);
        let snapshot = match built {
            Ok(snapshot) => snapshot,
            // Certificates that cannot be read any more, and the like: the next second is another try.
            Err(rejected) => {
                error!(%rejected, "weights cannot be obeyed yet");
                return;
            }
        };
        let next = Arc::new(Live {
            generation: snapshot.generation,
            config_sha256: live.config_sha256.clone(),
            applied_at: SystemTime::now(),
            snapshot: Arc::new(snapshot),
            config,
            written: Arc::clone(&live.written),
            file: Arc::clone(&live.file),
            overlay,
            warnings: live.warnings.clone(),
            stands_in: live.stands_in.clone(),
            files_sha256: live.files_sha256,
            sources: live.sources.clone(),
        });
        self.obey(live, &next);
        self.checker.follow(&next.snapshot);
        let (generation, took) = (next.generation, began.elapsed());
        self.telemetry.recorder().weights_applied(generation);
        self.show();
        self.retired.add(Arc::clone(live));
        info!(generation, ?took, "weights applied");
    }

    /// Begins to look after releases.
    fn begin_releases(&mut self) {
        let Some(plane) = &mut self.plane else {
            return;
        };
        self.shared.desk.store(Some(Arc::new(plane.desk().clone())));
        plane.start(Arc::clone(&self.shared));
    }

    /// Opens the store again, after another process did not take over.
    pub(in crate::control) async fn resume_releases(&mut self) {
        if self.plane.take().is_none() {
            return;
        }
        let live = self.shared.live.load_full();
        match releases::open(&live.written, &self.path).await {
            Ok(plane) => self.plane = plane,
            Err(error) => error!(%error, "the store cannot be opened again"),
        }
        self.begin_releases();
    }
}
