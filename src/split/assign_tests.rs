//! What splits promise about requests: forcing, keys, cookies, draws, and who stands in.

use std::net::IpAddr;
use std::time::Duration;

use crate::message::RequestHead;
use crate::split::tests::{noise, spec};
use crate::split::{
    Asked, Assignment, Draw, Force, ForceRejected, Identity, Reason, Split, SplitError, SplitSpec,
    Sticky, StickyCookie,
};

const FRESH: u128 = 0x1234;

/// A request to `/?query` with fields written as `name: value`, one a line.
pub(in crate::split) fn request(query: &str, fields: &str) -> RequestHead {
    let mut head = RequestHead::default();
    head.query = Some(head.append(query.as_bytes()));
    for (name, value) in fields.lines().filter_map(|line| line.split_once(": ")) {
        head.append_field(name.as_bytes(), value.as_bytes());
    }
    head
}

/// Assigns a request while these variants are available.
pub(in crate::split) fn assign_among(
    split: &Split,
    request: &RequestHead,
    available: &[usize],
) -> Assignment {
    let client: IpAddr = "192.0.2.1".parse().unwrap();
    let draw = Draw::new(1, 0);
    split.assign(
        &Asked::plain(request, client),
        |_| draw.point(0),
        || FRESH,
        |variant| available.contains(&variant),
    )
}

/// Assigns a request while all variants are available.
pub(in crate::split) fn assign(split: &Split, request: &RequestHead) -> Assignment {
    assign_among(split, request, &[0, 1, 2, 3])
}

fn forced(variants: &str) -> Split {
    Split::new(SplitSpec {
        force: Some(Force {
            header: Some("X-Variant".to_owned()),
            cookie: Some("variant".to_owned()),
            query: Some("variant".to_owned()),
            ..Force::default()
        }),
        ..spec(variants)
    })
    .unwrap()
}

fn sticky(variants: &str, keys: &[&str], cookie: bool) -> Split {
    Split::new(SplitSpec {
        sticky: Some(Sticky {
            keys: keys.iter().map(|key| key.parse().unwrap()).collect(),
            cookie: cookie.then(StickyCookie::identity),
            pin: None,
        }),
        ..spec(variants)
    })
    .unwrap()
}

#[test]
fn a_forced_variant_is_served_at_weight_0_and_never_replaced() {
    let split = forced("stable=1 canary=0");
    for request in [
        request("", "x-variant: canary"),
        request("", "Cookie: a=b; variant=canary"),
        request("variant=canary", ""),
        request("variant=never", "x-variant: always\ncookie: variant=stable"),
        request("variant=stable", "cookie: variant=canary"),
        request("", "cookie: variant=x; variant=canary"),
    ] {
        let assignment = assign(&split, &request);
        assert_eq!((assignment.variant, assignment.reason), (1, Reason::Forced));
        assert_eq!(assignment.served, Some(1));
        let assignment = assign_among(&split, &request, &[0]);
        assert_eq!((assignment.variant, assignment.served), (1, None));
    }
}

#[test]
fn a_value_that_forces_nothing_is_told_and_otherwise_as_if_it_were_not_there() {
    let split = forced("stable=1 canary=off");
    for (value, rejected) in [
        ("canary", ForceRejected::Off),
        ("always", ForceRejected::Off),
        ("Stable", ForceRejected::Unknown),
        ("", ForceRejected::Unknown),
    ] {
        let assignment = assign(&split, &request("", &format!("x-variant: {value}")));
        assert_eq!((assignment.variant, assignment.reason), (0, Reason::Draw));
        assert_eq!(assignment.force_rejected, Some(rejected), "{value}");
    }
    let assignment = assign(&split, &request("variant=stable", "x-variant: x"));
    assert_eq!(assignment.reason, Reason::Forced);
    assert_eq!(assignment.force_rejected, Some(ForceRejected::Unknown));
}

#[test]
fn always_and_never_mean_the_newer_of_two_if_its_name_says_so() {
    for (variants, value, variant) in [
        ("stable=1 canary=1", "always", Some(1)),
        ("stable=1 canary=1", "never", Some(0)),
        ("green=1 blue=1", "always", Some(0)),
        ("a=1 candidate=1", "never", Some(0)),
        ("a=1 b=1", "always", None),
        ("green=1 canary=1", "always", None),
        ("stable=1 canary=1 c=1", "always", None),
        ("always=1 canary=1", "always", Some(0)),
    ] {
        let assignment = assign(&forced(variants), &request(&format!("variant={value}"), ""));
        let forced = (assignment.reason == Reason::Forced).then_some(assignment.variant);
        assert_eq!(forced, variant, "{variants} {value}");
    }
}

#[test]
fn the_first_key_that_is_there_decides() {
    let split = sticky(
        "a=1 b=1",
        &["header:x-user", "cookie:sid", "query:u", "client_ip"],
        false,
    );
    for (request, key) in [
        (request("u=4", "X-User: 1\nx-user: 2\ncookie: sid=3"), "1"),
        (request("u=4", "x-user: \ncookie: sid=3"), "3"),
        (request("u=4", "cookie: sid="), "4"),
        (request("u=", ""), "192.0.2.1"),
    ] {
        let client = "192.0.2.1".parse().unwrap();
        assert_eq!(
            split.key(&request, client).unwrap().as_bytes(),
            key.as_bytes()
        );
        let assignment = assign(&split, &request);
        assert_eq!(assignment.reason, Reason::Hash);
        assert_eq!(
            assignment.variant,
            split.explain(None, key.as_bytes()).chosen
        );
        assert_eq!(assignment.issue_identity, None);
    }
}

#[test]
fn a_client_without_a_key_gets_an_identity_and_stays_where_it_put_it() {
    let split = sticky("a=1 b=1 c=1", &["header:x-user"], true);
    for n in 0..200 {
        let bits = u128::from(noise(n)) << 64 | u128::from(noise(n + 1000));
        let client = "192.0.2.1".parse().unwrap();
        let draw = Draw::new(1, 0);
        let first = split.assign(
            &Asked::plain(&request("", ""), client),
            |_| draw.point(0),
            || bits,
            |_| true,
        );
        let identity = first.issue_identity.unwrap();
        assert_eq!(identity, Identity::from_bits(bits));

        let digits = String::from_utf8(identity.as_bytes().to_vec()).unwrap();
        let again = request("", &format!("cookie: tidegate_id=x; tidegate_id={digits}"));
        let second = assign(&split, &again);
        assert_eq!(
            (second.variant, second.reason),
            (first.variant, Reason::Hash)
        );
        assert_eq!(second.issue_identity, None);
        let with_key = assign(
            &split,
            &request("", &format!("x-user: u\ncookie: tidegate_id={digits}")),
        );
        assert_eq!(with_key.variant, split.explain(None, b"u").chosen);
    }
    let forged = assign(&split, &request("", "cookie: tidegate_id=0000"));
    assert_eq!(forged.issue_identity, Some(Identity::from_bits(FRESH)));
}

#[test]
fn without_a_key_and_a_cookie_the_draw_decides() {
    let split = sticky("a=1 b=1", &["header:x-user"], false);
    assert_eq!(assign(&split, &request("", "")).reason, Reason::Draw);
    assert_eq!(
        assign(&split, &request("", "x-user: 1")).reason,
        Reason::Hash
    );
}

#[test]
fn nobody_serves_what_is_off_or_unavailable_as_a_whole() {
    for (variants, available) in [
        ("a=off b=0", &[0, 1][..]),
        ("a=1 b=1", &[]),
        ("a=1 b=0", &[1]),
    ] {
        for keys in [&[][..], &["client_ip"]] {
            let split = match keys {
                [] => Split::new(spec(variants)).unwrap(),
                keys => sticky(variants, keys, false),
            };
            let assignment = assign_among(&split, &request("", ""), available);
            assert_eq!(
                (assignment.served, assignment.failover),
                (None, false),
                "{variants}"
            );
        }
    }
}

#[test]
fn an_unavailable_variant_is_charged_and_another_one_with_a_weight_serves() {
    let split = sticky("a=1 b=1 c=0 d=off", &["header:x-user"], false);
    for n in 0..100 {
        let request = request("", &format!("x-user: {n}"));
        let usual = assign(&split, &request);
        assert!(!usual.failover);
        let failing = assign_among(&split, &request, &[1 - usual.variant, 2, 3]);
        assert_eq!(failing.variant, usual.variant);
        assert_eq!(failing.served, Some(1 - usual.variant));
        assert!(failing.failover);
    }
}

/// The largest deviation from the exact share, in requests, at any time within 200 000 draws.
fn deviation(share_in_a_million: u32, start: u64, n_workers: usize) -> f64 {
    let rest = 1_000_000 - share_in_a_million;
    let split = Split::new(spec(&format!("canary={share_in_a_million} stable={rest}"))).unwrap();
    let draw = Draw::new(n_workers, start);
    let share = f64::from(share_in_a_million) / 1e6;
    let mut n_canary = 0.0;
    let mut largest: f64 = 0.0;
    for n in 1..=200_000_u32 {
        // Workers take turns without a pattern.
        let worker = noise(n.into()) as usize % n_workers;
        let (variant, _) = split.drawn(None, draw.point(worker), |_| true);
        n_canary += f64::from(u8::from(variant == 0));
        largest = largest.max((n_canary - share * f64::from(n)).abs());
    }
    largest
}

#[test]
fn a_draw_is_never_more_than_a_few_requests_off_the_exact_share() {
    for share in [1, 1_000, 10_000, 50_000, 123_456, 250_000, 333_333, 500_000] {
        for start in [0, noise(1), noise(2)] {
            let off = deviation(share, start, 1);
            assert!(off <= 5.0, "{share} from {start}: {off}");
        }
        let off = deviation(share, noise(3), 4);
        assert!(off <= 4.0 * 5.0, "{share} by four workers: {off}");
    }
}

#[test]
fn those_who_stand_in_at_a_draw_divide_it_by_their_weights() {
    let split = Split::new(spec("a=80 b=15 c=5 d=0")).unwrap();
    let draw = Draw::new(1, noise(4));
    let mut stand_ins = [0_u32; 4];
    for _ in 0..200_000 {
        let (chosen, served) = split.drawn(None, draw.point(0), |variant| variant != 2);
        match (chosen, served.unwrap()) {
            (2, served) => stand_ins[served] += 1,
            (chosen, served) => assert_eq!(chosen, served),
        }
    }
    assert!(stand_ins[0].abs_diff(8421) < 100, "{stand_ins:?}");
    assert!(stand_ins[1].abs_diff(1579) < 100, "{stand_ins:?}");
}

#[test]
fn each_worker_draws_from_a_sequence_of_its_own() {
    let draw = Draw::new(2, 7);
    let points = [draw.point(0), draw.point(1), draw.point(0), draw.point(1)];
    assert_eq!(points[0], 7);
    assert_eq!(
        points[2].wrapping_sub(points[0]),
        points[3].wrapping_sub(points[1])
    );
    assert_eq!(points[1].wrapping_sub(points[0]), u64::MAX / 2);
}

#[test]
fn stickiness_and_forcing_that_cannot_work_are_refused() {
    let refuse = |spec: SplitSpec| Split::new(spec).unwrap_err();
    let sticky = |sticky| {
        refuse(SplitSpec {
            sticky: Some(sticky),
            ..spec("a=1")
        })
    };
    let cookie = |name: &str, milliseconds| {
        let max_age = Some(Duration::from_millis(milliseconds));
        let name = name.to_owned();
        sticky(Sticky {
            keys: vec![],
            cookie: Some(StickyCookie { name, max_age }),
            pin: None,
        })
    };
    assert_eq!(sticky(Sticky::default()), SplitError::StickyEmpty);
    assert_eq!(
        cookie("a b", 1000),
        SplitError::CookieName { name: "a b".into() }
    );
    assert_eq!(cookie("a", 999), SplitError::CookieAge { name: "a".into() });

    let force = |force| {
        refuse(SplitSpec {
            force: Some(force),
            ..spec("a=1")
        })
    };
    assert_eq!(force(Force::default()), SplitError::ForceEmpty);
    assert_eq!(
        force(Force {
            header: Some("a:".into()),
            ..Force::default()
        }),
        SplitError::ForceName {
            place: "header",
            name: "a:".into()
        }
    );
}

/// Holds that variants and slices know nothing of each other: the counts of their pairs are what
/// their sums say (chi-squared, five standard deviations of it).
#[track_caller]
fn check_independent(assigned: impl Iterator<Item = Assignment>) {
    let mut counts = [[0_u32; 16]; 2];
    for Assignment { variant, slice, .. } in assigned {
        counts[variant][usize::from(slice)] += 1;
    }
    let n = f64::from(counts.iter().flatten().sum::<u32>());
    let mut squares = 0.0;
    for of_variant in counts {
        let in_variant = f64::from(of_variant.iter().sum::<u32>());
        for count in of_variant {
            // Slices are equal, so that is no guess.
            let expected = in_variant / 16.0;
            squares += (f64::from(count) - expected).powi(2) / expected;
        }
    }
    let off = (squares - 30.0) / 60_f64.sqrt();
    assert!(off < 5.0, "{off} of {n}: {counts:?}");
}

#[test]
fn a_variants_users_are_spread_evenly_over_the_slices_whatever_its_share() {
    for canary in [1, 5, 25, 50] {
        let split = sticky(
            &format!("stable={} canary={canary}", 100 - canary),
            &["header:u"],
            false,
        );
        check_independent((0..100_000).map(|n| assign(&split, &request("", &format!("u: {n}")))));
    }
}

#[test]
fn draws_are_spread_evenly_over_the_slices_whatever_the_share() {
    let client: IpAddr = "192.0.2.1".parse().unwrap();
    for canary in [1, 5, 25, 50] {
        let split = Split::new(spec(&format!("stable={} canary={canary}", 100 - canary))).unwrap();
        let draw = Draw::new(1, noise(canary));
        let request = request("", "");
        let point = || draw.point(0);
        check_independent((0..100_000).map(|_| {
            split.assign(
                &Asked::plain(&request, client),
                |_| point(),
                || FRESH,
                |_| true,
            )
        }));
    }
}

#[test]
fn a_user_stays_in_one_slice_whatever_becomes_of_the_weights() {
    let split = |weights: &str| sticky(weights, &["header:u"], false);
    let [before, after, alone] = [
        "stable=95 canary=5",
        "canary=50 stable=50 other=1",
        "stable=1",
    ]
    .map(split);
    for n in 0..1_000 {
        let request = request("", &format!("u: {n}"));
        let slice = assign(&before, &request).slice;
        assert_eq!(assign(&after, &request).slice, slice);
        assert_eq!(assign(&alone, &request).slice, slice);
        assert_eq!(assign_among(&before, &request, &[1]).slice, slice);
    }
}
