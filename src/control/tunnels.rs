//! Tunnels of variants that were switched off or removed: when they are cut.
//!
//! A tunnel outlives the snapshot that it was opened under, and what is decided about it after that
//! reaches it by the switch of its variant. Switches are known by what the variant's numbers are
//! known by: a variant that is given another upstream is another one, and the one before removed.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::info;

use crate::config::{Config, TunnelsConfig};
use crate::proxy::{Cut, TunnelSwitch};
use crate::split::State;
use crate::telemetry::stats::VariantLabels;

/// The switches of all variants that are configured, or were and have tunnels still.
#[derive(Debug, Default)]
pub(in crate::control) struct Switches {
    known: HashMap<VariantLabels, Known>,
}

#[derive(Debug, Default)]
struct Known {
    switch: Arc<TunnelSwitch>,
    /// What its route said last.
    policy: TunnelsConfig,
    /// Since when it is off or removed, and what follows from that.
    off: Option<Off>,
}

/// A variant that is off or removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Off {
    since: Instant,
    policy: TunnelsConfig,
    cut: Option<Cut>,
}

impl Off {
    /// What becomes of the tunnels of a variant that is off `now`, after what was said `before`.
    fn next(before: Option<Self>, policy: TunnelsConfig, now: Instant) -> Self {
        if let Some(before) = before
            && before.policy == policy
        {
            return before;
        }
        let since = before.map_or(now, |before| before.since);
        let cut = policy.on_off.kept().map(|kept| Cut {
            // Said later than it would have been due, it still takes its time.
            from: (since + kept).max(now),
            spread: policy.spread,
        });
        Self { since, policy, cut }
    }
}

impl Switches {
    /// The switch of a variant.
    pub(in crate::control) fn of(&mut self, labels: &VariantLabels) -> Arc<TunnelSwitch> {
        let known = self.known.entry(labels.clone()).or_default();
        Arc::clone(&known.switch)
    }

    /// Turns them as a configuration says that has just become live.
    pub(in crate::control) fn turn(&mut self, config: &Config, now: Instant) {
        let mut live = HashMap::new();
        for (name, route) in &config.routes {
            let variants = route.split_spec.variants.iter().zip(&route.upstreams);
            for (variant, upstream) in variants {
                let key = (name.as_str(), variant.name.as_str(), upstream.as_str());
                live.insert(key, variant.state);
            }
        }
        self.known.retain(|labels, known| {
            let key = (&*labels.route, &*labels.variant, &*labels.upstream);
            let state = live.get(&key);
            // A route that is no more has said what holds.
            if let Some(route) = config.routes.get(&*labels.route) {
                known.policy = route.tunnels;
            }
            let before = known.off.and_then(|off| off.cut);
            known.off = match state {
                Some(State::On) => None,
                Some(State::Off) | None => Some(Off::next(known.off, known.policy, now)),
            };
            let cut = known.off.and_then(|off| off.cut);
            if cut != before {
                let tunnels = known.switch.turn(cut);
                tell(labels, tunnels, cut, now);
            }
            // Nobody else has it once the last snapshot and the last tunnel have let it go.
            state.is_some() || Arc::strong_count(&known.switch) > 1
        });
    }
}

fn tell(labels: &VariantLabels, tunnels: usize, cut: Option<Cut>, now: Instant) {
    if tunnels == 0 {
        return;
    }
    let VariantLabels { route, variant, .. } = labels;
    match cut {
        Some(cut) => {
            let (after, spread) = (cut.from - now, cut.spread);
            info!(%route, %variant, tunnels, ?after, ?spread, "tunnels will be cut");
        }
        None => info!(%route, %variant, tunnels, "tunnels are kept"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use crate::config::{OnOff, TunnelsConfig};
    use crate::control::tunnels::Off;
    use crate::proxy::Cut;

    const HOUR: Duration = Duration::from_secs(3600);
    const SPREAD: Duration = Duration::from_secs(5);

    fn policy(on_off: OnOff) -> TunnelsConfig {
        let spread = SPREAD;
        TunnelsConfig { on_off, spread }
    }

    #[track_caller]
    fn check(off: Off, from: Option<Instant>) {
        let spread = SPREAD;
        assert_eq!(off.cut, from.map(|from| Cut { from, spread }));
    }

    #[test]
    fn tunnels_are_cut_when_the_policy_says_so_and_no_reload_puts_it_off() {
        let start = Instant::now();
        let off = Off::next(None, policy(OnOff::Keep), start);
        check(off, None);
        let off = Off::next(None, policy(OnOff::Cut), start);
        check(off, Some(start));
        check(
            Off::next(Some(off), policy(OnOff::Cut), start + HOUR),
            Some(start),
        );
        let off = Off::next(None, policy(OnOff::After(HOUR)), start);
        check(off, Some(start + HOUR));
        let later = Off::next(Some(off), policy(OnOff::After(HOUR)), start + HOUR / 2);
        check(later, Some(start + HOUR));
    }

    #[test]
    fn a_policy_that_changes_counts_from_the_switching_off_and_never_from_the_past() {
        let start = Instant::now();
        let kept = Off::next(None, policy(OnOff::Keep), start);
        let later = start + HOUR;
        check(
            Off::next(Some(kept), policy(OnOff::Cut), later),
            Some(later),
        );
        let after = |hours| policy(OnOff::After(hours * HOUR));
        check(
            Off::next(Some(kept), after(3), later),
            Some(start + 3 * HOUR),
        );
        let soon = Off::next(Some(kept), after(3), later);
        check(
            Off::next(Some(soon), policy(OnOff::Keep), later + HOUR),
            None,
        );
    }
}
