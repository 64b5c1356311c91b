//! What of a route's requests is mirrored, and where to.

use std::sync::Arc;
use std::time::Duration;

use crate::message::Framing;
use crate::proxy::headers::FieldEdits;
use crate::proxy::mirror::Cap;
use crate::proxy::mirror::Compare;
use crate::proxy::mirror::cap::Permit;
use crate::split::{Draw, Sample};
use crate::telemetry::stats::MirrorStats;

/// What of a route's requests is mirrored, and where to.
#[derive(Debug)]
pub struct Mirror {
    /// The name of the variant, or of the upstream.
    pub name: Arc<str>,
    /// Where in [`Snapshot::upstreams`](crate::proxy::Snapshot::upstreams) its upstream is.
    pub upstream: usize,
    /// The part of the requests.
    pub sample: Sample,
    /// The draw for requests without a key; it outlives the snapshot.
    pub draw: Arc<Draw>,
    /// The methods of requests that are mirrored.
    pub methods: Vec<Box<[u8]>>,
    /// How long a copy may take from its sending to the end of its answer.
    pub timeout: Duration,
    /// How many bytes of a request's body are kept at most.
    pub body_bytes: usize,
    /// What of the answers is compared, if they are.
    pub compare: Option<Compare>,
    /// What changes in the fields of a copy.
    pub request: FieldEdits,
    /// How many copies may be under way at a time: of this route, and of all.
    pub caps: [Arc<Cap>; 2],
    /// Its numbers.
    pub stats: Arc<MirrorStats>,
}

/// What of a request decides whether it is mirrored.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy::mirror) struct Asked<'a> {
    pub(in crate::proxy::mirror) method: &'a [u8],
    pub(in crate::proxy::mirror) framing: Framing,
    /// True when its connection is to become a tunnel.
    pub(in crate::proxy::mirror) upgrade: bool,
    /// True when it goes to the mirror's upstream itself.
    pub(in crate::proxy::mirror) goes_there: bool,
}

/// Whether a request is mirrored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::proxy::mirror) enum Verdict {
    /// It is, if there may be one more.
    Mirror,
    /// It would be, and its body is larger than what is kept of one.
    TooLarge,
    /// It is not.
    Leave,
}

impl Mirror {
    /// Tells whether a request is mirrored; `is_sampled` is asked only of one that could be.
    pub(in crate::proxy::mirror) fn judge(
        &self,
        asked: &Asked<'_>,
        is_sampled: impl FnOnce() -> bool,
    ) -> Verdict {
        let is_meant = !asked.upgrade
            && !asked.goes_there
            && self.methods.iter().any(|method| **method == *asked.method);
        if !is_meant || !is_sampled() {
            return Verdict::Leave;
        }
        match asked.framing {
            Framing::Length(n) if n > self.body_bytes as u64 => Verdict::TooLarge,
            Framing::None | Framing::Length(_) | Framing::Chunked | Framing::UntilClose => {
                Verdict::Mirror
            }
        }
    }

    /// Takes a place for one copy, if there is one.
    pub(in crate::proxy::mirror) fn enter(&self) -> Option<[Permit; 2]> {
        let [of_route, of_all] = &self.caps;
        let own = of_route.enter()?;
        Some([own, of_all.enter()?])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::message::Framing;
    use crate::proxy::FieldEdits;
    use crate::proxy::mirror::Cap;
    use crate::proxy::mirror::rule::{Asked, Mirror, Verdict};
    use crate::split::{Draw, Sample};
    use crate::telemetry::stats::{Buckets, MirrorStats, VariantLabels};

    fn rule(methods: &[&str], caps: [usize; 2]) -> Mirror {
        let labels = VariantLabels {
            route: "shop".into(),
            variant: "canary".into(),
            upstream: "shop-v2".into(),
        };
        Mirror {
            name: "canary".into(),
            upstream: 1,
            sample: Sample::new(100.0, "shop"),
            draw: Arc::new(Draw::new(1, 0)),
            methods: methods.iter().map(|name| name.as_bytes().into()).collect(),
            timeout: Duration::from_secs(1),
            body_bytes: 64,
            compare: None,
            request: FieldEdits::default(),
            caps: caps.map(|most| Arc::new(Cap::new(most))),
            stats: Arc::new(MirrorStats::new(labels, 1, Arc::new(Buckets::default()))),
        }
    }

    const GET: Asked<'_> = Asked {
        method: b"GET",
        framing: Framing::None,
        upgrade: false,
        goes_there: false,
    };

    #[track_caller]
    fn check(asked: Asked<'_>, expected: Verdict) {
        assert_eq!(
            rule(&["GET", "PUT"], [1, 1]).judge(&asked, || true),
            expected
        );
    }

    #[test]
    fn what_belongs_to_the_sample_is_mirrored() {
        check(GET, Verdict::Mirror);
        let is_sampled = || false;
        assert_eq!(
            rule(&["GET"], [1, 1]).judge(&GET, is_sampled),
            Verdict::Leave
        );
    }

    #[test]
    fn other_methods_are_not_mirrored() {
        for method in [&b"POST"[..], b"get", b"GETS", b""] {
            check(Asked { method, ..GET }, Verdict::Leave);
        }
    }

    #[test]
    fn what_becomes_a_tunnel_or_goes_there_anyway_is_not_mirrored() {
        check(
            Asked {
                upgrade: true,
                ..GET
            },
            Verdict::Leave,
        );
        check(
            Asked {
                goes_there: true,
                ..GET
            },
            Verdict::Leave,
        );
    }

    #[test]
    fn a_body_that_says_it_is_too_large_is_not_mirrored() {
        for (framing, expected) in [
            (Framing::Length(64), Verdict::Mirror),
            (Framing::Length(65), Verdict::TooLarge),
            (Framing::Chunked, Verdict::Mirror),
        ] {
            let method = b"PUT";
            check(
                Asked {
                    method,
                    framing,
                    ..GET
                },
                expected,
            );
        }
    }

    #[test]
    fn who_is_not_meant_is_not_drawn() {
        let asked = Asked {
            upgrade: true,
            ..GET
        };
        let verdict = rule(&["GET"], [1, 1]).judge(&asked, || unreachable!("it is not asked"));
        assert_eq!(verdict, Verdict::Leave);
    }

    #[test]
    fn a_copy_needs_a_place_of_its_route_and_one_of_all() {
        for caps in [[1, 2], [2, 1]] {
            let rule = rule(&["GET"], caps);
            let first = rule.enter();
            assert!(first.is_some());
            assert!(rule.enter().is_none());
            drop(first);
            assert!(
                rule.enter().is_some(),
                "what was taken in vain was given back"
            );
        }
    }
}
