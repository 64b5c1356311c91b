//! How often the A/A guard rejects: a simulation with a seed.
//!
//! A sixteenth of stable's users is held against the rest of them. Where errors are everybody's alike,
//! whoever is in it makes no difference; where they are those of a few clients that fail again and
//! again, it does, and then a candidate that gets one of these looks worse, too.

use crate::release::analysis::dice::Dice;
use crate::release::analysis::trial::{Count, Trial, errors};
use crate::release::analysis::{CheckVerdict, Users};

const SEED: u64 = 7;
const RUNS: usize = 150;
/// Ticks of 30 s before the step, from which the dispersion is known, and in it: an hour.
const TICKS: [usize; 2] = [20, 120];
/// Requests of a tick, at 10 in a second: of the candidate, of the slice, and of the rest of stable.
const REQUESTS: [u32; 3] = [15, 18, 267];
/// The part of them that is bad.
const BAD: f64 = 0.02;
/// The clients that make all errors, where they are not everybody's.
const CLIENTS: usize = 8;

/// How many of `n` are hit.
fn hits(dice: &mut Dice, n: u32, chance: f64) -> u32 {
    dice.binomial(f64::from(n), chance) as u32
}

/// A tick of errors that are everybody's.
fn clean(dice: &mut Dice) -> [Count; 3] {
    REQUESTS.map(|requests| (requests, hits(dice, requests, BAD)))
}

/// A tick of errors that are those of some clients, of which so many are in the slice.
fn dependent(dice: &mut Dice, in_slice: usize) -> [Count; 3] {
    let of_all: u32 = REQUESTS[1] + REQUESTS[2];
    // In four tries each makes its part of them.
    let each = f64::from(of_all) * BAD / CLIENTS as f64 / 4.0;
    let mut errors = |n: usize| (0..n).map(|_| hits(dice, 4, each)).sum::<u32>();
    let [slice, rest] = [errors(in_slice), errors(CLIENTS - in_slice)];
    let [candidate, of_slice, of_rest] = REQUESTS;
    [
        (candidate, hits(dice, candidate, BAD)),
        (of_slice, slice.min(of_slice)),
        (of_rest, rest),
    ]
}

/// Whether the guard rejects within the hour.
fn rejects(mut tick: impl FnMut() -> [Count; 3]) -> bool {
    let mut trial = Trial::new([("errors", errors())]);
    trial.settings.aa_guard = true;
    let mut pass = |trial: &mut Trial| {
        let [candidate, slice, rest] = tick();
        trial.sliced_tick(candidate, slice, rest);
    };
    (0..TICKS[0]).for_each(|_| pass(&mut trial));
    trial.step(Users::Divided, 600);
    (0..TICKS[1]).any(|_| {
        pass(&mut trial);
        trial.check("errors").verdict == CheckVerdict::Untrusted
    })
}

#[test]
fn the_guard_rejects_errors_of_a_few_clients_and_hardly_ever_everybodys() {
    let mut dice = Dice::new(SEED);
    let wrongly = (0..RUNS).filter(|_| rejects(|| clean(&mut dice))).count();
    let [mut with, mut found, mut without, mut found_without] = [0; 4];
    for _ in 0..RUNS {
        let in_slice = (0..CLIENTS).filter(|_| dice.uniform() < 1.0 / 16.0).count();
        let is_found = rejects(|| dependent(&mut dice, in_slice));
        if in_slice == 0 {
            without += 1;
            found_without += usize::from(is_found);
        } else {
            with += 1;
            found += usize::from(is_found);
        }
    }
    let rates = format!(
        "seed {SEED}: {wrongly} of {RUNS} rejected where errors are everybody's; where they are \
         those of {CLIENTS} clients, {found} of {with} with one of them in the slice, and \
         {found_without} of {without} without"
    );
    println!("{rates}");
    assert!(wrongly * 50 <= RUNS, "{rates}");
    assert!(found * 3 >= with * 2, "{rates}");
    assert!(found_without * 50 <= without.max(50), "{rates}");
}
