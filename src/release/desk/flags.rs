//! What is asked of flags.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::flag::Use;
use crate::release::desk::{Desk, DeskError, expect, unknown};
use crate::release::flags::{FlagCommand, FlagContext, Kept, obey, target};
use crate::release::freeze::{Act, Move, blocked};
use crate::release::keys;
use crate::release::ledger::Cause;
use crate::release::reconcile::{Change, Effect};
use crate::release::role::Roles;
use crate::release::state::{Said, State};
use crate::store::Committed;

impl Desk {
    /// The evidence of the use of flags, by name.
    pub fn uses(&self) -> Arc<BTreeMap<String, Use>> {
        self.uses.load_full()
    }

    /// Shows the evidence of the use of flags.
    pub fn show_uses(&self, uses: BTreeMap<String, Use>) {
        self.uses.store(Arc::new(uses));
    }

    /// Asks something of a flag; gives what is kept of it then. A kill holds the release that rolls the
    /// flag out, too: nobody would see what it does.
    ///
    /// # Errors
    /// When it is refused; then nothing has changed.
    pub async fn flag(
        &self,
        name: &str,
        command: &FlagCommand,
        roles: &Roles,
        revision: Option<u64>,
        cause: &Cause,
    ) -> Result<(Kept, Committed), DeskError> {
        self.repeat(revision, |page| {
            let board = self.board();
            let file = board.world.file.flags.get(name);
            let kept = page.known.flags.get(name).cloned().unwrap_or_default();
            // A kill outlives the flag, and can be taken back all the same.
            let is_left = *command == FlagCommand::Unkill && kept.killed.is_some();
            if file.is_none() && !is_left {
                return Err(unknown("flag", name));
            }
            expect(page, &keys::flag(name), revision)?;
            let routes = file.map_or(&[][..], |file| &file.routes);
            let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
            let asked = Move {
                act: Act::Flag,
                routes: &routes,
                release: None,
            };
            let release = page.known.active(&target(name));
            let owner = release.filter(|state| state.phase.owns_weights());
            let context = FlagContext {
                file,
                by: &cause.actor.id,
                roles,
                reason: &cause.reason,
                now: cause.at,
                frozen: blocked(
                    &board.world.rules.freezes,
                    &page.overridden,
                    &asked,
                    cause.at,
                ),
                line: page.line.as_ref(),
                release: owner.map(|state| state.spec.id.as_str()),
            };
            let next = obey(command, &kept, &context)?;
            let held = release.filter(|_| *command == FlagCommand::Kill);
            let held = held.and_then(|state| held_by_kill(state, cause));
            let change = Change {
                action: command.action(),
                reason: cause.reason.clone(),
                effect: Effect::Flag(name.to_owned(), next.clone(), held.map(Box::new)),
            };
            Ok((next, self.ledger.commit(page, &change, cause.clone())))
        })
        .await
    }
}

/// A release that is held because its flag is killed; nothing where somebody holds it already.
fn held_by_kill(state: &State, cause: &Cause) -> Option<State> {
    if state.paused.is_some() {
        return None;
    }
    let mut held = state.clone();
    held.paused = Some(Said {
        by: cause.actor.id.clone(),
        reason: format!("its flag is killed: {}", cause.reason),
        at: cause.at,
    });
    Some(held)
}
