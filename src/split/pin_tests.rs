//! What pins promise: who has one stays, and nobody makes one for himself.

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use crate::message::RequestHead;
use crate::split::assign_tests::{assign, assign_among, request};
use crate::split::tests::spec;
use crate::split::{
    Force, PinSpec, PinTrouble, Reason, SharedSecret, Split, SplitError, SplitSpec, Sticky,
    StickyCookie,
};

fn pin(epoch: u32, secret: &str) -> PinSpec {
    PinSpec {
        cookie: StickyCookie::pin(),
        epoch,
        secret: Some(SharedSecret::new(secret.as_bytes())),
    }
}

fn pinned_spec(variants: &str, pin: PinSpec) -> SplitSpec {
    SplitSpec {
        sticky: Some(Sticky {
            keys: vec!["header:u".parse().unwrap()],
            cookie: None,
            pin: Some(pin),
        }),
        ..spec(variants)
    }
}

fn pinned(variants: &str) -> Split {
    Split::new(pinned_spec(variants, pin(1, "sixteen-bytes-ok"))).unwrap()
}

/// The value that pins to a variant.
fn value(split: &Split, variant: usize) -> String {
    let (_, value) = split.pin(variant).unwrap();
    String::from_utf8(value.to_vec()).unwrap()
}

fn with(value: &str) -> RequestHead {
    request("", &format!("cookie: a=b; tidegate_pin={value}"))
}

#[test]
fn a_pin_is_a_version_an_epoch_and_128_bits() {
    // Made by Python's hmac and struct: `hmac.new(secret, b"".join(struct.pack("<Q", len(part)) +
    // part for part in parts), "sha256").hexdigest()[:32]`.
    let split = pinned("stable=95 canary=5");
    assert_eq!(value(&split, 0), "1.1.8c1f0a92974d55085c3d6494b21c610a");
    assert_eq!(value(&split, 1), "1.1.b873e244343db2c323036ccaa4594eef");
}

#[test]
fn who_is_pinned_stays_at_weight_0_and_is_not_pinned_again() {
    let before = pinned("a=1 b=1");
    for after in ["a=1 b=0", "a=1000 b=1", "b=0 a=5 c=9"] {
        let after = pinned(after);
        let b = after
            .variants()
            .iter()
            .position(|it| it.name == "b")
            .unwrap();
        let assignment = assign(&after, &with(&value(&before, 1)));
        assert_eq!((assignment.variant, assignment.reason), (b, Reason::Pin));
        assert!(!assignment.pin);
    }
}

#[test]
fn who_has_no_valid_pin_is_assigned_and_pinned() {
    let split = pinned("a=1 b=0");
    let b = value(&split, 1);
    let other = |spec: SplitSpec| value(&Split::new(spec).unwrap(), 1);
    let secret = "sixteen-bytes-ok";
    let other_salt = SplitSpec {
        salt: "blog".to_owned(),
        ..pinned_spec("a=1 b=0", pin(1, secret))
    };
    for (sent, trouble) in [
        (String::new(), PinTrouble::Invalid),
        ("b".to_owned(), PinTrouble::Invalid),
        (b.to_uppercase(), PinTrouble::Invalid),
        (format!("{b}0"), PinTrouble::Invalid),
        (b[..b.len() - 1].to_owned(), PinTrouble::Invalid),
        (
            b.replacen("1.1.", "1.2.", 1),
            PinTrouble::Epoch { sent: 2, now: 1 },
        ),
        (
            other(pinned_spec("a=1 b=0", pin(2, secret))),
            PinTrouble::Epoch { sent: 2, now: 1 },
        ),
        (
            other(pinned_spec("a=1 b=0", pin(1, "another-of-sixteen"))),
            PinTrouble::Invalid,
        ),
        (
            other(pinned_spec("a=1 c=0", pin(1, secret))),
            PinTrouble::Invalid,
        ),
        (other(other_salt), PinTrouble::Invalid),
    ] {
        let request = with(&sent);
        let assignment = assign(&split, &request);
        assert_eq!(
            (assignment.variant, assignment.reason),
            (0, Reason::Draw),
            "{sent}"
        );
        assert!(assignment.pin, "{sent}");
        assert_eq!(split.pin_trouble(&request), Some(trouble), "{sent}");
    }
    let missing = request("", "");
    assert!(assign(&split, &missing).pin);
    assert_eq!(split.pin_trouble(&missing), Some(PinTrouble::Missing));
    let by_key = assign(&split, &request("", "u: 1"));
    assert_eq!((by_key.reason, by_key.pin), (Reason::Hash, true));
}

#[test]
fn the_first_valid_pin_of_several_counts() {
    let split = pinned("a=1 b=1");
    let (a, b) = (value(&split, 0), value(&split, 1));
    let several = format!("cookie: tidegate_pin=x; tidegate_pin={b}\ncookie: tidegate_pin={a}");
    assert_eq!(assign(&split, &request("", &several)).variant, 1);
}

#[test]
fn a_variant_that_is_off_keeps_nobody() {
    let pin_of_b = value(&pinned("a=1 b=1"), 1);
    let split = pinned("a=1 b=off");
    let assignment = assign(&split, &with(&pin_of_b));
    assert_eq!((assignment.variant, assignment.reason), (0, Reason::Draw));
    assert!(assignment.pin);
    assert_eq!(split.pin(1), None);
}

#[test]
fn an_unavailable_variant_keeps_its_pins_while_another_serves() {
    let split = pinned("a=1 b=0 c=0");
    let assignment = assign_among(&split, &with(&value(&split, 1)), &[0, 2]);
    assert_eq!((assignment.variant, assignment.served), (1, Some(0)));
    assert!(assignment.failover && !assignment.pin);
    let assignment = assign_among(&split, &with(&value(&split, 1)), &[2]);
    assert_eq!(assignment.served, None);
    // With a key it is the runner-up of its hash.
    let split = pinned("a=1 b=1 c=1");
    for n in 0..50 {
        let fields = format!("u: {n}\ncookie: tidegate_pin={}", value(&split, 1));
        let assignment = assign_among(&split, &request("", &fields), &[0, 2]);
        let without = pinned("a=1 c=1");
        let expected = without.explain(None, n.to_string().as_bytes()).chosen;
        assert_eq!(assignment.served, Some([0, 2][expected]));
    }
}

#[test]
fn who_forces_a_variant_is_not_asked_for_a_pin_and_gets_none() {
    let split = Split::new(SplitSpec {
        force: Some(Force {
            header: Some("x-variant".to_owned()),
            ..Force::default()
        }),
        ..pinned_spec("a=1 b=1", pin(1, "sixteen-bytes-ok"))
    });
    let split = split.unwrap();
    let fields = format!("x-variant: a\ncookie: tidegate_pin={}", value(&split, 1));
    let assignment = assign(&split, &request("", &fields));
    assert_eq!((assignment.variant, assignment.reason), (0, Reason::Forced));
    assert!(!assignment.pin);
}

#[test]
fn nothing_shows_a_secret_or_a_pin() {
    let spec = pinned_spec("a=1 b=1", pin(1, "sixteen-bytes-ok"));
    let split = Split::new(spec.clone()).unwrap();
    let shown = format!("{spec:?} {split:?}");
    assert!(!shown.contains("sixteen"), "{shown}");
    assert!(!shown.contains(&value(&split, 0)[4..]), "{shown}");
}

#[test]
fn a_pin_stands_alone() {
    let mut spec = pinned_spec("a=1", pin(1, "sixteen-bytes-ok"));
    let sticky = spec.sticky.as_mut().unwrap();
    sticky.cookie = Some(StickyCookie::identity());
    assert_eq!(Split::new(spec).unwrap_err(), SplitError::PinAndIdentity);
}

proptest! {
    #[test]
    fn a_pin_survives_any_sequence_of_weights(
        changes in vec(vec(0_u32..=1000, 4), 1..8),
        variant in 0_usize..4,
        key in any::<u64>(),
    ) {
        let with = |weights: &[u32]| -> String {
            weights.iter().enumerate().map(|(n, weight)| format!("v{n}={weight} ")).collect()
        };
        let sent = value(&pinned("v0=1 v1=1 v2=1 v3=1"), variant);
        let fields = format!("u: {key}\ncookie: tidegate_pin={sent}");
        for weights in changes {
            let Ok(split) = Split::new(pinned_spec(&with(&weights), pin(1, "sixteen-bytes-ok"))) else {
                continue;
            };
            let assignment = assign_among(&split, &request("", &fields), &[0, 1, 2, 3]);
            prop_assert_eq!((assignment.variant, assignment.reason), (variant, Reason::Pin));
            prop_assert!(!assignment.pin);
        }
    }

    #[test]
    fn no_other_value_is_ever_a_pin(sent in "[ -:<-~]{0,60}", at in 0_usize..36, to in 0_u8..16) {
        let split = pinned("a=1 b=1");
        let guess = assign(&split, &with(&sent));
        prop_assert!(guess.reason != Reason::Pin);
        // Nor is one of which a single digit was changed.
        let right = value(&split, 1);
        let mut changed = right.clone().into_bytes();
        changed[at] = b"0123456789abcdef"[usize::from(to)];
        let changed = String::from_utf8(changed).unwrap();
        let near = assign(&split, &with(&changed));
        prop_assert_eq!(near.reason == Reason::Pin, changed == right);
    }

    #[test]
    fn a_pin_of_another_route_epoch_or_secret_never_decides(
        salts in ("[a-z]{1,8}", "[a-z]{1,8}"),
        epochs in (1_u32..5, 1_u32..5),
        secrets in ("[a-z]{16}", "[a-z]{16}"),
    ) {
        let make = |salt: &str, epoch, secret: &str| {
            let pins = pinned_spec("a=1 b=1", pin(epoch, secret));
            Split::new(SplitSpec { salt: salt.to_owned(), ..pins }).unwrap()
        };
        let own = make(&salts.0, epochs.0, &secrets.0);
        let other = make(&salts.1, epochs.1, &secrets.1);
        let same = salts.0 == salts.1 && epochs.0 == epochs.1 && secrets.0 == secrets.1;
        let assignment = assign(&own, &with(&value(&other, 1)));
        prop_assert_eq!(assignment.reason == Reason::Pin, same);
    }
}
