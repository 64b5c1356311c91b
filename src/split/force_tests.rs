//! What guards promise: nobody forces who may not, and who tried is as if he had not.

use std::net::IpAddr;

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use crate::message::{Networks, RequestHead};
use crate::split::assign_tests::request;
use crate::split::tests::spec;
use crate::split::{
    Asked, Assignment, Force, ForceRejected, Preview, Reason, SharedSecret, Split, SplitError,
    SplitSpec,
};

const INSIDE: &str = "10.1.2.3";
const OUTSIDE: &str = "192.0.2.1";

fn guarded(networks: &[&str], secret: Option<&str>) -> Split {
    let networks = networks.iter().map(|network| network.parse().unwrap());
    Split::new(SplitSpec {
        force: Some(Force {
            header: Some("x-variant".to_owned()),
            cookie: Some("variant".to_owned()),
            query: None,
            trusted: Networks::new(networks.collect()),
            secret: secret.map(|secret| SharedSecret::new(secret.as_bytes())),
            preview: None,
        }),
        ..spec("stable=1 canary=0 gone=off")
    })
    .unwrap()
}

fn assign(split: &Split, request: &RequestHead, client: &str) -> Assignment {
    let client: IpAddr = client.parse().unwrap();
    split.assign(&Asked::plain(request, client), |_| 0, || 0, |_| true)
}

#[track_caller]
fn check(split: &Split, value: &str, client: &str, rejected: Option<ForceRejected>) {
    for field in [
        format!("x-variant: {value}"),
        format!("cookie: variant={value}"),
    ] {
        let assignment = assign(split, &request("", &field), client);
        let expected = match rejected {
            None => (1, Reason::Forced),
            Some(_) => (0, Reason::Draw),
        };
        assert_eq!((assignment.variant, assignment.reason), expected, "{field}");
        assert_eq!(assignment.force_rejected, rejected, "{field}");
    }
}

#[test]
fn only_trusted_clients_force() {
    let split = guarded(&["10.0.0.0/8", "2001:db8::/32"], None);
    check(&split, "canary", INSIDE, None);
    check(&split, "canary", "::ffff:10.0.0.1", None);
    check(&split, "canary", "2001:db8::1", None);
    check(&split, "canary", OUTSIDE, Some(ForceRejected::Untrusted));
    check(&split, "nonesuch", OUTSIDE, Some(ForceRejected::Untrusted));
    check(&split, "nonesuch", INSIDE, Some(ForceRejected::Unknown));
    assert_eq!(
        (split.private_header(), split.private_cookies().len()),
        (None, 0)
    );
}

#[test]
fn who_knows_the_secret_forces() {
    let split = guarded(&[], Some("open:sesame"));
    check(&split, "canary:open:sesame", OUTSIDE, None);
    check(
        &split,
        "nonesuch:open:sesame",
        OUTSIDE,
        Some(ForceRejected::Unknown),
    );
    check(
        &split,
        "gone:open:sesame",
        OUTSIDE,
        Some(ForceRejected::Off),
    );
    for value in [
        "canary",
        "canary:",
        "canary:open",
        "canary:open:sesam",
        "canary:open:sesame1",
        "canary:OPEN:SESAME",
        ":open:sesam",
        "open:sesame",
    ] {
        check(&split, value, OUTSIDE, Some(ForceRejected::BadSecret));
    }
    assert_eq!(split.private_header(), Some("x-variant"));
    assert_eq!(split.private_cookies(), ["variant"]);
}

#[test]
fn both_guards_have_to_be_passed() {
    let split = guarded(&["10.0.0.0/8"], Some("open-sesame"));
    check(&split, "canary:open-sesame", INSIDE, None);
    check(
        &split,
        "canary:open-sesame",
        OUTSIDE,
        Some(ForceRejected::Untrusted),
    );
    check(
        &split,
        "canary:wrong",
        INSIDE,
        Some(ForceRejected::BadSecret),
    );
}

#[test]
fn a_secret_has_no_place_that_is_written_down() {
    let refuse = |force: Force| {
        let force = Force {
            secret: Some(SharedSecret::new(b"open-sesame")),
            ..force
        };
        Split::new(SplitSpec {
            force: Some(force),
            ..spec("a=1")
        })
        .map(drop)
        .unwrap_err()
    };
    let name = |name: &str| Some(name.to_owned());
    for force in [
        Force {
            query: name("variant"),
            ..Force::default()
        },
        Force {
            header: name("Referer"),
            ..Force::default()
        },
        Force {
            header: name("user-agent"),
            cookie: name("v"),
            ..Force::default()
        },
    ] {
        assert!(matches!(refuse(force), SplitError::ForceSecret { .. }));
    }
}

proptest! {
    #[test]
    fn nobody_forces_from_elsewhere_or_without_the_secret(
        address in any::<[u8; 4]>(),
        sent in "(canary|stable|gone)?:?[ -:<-~]{0,20}",
        knows in any::<bool>(),
    ) {
        let split = guarded(&["10.0.0.0/8"], Some("open-sesame"));
        let client = IpAddr::from(address);
        let value = if knows { "canary:open-sesame" } else { &sent };
        let permitted = address[0] == 10 && value.strip_prefix("canary:") == Some("open-sesame");
        let assignment = split.assign(&Asked::plain(&request("", &format!("x-variant: {value}")), client), |_| 0, || 0, |_| true);
        prop_assert_eq!(assignment.reason == Reason::Forced, permitted);
        if !permitted {
            // As if it had not asked, but for the note.
            prop_assert!(assignment.force_rejected.is_some());
            let plain = split.assign(&Asked::plain(&request("", ""), client), |_| 0, || 0, |_| true);
            prop_assert_eq!(Assignment { force_rejected: None, ..assignment }, plain);
        }
    }
}

#[test]
fn who_has_all_fields_of_a_preview_gets_it_and_nobody_else() {
    let preview = |variant: &str| Preview {
        host: None,
        fields: vec![
            ("x-canary".to_owned(), "1".to_owned()),
            ("x-team".to_owned(), "shop".to_owned()),
        ],
        variant: variant.to_owned(),
    };
    let split = |variant: &str| {
        let force = Force {
            preview: Some(preview(variant)),
            ..Force::default()
        };
        Split::new(SplitSpec {
            force: Some(force),
            ..spec("stable=1 canary=0 gone=off")
        })
        .unwrap()
    };
    let all = "X-Canary: 1\nX-Team: shop";
    for (fields, variant, reason) in [
        (all, 1, Reason::Forced),
        ("X-Canary: 1", 0, Reason::Draw),
        ("X-Canary: 2\nX-Team: shop", 0, Reason::Draw),
        ("", 0, Reason::Draw),
    ] {
        let assignment = assign(&split("canary"), &request("", fields), OUTSIDE);
        assert_eq!(
            (assignment.variant, assignment.reason),
            (variant, reason),
            "{fields}"
        );
    }
    let mut by_host = preview("canary");
    by_host.host = Some("preview.example.com".to_owned());
    by_host.fields.clear();
    let split_by_host = Split::new(SplitSpec {
        force: Some(Force {
            preview: Some(by_host),
            ..Force::default()
        }),
        ..spec("stable=1 canary=0 gone=off")
    })
    .unwrap();
    for (authority, variant) in [
        ("preview.example.com", 1),
        ("Preview.Example.com:8443", 1),
        ("shop.example.com", 0),
    ] {
        let mut request = request("", "");
        request.authority = request.append(authority.as_bytes());
        let assignment = assign(&split_by_host, &request, OUTSIDE);
        assert_eq!(assignment.variant, variant, "{authority}");
    }
    let off = assign(&split("gone"), &request("", all), OUTSIDE);
    assert_eq!((off.variant, off.reason), (0, Reason::Draw), "it is off");
}
