//! What a row of answers means.

use crate::upstream::HealthCheck;

/// What is known of one endpoint's health, answer by answer.
///
/// The first answer decides at once: until there is one, an endpoint is taken for healthy, so that a
/// start does not wait. From then on it takes several of the other kind in a row.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Judge {
    is_healthy: Option<bool>,
    /// Answers in a row that speak against what it is.
    n_against: u32,
}

impl Judge {
    /// Begins with what is known already.
    pub fn new(is_healthy: Option<bool>) -> Self {
        Self {
            is_healthy,
            n_against: 0,
        }
    }

    /// Hears an answer; tells what the endpoint is from now on, where that is new.
    pub fn hear(&mut self, is_good: bool, check: &HealthCheck) -> Option<bool> {
        if self.is_healthy == Some(is_good) {
            self.n_against = 0;
            return None;
        }
        self.n_against += 1;
        let wanted = match (self.is_healthy, is_good) {
            (None, _) => 1,
            (Some(_), true) => check.healthy,
            (Some(_), false) => check.unhealthy,
        };
        if self.n_against < wanted {
            return None;
        }
        *self = Self::new(Some(is_good));
        Some(is_good)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use crate::upstream::{HealthCheck, Judge, Probe};

    fn check(healthy: u32, unhealthy: u32) -> HealthCheck {
        HealthCheck {
            probe: Probe::Tcp,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            healthy,
            unhealthy,
        }
    }

    #[test]
    fn the_first_answer_decides_and_then_it_takes_a_row() {
        let check = check(2, 3);
        let mut judge = Judge::default();
        assert_eq!(judge.hear(true, &check), Some(true));
        for (answer, told) in [
            (false, None),
            (false, None),
            // Not in a row any more.
            (true, None),
            (false, None),
            (false, None),
            (false, Some(false)),
            (false, None),
            (true, None),
            (false, None),
            (true, None),
            (true, Some(true)),
        ] {
            assert_eq!(judge.hear(answer, &check), told);
        }
        assert_eq!(Judge::default().hear(false, &check), Some(false));
        // What was known before a reload is not forgotten by it.
        assert_eq!(Judge::new(Some(true)).hear(false, &check), None);
    }

    proptest! {
        #[test]
        fn it_changes_only_after_so_many_of_the_other_kind_in_a_row(
            answers in vec(any::<bool>(), 1..200),
            healthy in 1_u32..6,
            unhealthy in 1_u32..6,
        ) {
            let check = check(healthy, unhealthy);
            let mut judge = Judge::default();
            let mut state = None;
            for (n, &answer) in answers.iter().enumerate() {
                let told = judge.hear(answer, &check);
                let row = answers[..=n].iter().rev().take_while(|&&one| one == answer).count();
                let wanted = match answer {
                    _ if state.is_none() => 1,
                    true => healthy,
                    false => unhealthy,
                };
                let expected = (state != Some(answer) && row >= wanted as usize).then_some(answer);
                prop_assert_eq!(told, expected);
                state = told.or(state);
            }
        }
    }
}
