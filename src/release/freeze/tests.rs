//! Freezes against a model that asks every minute, and the cases that people have.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use crate::release::freeze::weekly_tests::{Hours, TURNS, Turn, hours, second};
use crate::release::freeze::{
    Act, Blocking, Freeze, Kind, MAX_AHEAD, Move, Override, OverrideError, Scope, Span, Window,
    blocked, opens_at, schedule,
};
use crate::release::role::{Role, Roles};

const DAY: i64 = 24 * 60 * 60;

/// A freeze as numbers.
#[derive(Clone, Debug)]
struct Modelled {
    kind: Kind,
    window: ModelledWindow,
    acts: Vec<Act>,
    route: &'static str,
    /// Minutes after the begin: an override from one to the other, for a release or all.
    passed: Option<(i64, i64, Option<&'static str>)>,
}

#[derive(Clone, Debug)]
enum ModelledWindow {
    Span(Option<i64>, Option<i64>),
    Weekly(Hours),
}

fn modelled() -> impl Strategy<Value = Modelled> {
    let minutes = 0..(21 * 24 * 60i64);
    let bound = prop::option::of(minutes.clone());
    let span = (bound.clone(), bound)
        .prop_filter("in order", |bounds| match bounds {
            (Some(from), Some(to)) => from < to,
            _ => true,
        })
        .prop_map(|(from, to)| ModelledWindow::Span(from, to));
    let window = prop_oneof![span, hours().prop_map(ModelledWindow::Weekly)];
    let release = prop::option::of(prop::sample::select(vec!["shop-1", "shop-2"]));
    let passed = (minutes, 1..3000i64, release).prop_map(|(from, n, of)| (from, from + n, of));
    (
        prop::sample::select(vec![Kind::Deny, Kind::Allow]),
        window,
        prop::sample::subsequence(Act::ALL.to_vec(), 1..=4),
        prop::sample::select(vec!["*", "shop", "shop*", "cart"]),
        prop::option::weighted(0.3, passed),
    )
        .prop_map(|(kind, window, acts, route, passed)| Modelled {
            kind,
            window,
            acts,
            route,
            passed,
        })
}

impl Modelled {
    fn freeze(&self, index: usize, turn: Turn, begin: i64) -> Freeze {
        let at = |minutes: i64| second(begin + 60 * minutes);
        let window = match &self.window {
            ModelledWindow::Span(from, to) => {
                Window::Span(Span::new(from.map(at), to.map(at)).unwrap())
            }
            ModelledWindow::Weekly(hours) => Window::Weekly(hours.weekly(turn.zone)),
        };
        Freeze {
            name: format!("f{index}"),
            kind: self.kind,
            window,
            blocks: self.acts.clone(),
            routes: vec![self.route.parse().unwrap()],
            override_roles: Freeze::default_override_roles(),
        }
    }

    fn passing(&self, index: usize, begin: i64) -> Option<Override> {
        let (from, to, release) = self.passed?;
        Some(Override {
            freeze: format!("f{index}"),
            scope: release.map_or(Scope::Everything, |name| Scope::Release(name.to_owned())),
            actor: "mia".to_owned(),
            reason: "because".to_owned(),
            at: second(begin + 60 * from),
            expires_at: second(begin + 60 * to),
        })
    }

    /// Whether it is about a move on the route `shop`.
    fn concerns(&self, act: Act) -> bool {
        self.acts.contains(&act) && self.route != "cart"
    }

    fn is_active(&self, turn: Turn, begin: i64, minute: i64) -> bool {
        match &self.window {
            ModelledWindow::Span(from, to) => {
                from.is_none_or(|from| from <= minute) && to.is_none_or(|to| minute < to)
            }
            ModelledWindow::Weekly(hours) => hours.hold(turn, begin + 60 * minute),
        }
    }

    fn is_passed(&self, minute: i64) -> bool {
        self.passed.is_some_and(|(from, to, release)| {
            from <= minute && minute < to && release.is_none_or(|release| release == "shop-1")
        })
    }
}

/// The names of what is in the way, by the definition: no deny is active, and of those that allow
/// there is none, or one is active. What is passed is a deny that is not, an allow that is active.
fn in_the_way(of: &[Modelled], turn: Turn, begin: i64, minute: i64, act: Act) -> Vec<String> {
    let mut denied = Vec::new();
    let mut closed = Vec::new();
    let mut allowed = false;
    for (index, freeze) in of
        .iter()
        .enumerate()
        .filter(|(_, freeze)| freeze.concerns(act))
    {
        let active = freeze.is_active(turn, begin, minute);
        let passed = freeze.is_passed(minute);
        match freeze.kind {
            Kind::Deny if active && !passed => denied.push(index),
            Kind::Deny => {}
            Kind::Allow => {
                allowed |= active || passed;
                closed.push(index);
            }
        }
    }
    if !allowed {
        denied.extend(closed);
    }
    denied.sort_unstable();
    denied.iter().map(|index| format!("f{index}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_move_is_blocked_at_each_minute_by_what_the_definition_says(
        of in prop::collection::vec(modelled(), 0..5),
        turn in prop::sample::select(TURNS.to_vec()),
        act in prop::sample::select(Act::ALL.to_vec()),
    ) {
        let begin = turn.at - 3 * DAY - turn.at % 60;
        let minutes = 7 * 24 * 60;
        let frozen = of.iter().enumerate();
        let freezes: Vec<Freeze> = frozen.map(|(n, of)| of.freeze(n, turn, begin)).collect();
        let passing = of.iter().enumerate();
        let passing: Vec<Override> = passing.filter_map(|(n, of)| of.passing(n, begin)).collect();
        let asked = Move { act, routes: &["shop"], release: Some("shop-1") };
        let (from, to) = (second(begin), second(begin + 60 * minutes));

        let mut expected = Vec::new();
        for minute in 0..minutes {
            let names = in_the_way(&of, turn, begin, minute, act);
            let found = blocked(&freezes, &passing, &asked, second(begin + 60 * minute));
            let found: Vec<String> = found.into_iter().map(|by| by.freeze).collect();
            prop_assert_eq!(&found, &names, "minute {}", minute);
            expected.push(names);
        }

        // The schedule says the same, in pieces that leave nothing out.
        let periods = schedule(&freezes, &passing, &asked, (from, to));
        let mut minute = 0usize;
        for period in &periods {
            prop_assert_eq!(period.from, second(begin + 60 * i64::try_from(minute).unwrap()));
            let n = period.to.duration_since(period.from).unwrap().as_secs();
            prop_assert_eq!(n % 60, 0);
            for _ in 0..n / 60 {
                prop_assert_eq!(&period.freezes, &expected[minute]);
                minute += 1;
            }
        }
        prop_assert_eq!(minute, expected.len());
        for pair in periods.windows(2) {
            prop_assert_ne!(&pair[0].freezes, &pair[1].freezes);
        }

        // A move that is blocked opens in the first minute in which nothing is in the way.
        for start in (0..expected.len()).step_by(997) {
            let open = (start..expected.len()).find(|minute| expected[*minute].is_empty());
            let at = |minute: usize| second(begin + 60 * i64::try_from(minute).unwrap());
            let found = opens_at(&freezes, &passing, &asked, at(start));
            match open {
                Some(minute) => prop_assert_eq!(found, Some(at(minute))),
                None => prop_assert!(found.is_none_or(|found| found >= to)),
            }
        }
    }
}

fn moment(text: &str) -> SystemTime {
    text.parse::<jiff::Timestamp>().unwrap().into()
}

fn freeze(json: &str) -> Freeze {
    serde_json::from_str(json).unwrap()
}

fn xmas() -> Freeze {
    freeze(
        r#"{"name":"xmas","kind":"deny",
            "window":{"span":{"from":"2026-12-20T00:00:00Z","to":"2027-01-03T00:00:00Z"}},
            "blocks":["start","advance","promote","flag"],"routes":["*"],
            "override_roles":["release-manager"]}"#,
    )
}

fn office_hours() -> Freeze {
    freeze(
        r#"{"name":"office-hours","kind":"allow",
            "window":{"weekly":{"days":["mon","tue","wed","thu"],"from":"09:00","to":"16:00",
                                "tz":"Europe/Berlin"}},
            "blocks":["start","advance"],"routes":["shop-*"],"override_roles":[]}"#,
    )
}

fn advance<'a>(routes: &'a [&'a str]) -> Move<'a> {
    Move {
        act: Act::Advance,
        routes,
        release: Some("shop-2.4"),
    }
}

#[track_caller]
fn check(freezes: &[Freeze], asked: &Move<'_>, at: &str, expected: &[&str]) {
    let found = blocked(freezes, &[], asked, moment(at));
    let names: Vec<&str> = found.iter().map(|by| by.freeze.as_str()).collect();
    assert_eq!(names, expected, "at {at}");
}

#[test]
fn a_freeze_has_its_first_instant_and_not_its_last() {
    let (freezes, asked) = ([xmas()], advance(&["shop-eu"]));
    check(&freezes, &asked, "2026-12-19T23:59:59.999999999Z", &[]);
    check(&freezes, &asked, "2026-12-20T00:00:00Z", &["xmas"]);
    check(
        &freezes,
        &asked,
        "2027-01-02T23:59:59.999999999Z",
        &["xmas"],
    );
    check(&freezes, &asked, "2027-01-03T00:00:00Z", &[]);
}

#[test]
fn what_is_allowed_in_hours_alone_is_blocked_outside_of_them_where_they_apply() {
    let freezes = [office_hours()];
    check(
        &freezes,
        &advance(&["shop-eu"]),
        "2026-11-26T07:59:59Z",
        &["office-hours"],
    );
    check(
        &freezes,
        &advance(&["shop-eu"]),
        "2026-11-26T08:00:00Z",
        &[],
    );
    check(
        &freezes,
        &advance(&["shop-eu"]),
        "2026-11-27T08:00:00Z",
        &["office-hours"],
    );
    check(&freezes, &advance(&["cart"]), "2026-11-27T08:00:00Z", &[]);
    check(
        &freezes,
        &advance(&["cart", "shop-eu"]),
        "2026-11-27T08:00:00Z",
        &["office-hours"],
    );
    let promote = Move {
        act: Act::Promote,
        ..advance(&["shop-eu"])
    };
    check(&freezes, &promote, "2026-11-27T08:00:00Z", &[]);
}

#[test]
fn a_flag_without_a_route_meets_only_freezes_of_every_route() {
    let flag = Move {
        act: Act::Flag,
        routes: &[],
        release: None,
    };
    let mut shop = xmas();
    shop.routes = vec!["shop".parse().unwrap()];
    check(&[xmas(), shop], &flag, "2026-12-24T00:00:00Z", &["xmas"]);
}

#[test]
fn who_is_blocked_learns_by_what_until_when_and_who_may_pass_it() {
    let now = moment("2026-12-24T12:00:00Z"); // a Thursday, within office hours
    let (freezes, asked) = ([xmas(), office_hours()], advance(&["shop-eu"]));
    assert_eq!(
        blocked(&freezes, &[], &asked, now),
        [Blocking {
            freeze: "xmas".to_owned(),
            kind: Kind::Deny,
            until: Some(moment("2027-01-03T00:00:00Z")),
            who_may_override: vec![Role::ReleaseManager],
        }]
    );
    // Sunday is no day of the office: it opens on Monday at nine in Berlin.
    let opens = opens_at(&freezes, &[], &asked, now);
    assert_eq!(opens, Some(moment("2027-01-04T08:00:00Z")));
}

#[test]
fn a_freeze_without_an_end_opens_never() {
    let mut ever = xmas();
    ever.window = Window::Span(Span::new(Some(moment("2026-01-01T00:00:00Z")), None).unwrap());
    let now = moment("2026-06-01T00:00:00Z");
    let asked = advance(&["shop"]);
    let found = blocked(std::slice::from_ref(&ever), &[], &asked, now);
    assert_eq!(found[0].until, None);
    assert_eq!(
        opens_at(std::slice::from_ref(&ever), &[], &asked, now),
        None
    );
    let far = now + MAX_AHEAD + MAX_AHEAD;
    let periods = schedule(&[ever], &[], &asked, (now, far));
    assert_eq!(periods.len(), 1);
    assert_eq!(periods[0].to, now + MAX_AHEAD);
}

fn roles(names: &[&str]) -> Roles {
    let roles = names.iter().map(|name| name.parse::<Role>().unwrap());
    roles.collect()
}

fn pass(
    of: &Freeze,
    scope: Scope,
    who: &[&str],
    reason: &str,
    hours: u64,
) -> Result<Override, OverrideError> {
    let at = moment("2026-12-24T12:00:00Z");
    let until = at + Duration::from_secs(hours * 3600);
    Override::new(of, scope, ("mia", &roles(who)), reason, (at, until))
}

#[test]
fn an_override_is_for_its_release_and_for_its_time() {
    let scope = Scope::Release("shop-2.4".to_owned());
    let by = pass(&xmas(), scope, &["release-manager"], " money is lost ", 2).unwrap();
    assert_eq!(by.reason, "money is lost");
    let (freezes, asked) = ([xmas()], advance(&["shop-eu"]));
    let other = Move {
        release: Some("cart-1"),
        ..asked
    };
    let passing = [by];
    let is_open =
        |asked: &Move<'_>, at: &str| blocked(&freezes, &passing, asked, moment(at)).is_empty();
    assert!(!is_open(&asked, "2026-12-24T11:59:59Z"));
    assert!(is_open(&asked, "2026-12-24T12:00:00Z"));
    assert!(!is_open(&other, "2026-12-24T12:00:00Z"));
    assert!(!is_open(&asked, "2026-12-24T14:00:00Z"));
}

#[test]
fn the_schedule_opens_for_as_long_as_an_override_lasts() {
    let scope = Scope::Release("shop-2.4".to_owned());
    let passing = [pass(&xmas(), scope, &["release-manager"], "x", 2).unwrap()];
    let (freezes, asked) = ([xmas()], advance(&["shop-eu"]));
    let day = (
        moment("2026-12-24T00:00:00Z"),
        moment("2026-12-25T00:00:00Z"),
    );
    let periods = schedule(&freezes, &passing, &asked, day);
    let bounds: Vec<_> = periods.iter().map(|of| (of.from, of.is_open())).collect();
    let (noon, two) = (
        moment("2026-12-24T12:00:00Z"),
        moment("2026-12-24T14:00:00Z"),
    );
    assert_eq!(bounds, [(day.0, false), (noon, true), (two, false)]);
    assert_eq!(opens_at(&freezes, &passing, &asked, day.0), Some(noon));
}

#[test]
fn an_override_needs_a_role_a_reason_and_a_time() {
    let everything = || Scope::Everything;
    let refused = |of: &Freeze, who: &[&str], reason: &str, hours: u64| {
        pass(of, everything(), who, reason, hours)
            .unwrap_err()
            .to_string()
    };
    let xmas = xmas();
    assert_eq!(
        refused(&xmas, &["approver", "sre"], "x", 1),
        "mia may not override freeze \"xmas\": it needs the role release-manager"
    );
    assert_eq!(
        refused(&xmas, &["admin"], " ", 1),
        "an override of freeze \"xmas\" needs a reason"
    );
    assert_eq!(
        refused(&xmas, &["admin"], "x", 0),
        "an override of freeze \"xmas\" has to end after it begins"
    );
    assert_eq!(
        refused(&office_hours(), &["admin"], "x", 1),
        "mia may not override freeze \"office-hours\": nobody may"
    );
}

#[test]
fn a_span_that_ends_before_it_begins_is_none() {
    let (early, late) = (
        moment("2026-01-01T00:00:00Z"),
        moment("2026-01-02T00:00:00Z"),
    );
    assert!(Span::new(Some(early), Some(late)).is_ok());
    assert_eq!(
        Span::new(Some(late), Some(early)).unwrap_err().to_string(),
        "a window that begins at 2026-01-02T00:00:00Z ends before that, at 2026-01-01T00:00:00Z"
    );
    assert!(Span::new(Some(late), Some(late)).is_err());
    let text = r#"{"from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}"#;
    assert!(serde_json::from_str::<Span>(text).is_err());
}

#[test]
fn a_freeze_survives_being_written() {
    for of in [xmas(), office_hours()] {
        let text = serde_json::to_string(&of).unwrap();
        assert_eq!(serde_json::from_str::<Freeze>(&text).unwrap(), of, "{text}");
    }
}
