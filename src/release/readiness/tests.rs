//! Readiness: the cases that people have.

use std::time::{Duration, SystemTime};

use crate::release::freeze::{Override, Scope};
use crate::release::readiness::{
    ChangeType, Document, Documents, Exception, Passed, Review, ReviewError,
};
use crate::release::role::{Role, Roles};

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(second)
}

fn roles(names: &[&str]) -> Roles {
    let roles = names.iter().map(|name| name.parse::<Role>().unwrap());
    roles.collect()
}

fn passed(actor: &str, second: u64) -> Exception {
    let roles = roles(&["release-manager"]);
    Exception::gate(("sre", "s1"), (actor, &roles), "money is lost", at(second)).unwrap()
}

fn reviewed(exceptions: &[Exception]) -> Review {
    let mut review = Review::default();
    for exception in exceptions {
        review.add(exception.clone());
    }
    review
}

#[test]
fn what_is_required_and_blank_is_missing() {
    let documents = Documents {
        notes: Some("what is new".to_owned()),
        rollback_plan: Some(" \n".to_owned()),
        ..Documents::default()
    };
    let required = [
        Document::RollbackPlan,
        Document::Notes,
        Document::RollbackPlan,
    ];
    assert_eq!(documents.missing(&required), [Document::RollbackPlan]);
    assert_eq!(documents.missing(&[]), []);
    assert_eq!(Documents::default().missing(&Document::ALL), Document::ALL);
}

#[test]
fn a_document_is_named_as_the_file_names_it() {
    for document in Document::ALL {
        assert_eq!(document.name().parse(), Ok(document));
        let text = serde_json::to_string(&document).unwrap();
        assert_eq!(serde_json::from_str::<Document>(&text).unwrap(), document);
    }
    assert_eq!(
        "rollback-plan".parse::<Document>().unwrap_err().to_string(),
        "\"rollback-plan\" is no document: notes, rollback_plan, procedure or ticket"
    );
}

#[test]
fn a_standard_change_alone_meets_no_gate_and_passes_without_enough_requests() {
    let rules = |of: ChangeType| (of.meets_gates(), of.may_pass_insufficient());
    assert_eq!(rules(ChangeType::Standard), (false, true));
    assert_eq!(rules(ChangeType::Normal), (true, false));
    assert_eq!(rules(ChangeType::Emergency), (true, false));
}

#[test]
fn a_gate_is_passed_by_a_release_manager_with_a_reason() {
    let pass = |who: &[&str], reason: &str| {
        Exception::gate(("sre", "s1"), ("mia", &roles(who)), reason, at(1))
    };
    assert_eq!(pass(&["admin"], " x ").unwrap().reason, "x");
    assert_eq!(
        pass(&["approver", "sre"], "x").unwrap_err().to_string(),
        "mia may not override gate \"sre\": it needs the role release-manager"
    );
    assert_eq!(
        pass(&["admin"], " ").unwrap_err().to_string(),
        "to override gate \"sre\" needs a reason"
    );
}

#[test]
fn an_exception_makes_an_emergency_that_a_second_person_has_to_review() {
    let mut review = Review::default();
    assert!(!review.is_required());
    assert_eq!(review.change_type(ChangeType::Normal), ChangeType::Normal);
    let by = Override {
        freeze: "xmas".to_owned(),
        scope: Scope::Everything,
        actor: "Mia@example.com".to_owned(),
        reason: "money is lost".to_owned(),
        at: at(1),
        expires_at: at(2),
    };
    review.add(Exception::freeze(&by));
    assert!(review.is_required());
    assert_eq!(
        review.change_type(ChangeType::Normal),
        ChangeType::Emergency
    );

    let approver = roles(&["approver"]);
    let own = review.close(("mia@example.com", &approver), "it was right", at(3));
    assert_eq!(
        own.unwrap_err().to_string(),
        "mia@example.com overrode freeze \"xmas\", and cannot close the review of that: \
         somebody else has to"
    );
    assert!(review.is_required());
    review
        .close(("ben", &approver), "it was right", at(4))
        .unwrap();
    assert!(!review.is_required());
    assert_eq!(
        review.change_type(ChangeType::Normal),
        ChangeType::Emergency
    );
    let twice = review.close(("cem", &approver), "so it was", at(5));
    let actor = "ben".to_owned();
    assert_eq!(twice, Err(ReviewError::AlreadyClosed { actor }));
}

#[test]
fn nobody_who_passed_anything_closes_the_review() {
    let mut review = reviewed(&[passed("mia", 1), passed("ben", 2)]);
    for actor in ["mia", "ben"] {
        let refused = review.close((actor, &roles(&["admin"])), "fine", at(3));
        let what = Passed::Gate("sre".to_owned());
        let actor = actor.to_owned();
        assert_eq!(refused, Err(ReviewError::SamePerson { actor, what }));
    }
    let refused = review.close(("cem", &roles(&["operator"])), "fine", at(3));
    assert!(matches!(refused, Err(ReviewError::NotAllowed { .. })));
    let refused = review.close(("cem", &roles(&["approver"])), " ", at(3));
    assert!(matches!(refused, Err(ReviewError::NoReason { .. })));
    let nothing = Review::default().close(("cem", &roles(&["admin"])), "fine", at(3));
    assert_eq!(nothing, Err(ReviewError::NothingToReview));
}

#[test]
fn a_later_exception_opens_the_review_again_and_the_same_one_does_not() {
    let mut review = reviewed(&[passed("mia", 1)]);
    review
        .close(("ben", &roles(&["approver"])), "fine", at(2))
        .unwrap();
    review.add(passed("mia", 1));
    assert!(!review.is_required());
    review.add(passed("mia", 3));
    assert!(review.is_required());
    assert_eq!(review.exceptions().len(), 2);
    let text = serde_json::to_string(&review).unwrap();
    assert_eq!(serde_json::from_str::<Review>(&text).unwrap(), review);
}
