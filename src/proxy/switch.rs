//! The switch of a variant's tunnels, by which those that are open learn that they are to end, for
//! the variant was switched off or removed.
//!
//! It outlives snapshots, which tunnels do not hold. `control` alone turns it; requests that are no
//! tunnels never look at it, and a tunnel reads one number whenever it moves bytes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::http1::Deadline;

/// 2^64 over the golden ratio: its multiples divide any stretch evenly, however many there are.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// When tunnels are cut: spread over a time, so that their clients do not come back all at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cut {
    /// When the first ones are.
    pub from: Instant,
    /// Over how long.
    pub spread: Duration,
}

impl Cut {
    /// When a tunnel is cut, by its number; any few of them in a row are evenly spread.
    fn due(&self, number: u64) -> Instant {
        // The upper 53 bits, which an f64 holds exactly.
        let share = (number.wrapping_mul(GOLDEN) >> 11) as f64 / (1_u64 << 53) as f64;
        self.from + self.spread.mul_f64(share)
    }
}

/// The switch of the tunnels of one variant.
#[derive(Debug, Default)]
pub struct TunnelSwitch {
    /// How often it was turned.
    turns: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cut: Option<Cut>,
    last_number: u64,
    /// Those that are open, by their numbers, and how they are woken.
    open: BTreeMap<u64, Waker>,
}

impl TunnelSwitch {
    /// Says when its tunnels are cut, those that are open and those that are still to be; `None` is
    /// never. Tells how many are open.
    pub fn turn(&self, cut: Option<Cut>) -> usize {
        let mut state = self.lock();
        if state.cut != cut {
            state.cut = cut;
            self.turns.fetch_add(1, Ordering::Release);
            for waker in state.open.values() {
                waker.wake_by_ref();
            }
        }
        state.open.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is in it is whole at any time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One tunnel's view of its switch; it is open for as long as this lives.
#[derive(Debug)]
pub(crate) struct Watch {
    switch: Arc<TunnelSwitch>,
    number: u64,
    /// The turn that was seen last; `None` before the first look.
    seen: Option<u32>,
    /// When it is cut, if it is.
    deadline: Option<Deadline>,
}

impl Watch {
    /// Begins to watch.
    pub(crate) fn new(switch: Arc<TunnelSwitch>) -> Self {
        let mut state = switch.lock();
        state.last_number += 1;
        let number = state.last_number;
        drop(state);
        Self {
            switch,
            number,
            seen: None,
            deadline: None,
        }
    }

    /// Ready when the tunnel is to be cut.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let turns = self.switch.turns.load(Ordering::Acquire);
        if self.seen != Some(turns) {
            self.look(context);
        }
        match &mut self.deadline {
            Some(deadline) => deadline.poll(context),
            None => Poll::Pending,
        }
    }

    fn look(&mut self, context: &Context<'_>) {
        let mut state = self.switch.lock();
        self.seen = Some(self.switch.turns.load(Ordering::Acquire));
        // The waker of a tunnel's task does not change while it lives.
        let waker = || context.waker().clone();
        state.open.entry(self.number).or_insert_with(waker);
        self.deadline = state.cut.map(|cut| {
            let mut deadline = Deadline::new();
            deadline.set_at(cut.due(self.number));
            deadline
        });
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.switch.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::{prop_assert, proptest};
    use tokio::time::{Instant, advance};

    use crate::proxy::switch::{Cut, TunnelSwitch, Watch};

    const SPREAD: Duration = Duration::from_secs(10);

    /// Runs a tunnel until it is cut.
    fn tunnel(switch: &Arc<TunnelSwitch>) -> tokio::task::JoinHandle<Duration> {
        let mut watch = Watch::new(Arc::clone(switch));
        let start = Instant::now();
        tokio::spawn(async move {
            poll_fn(|context| watch.poll(context)).await;
            start.elapsed()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn tunnels_are_cut_evenly_over_the_spread() {
        let switch: Arc<TunnelSwitch> = Arc::default();
        let tunnels: Vec<_> = (0..100).map(|_| tunnel(&switch)).collect();
        while switch.turn(None) < tunnels.len() {
            tokio::task::yield_now().await;
        }
        let from = Instant::now() + Duration::from_secs(60);
        let spread = SPREAD;
        assert_eq!(switch.turn(Some(Cut { from, spread })), 100);
        let mut in_each_second = [0; 10];
        for tunnel in tunnels {
            let after = tunnel.await.unwrap() - Duration::from_secs(60);
            in_each_second[usize::try_from(after.as_secs()).unwrap()] += 1;
        }
        assert!(
            in_each_second.iter().all(|n| (9..=11).contains(n)),
            "{in_each_second:?}"
        );
        assert_eq!(switch.turn(None), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_switched_on_again_in_time_is_not_cut() {
        let switch = Arc::default();
        let kept = tunnel(&switch);
        tokio::task::yield_now().await;
        let cut = |from| {
            Some(Cut {
                from,
                spread: Duration::ZERO,
            })
        };
        switch.turn(cut(Instant::now() + SPREAD));
        advance(SPREAD / 2).await;
        switch.turn(None);
        advance(10 * SPREAD).await;
        tokio::task::yield_now().await;
        assert!(!kept.is_finished());
        switch.turn(cut(Instant::now()));
        assert_eq!(kept.await.unwrap(), 10 * SPREAD + SPREAD / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_that_opens_after_the_switch_was_turned_is_cut_as_well() {
        let switch = Arc::default();
        let from = Instant::now() + SPREAD;
        TunnelSwitch::turn(
            &switch,
            Some(Cut {
                from,
                spread: Duration::ZERO,
            }),
        );
        assert_eq!(tunnel(&switch).await.unwrap(), SPREAD);
        assert_eq!(tunnel(&switch).await.unwrap(), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn a_cut_lies_within_its_spread(number: u64, millis in 0_u64..1_000_000_000) {
            let cut = Cut { from: Instant::now(), spread: Duration::from_millis(millis) };
            let due = cut.due(number);
            prop_assert!(cut.from <= due && due <= cut.from + cut.spread);
        }
    }
}
