//! What may be asked of a flag, and what becomes of it.
//!
//! What takes a flag to its off variant is never in anybody's way: a kill, and to disable it. What
//! takes it forward waits for freezes and for the line like any release: to take a kill back, to
//! enable, to override, and to clear an override, which is another change of what users get.

use std::collections::BTreeMap;
use std::time::SystemTime;

use thiserror::Error;

use crate::flag::Serve;
use crate::release::flags::{FlagInFile, Kept, Served, Set, USUAL};
use crate::release::freeze::Blocking;
use crate::release::role::{Permission, Role, Roles};
use crate::release::state::Said;
use crate::store::instant;

/// The largest weight.
const MAX_WEIGHT: u32 = 1_000_000;

/// What is asked of a flag.
#[derive(Clone, Debug, PartialEq)]
pub enum FlagCommand {
    /// To serve its off variant to everyone, until that is taken back.
    Kill,
    /// To take that back.
    Unkill,
    /// To have it on.
    Enable(Lasts),
    /// To have it off.
    Disable(Lasts),
    /// To serve this to everyone.
    Override(Serve, Lasts),
    /// To take that back.
    Clear,
}

/// How long something that is set holds, if the file does not change before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lasts {
    /// As long as is usual: a day of what takes a flag forward, for ever of what takes it off, because
    /// nothing is to come on by itself.
    Usual,
    /// Until then.
    Until(SystemTime),
    /// Until somebody takes it back.
    Permanent,
}

/// What a command is judged by.
#[derive(Clone, Debug)]
pub struct FlagContext<'a> {
    /// What the file says of the flag; nothing where it is gone from there.
    pub file: Option<&'a FlagInFile>,
    /// Who asks.
    pub by: &'a str,
    /// What they may do.
    pub roles: &'a Roles,
    /// Why.
    pub reason: &'a str,
    /// When.
    pub now: SystemTime,
    /// The freezes that are in the way of a flag's change.
    pub frozen: Vec<Blocking>,
    /// Who stopped the line, if somebody did.
    pub line: Option<&'a Said>,
    /// The release that rolls the flag out, if one does.
    pub release: Option<&'a str>,
}

/// Why that is refused.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum FlagRefusal {
    /// Who asks may not.
    #[error("it needs the role {}: the flag has no kill switch for others", names(.0))]
    NotAllowed(Vec<Role>),
    /// A freeze is in the way.
    #[error("the freeze {} is in the way{}", frozen(.0), until(.0))]
    Frozen(Vec<Blocking>),
    /// The line is stopped.
    #[error("the line is stopped by {}: {}", .0.by, .0.reason)]
    Stopped(Said),
    /// A release decides what it serves.
    #[error("the release `{0}` decides what it serves")]
    Released(String),
    /// It is not killed.
    #[error("it is not killed")]
    NotKilled,
    /// Nothing was set.
    #[error("nothing was set that it serves")]
    NotSet,
    /// There is no such variant.
    #[error("it has no variant `{name}`; it has {}", .known.join(", "))]
    NoVariant {
        /// What was named.
        name: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// The weights make no sense.
    #[error("{0}")]
    Weights(String),
    /// It would be over at once.
    #[error("its end is not to come")]
    Over,
}

impl FlagCommand {
    /// Its name in the audit trail.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Kill => "flag.kill",
            Self::Unkill => "flag.unkill",
            Self::Enable(_) => "flag.enable",
            Self::Disable(_) => "flag.disable",
            Self::Override(..) => "flag.override",
            Self::Clear => "flag.clear",
        }
    }

    /// Whether it can only take the flag to its off variant.
    pub fn is_toward_off(&self) -> bool {
        match self {
            Self::Kill | Self::Disable(_) => true,
            Self::Unkill | Self::Enable(_) | Self::Override(..) | Self::Clear => false,
        }
    }
}

/// What is kept of a flag when it obeys a command.
///
/// # Errors
/// When it does not.
pub fn obey(
    command: &FlagCommand,
    kept: &Kept,
    context: &FlagContext<'_>,
) -> Result<Kept, FlagRefusal> {
    let mut next = kept.clone();
    let has_switch = context.file.is_none_or(|file| file.kill_switch);
    if *command == FlagCommand::Kill && !has_switch && !context.roles.may(Permission::EditFlag) {
        let may = Permission::EditFlag.granted_to().to_vec();
        return Err(FlagRefusal::NotAllowed(may));
    }
    if !command.is_toward_off() {
        if let Some(said) = context.line {
            return Err(FlagRefusal::Stopped(said.clone()));
        }
        if !context.frozen.is_empty() {
            return Err(FlagRefusal::Frozen(context.frozen.clone()));
        }
    }
    match command {
        FlagCommand::Kill => {
            next.killed = Some(Said {
                by: context.by.to_owned(),
                reason: context.reason.to_owned(),
                at: context.now,
            });
        }
        FlagCommand::Unkill => {
            next.killed.take().ok_or(FlagRefusal::NotKilled)?;
        }
        FlagCommand::Enable(lasts) => next.enabled = switch(true, *lasts, context)?,
        FlagCommand::Disable(lasts) => {
            let lasts = match lasts {
                // Nothing is to come on by itself.
                Lasts::Usual => Lasts::Permanent,
                Lasts::Until(_) | Lasts::Permanent => *lasts,
            };
            next.enabled = switch(false, lasts, context)?;
        }
        FlagCommand::Override(serve, lasts) => {
            if let Some(release) = context.release {
                return Err(FlagRefusal::Released(release.to_owned()));
            }
            let file = context.file;
            check(serve, file.map_or(&[], |file| &file.variants))?;
            let basis = file.map_or_else(String::new, |file| file.version.clone());
            next.serve = Some(set(Served(serve.clone()), basis, *lasts, context)?);
        }
        FlagCommand::Clear => {
            next.serve.take().ok_or(FlagRefusal::NotSet)?;
        }
    }
    Ok(next)
}

/// Whether a flag is on: nothing is kept of it where the file says so, too.
fn switch(
    on: bool,
    lasts: Lasts,
    context: &FlagContext<'_>,
) -> Result<Option<Set<bool>>, FlagRefusal> {
    let basis = context.file.map(FlagInFile::enabled_basis);
    let set = set(on, basis.unwrap_or_default(), lasts, context)?;
    let is_wished = context.file.is_some_and(|file| file.enabled == on);
    Ok(Some(set).filter(|_| !is_wished))
}

fn set<T>(
    value: T,
    basis: String,
    lasts: Lasts,
    context: &FlagContext<'_>,
) -> Result<Set<T>, FlagRefusal> {
    let expires = match lasts {
        Lasts::Usual => instant::after(context.now, USUAL),
        Lasts::Until(at) if at <= context.now => return Err(FlagRefusal::Over),
        Lasts::Until(at) => Some(at),
        Lasts::Permanent => None,
    };
    Ok(Set {
        value,
        basis,
        by: context.by.to_owned(),
        reason: context.reason.to_owned(),
        at: context.now,
        expires,
    })
}

fn check(serve: &Serve, known: &[String]) -> Result<(), FlagRefusal> {
    let split = match serve {
        Serve::Variant(name) => &BTreeMap::from([(name.clone(), 1)]),
        Serve::Split(weights) => weights,
    };
    if let Some(name) = split.keys().find(|name| !known.contains(name)) {
        return Err(FlagRefusal::NoVariant {
            name: name.clone(),
            known: known.to_vec(),
        });
    }
    if split.values().all(|&weight| weight == 0) {
        let why = "one weight at least has to be more than 0";
        return Err(FlagRefusal::Weights(why.to_owned()));
    }
    match split.values().find(|&&weight| MAX_WEIGHT < weight) {
        Some(weight) => Err(FlagRefusal::Weights(format!(
            "{weight} is over {MAX_WEIGHT}"
        ))),
        None => Ok(()),
    }
}

fn names(roles: &[Role]) -> String {
    let names: Vec<&str> = roles.iter().map(Role::name).collect();
    names.join(" or ")
}

fn frozen(blocking: &[Blocking]) -> String {
    let names: Vec<&str> = blocking.iter().map(|by| by.freeze.as_str()).collect();
    names.join(", ")
}

fn until(blocking: &[Blocking]) -> String {
    let ends: Option<Vec<SystemTime>> = blocking.iter().map(|by| by.until).collect();
    let end = ends.and_then(|ends| ends.into_iter().max());
    end.map_or_else(String::new, |end| format!(" until {}", instant::text(end)))
}
