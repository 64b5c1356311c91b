//! Criteria: what has to be true at a gate, whoever approves.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::release::readiness::{Document, Documents, Exception};

/// Something that is so or is not, and needs nobody's opinion.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Criterion {
    /// `verdict>=no-regression`, `verdict>=proven`: the analysis says at least that.
    Verdict(Grade),
    /// `notes`, `rollback_plan`, `procedure`, `ticket`: the document is there.
    Document(Document),
    /// `check:NAME`: the check has passed.
    Check(String),
    /// `release:ID`: the other release is promoted.
    Release(String),
}

/// How good a verdict is; the greater the better.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// Nothing speaks against the candidate, and there were requests enough to tell.
    NoRegression,
    /// The candidate was shown to be within its margin.
    Proven,
}

/// Why a text is no criterion.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CriterionError {
    /// No criterion is written so.
    #[error(
        "{text:?} is no criterion: verdict>=no-regression, verdict>=proven, notes, rollback_plan, \
         procedure, ticket, check:NAME or release:ID"
    )]
    Unknown {
        /// The text.
        text: String,
    },
    /// No verdict has that name.
    #[error("{grade:?} is no verdict that a gate can ask for: no-regression or proven")]
    Grade {
        /// The text after `verdict>=`.
        grade: String,
    },
    /// The name is missing.
    #[error("{text:?} needs a name after the colon, such as check:smoke or release:payments-5.1.0")]
    NoName {
        /// The text.
        text: String,
    },
}

/// What the analysis says, as far as a gate asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Judged {
    /// At least that.
    As(Grade),
    /// Nothing good, for this reason.
    Not(String),
}

/// How a check stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CheckState {
    /// It passed.
    Passed,
    /// It failed, in this way.
    Failed(String),
    /// It has not come to a result, for this reason.
    Pending(String),
}

/// How another release stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It is promoted.
    Promoted,
    /// It is in this phase.
    InPhase(String),
}

/// What is known of a release when its gate is judged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// What its specification is now: a vote for another does not count.
    pub spec_hash: String,
    /// What the analysis says.
    pub judged: Judged,
    /// What it brought along.
    pub documents: Documents,
    /// Its checks, by name; one that is not here does not exist.
    pub checks: BTreeMap<String, CheckState>,
    /// Other releases, by name; one that is not here does not exist.
    pub releases: BTreeMap<String, Standing>,
    /// What was passed by an emergency's right.
    pub exceptions: Vec<Exception>,
}

/// A criterion and whether it holds.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Item {
    /// What was asked for.
    pub criterion: Criterion,
    /// Whether it is so.
    pub done: bool,
    /// Why it is not, or what says that it is.
    pub detail: String,
}

impl Grade {
    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoRegression => "no-regression",
            Self::Proven => "proven",
        }
    }
}

impl Criterion {
    /// Holds the facts against the criterion.
    pub fn look(&self, facts: &Facts) -> Item {
        let found = match self {
            Self::Verdict(least) => verdict(*least, &facts.judged),
            Self::Document(document) => match facts.documents.text(*document) {
                Some(_) => Ok("there".to_owned()),
                None => Err("missing".to_owned()),
            },
            Self::Check(name) => match facts.checks.get(name) {
                Some(CheckState::Passed) => Ok("passed".to_owned()),
                Some(CheckState::Failed(why)) => Err(format!("failed: {why}")),
                Some(CheckState::Pending(why)) => Err(format!("no result yet: {why}")),
                None => Err("the release has no such check".to_owned()),
            },
            Self::Release(id) => match facts.releases.get(id) {
                Some(Standing::Promoted) => Ok("promoted".to_owned()),
                Some(Standing::InPhase(phase)) => Err(format!("is {phase}, not promoted")),
                None => Err("there is no such release".to_owned()),
            },
        };
        let done = found.is_ok();
        let (Ok(detail) | Err(detail)) = found;
        Item {
            criterion: self.clone(),
            done,
            detail,
        }
    }
}

fn verdict(least: Grade, judged: &Judged) -> Result<String, String> {
    match judged {
        Judged::As(grade) if *grade >= least => Ok(format!("the verdict is {}", grade.name())),
        Judged::As(grade) => Err(format!("the verdict is {} so far", grade.name())),
        Judged::Not(why) => Err(why.clone()),
    }
}

impl FromStr for Criterion {
    type Err = CriterionError;

    fn from_str(text: &str) -> Result<Self, CriterionError> {
        if let Some(grade) = text.strip_prefix("verdict>=") {
            let grades = [Grade::NoRegression, Grade::Proven];
            let found = grades.into_iter().find(|of| of.name() == grade);
            return found
                .map(Self::Verdict)
                .ok_or_else(|| CriterionError::Grade {
                    grade: grade.to_owned(),
                });
        }
        if let Ok(document) = text.parse() {
            return Ok(Self::Document(document));
        }
        let (made, name): (fn(String) -> Self, &str) = match text.split_once(':') {
            Some(("check", name)) => (Self::Check, name),
            Some(("release", name)) => (Self::Release, name),
            _ => {
                let text = text.to_owned();
                return Err(CriterionError::Unknown { text });
            }
        };
        if name.trim().is_empty() {
            let text = text.to_owned();
            return Err(CriterionError::NoName { text });
        }
        Ok(made(name.to_owned()))
    }
}

impl TryFrom<String> for Criterion {
    type Error = CriterionError;

    fn try_from(text: String) -> Result<Self, CriterionError> {
        text.parse()
    }
}

impl From<Criterion> for String {
    fn from(criterion: Criterion) -> Self {
        criterion.to_string()
    }
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verdict(grade) => write!(f, "verdict>={}", grade.name()),
            Self::Document(document) => document.fmt(f),
            Self::Check(name) => write!(f, "check:{name}"),
            Self::Release(id) => write!(f, "release:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::release::gate::criterion::{
        CheckState, Criterion, CriterionError, Facts, Grade, Judged, Standing,
    };
    use crate::release::gate::tests::facts;

    #[track_caller]
    fn look(criterion: &str, facts: &Facts, done: bool, detail: &str) {
        let read: Criterion = criterion.parse().unwrap();
        assert_eq!(read.to_string(), criterion);
        let item = read.look(facts);
        assert_eq!(
            (item.done, item.detail.as_str()),
            (done, detail),
            "{criterion}"
        );
    }

    #[test]
    fn a_criterion_is_done_or_says_why_it_is_not() {
        let mut facts = facts();
        facts.judged = Judged::As(Grade::NoRegression);
        look(
            "verdict>=no-regression",
            &facts,
            true,
            "the verdict is no-regression",
        );
        look(
            "verdict>=proven",
            &facts,
            false,
            "the verdict is no-regression so far",
        );
        facts.judged = Judged::Not("120 requests are missing".to_owned());
        look(
            "verdict>=no-regression",
            &facts,
            false,
            "120 requests are missing",
        );
        facts.judged = Judged::As(Grade::Proven);
        look(
            "verdict>=no-regression",
            &facts,
            true,
            "the verdict is proven",
        );
        look("notes", &facts, false, "missing");
        facts.documents.notes = Some(" \n".to_owned());
        look("notes", &facts, false, "missing");
        facts.documents.ticket = Some("CHG-1042".to_owned());
        look("ticket", &facts, true, "there");
        look(
            "check:smoke",
            &facts,
            false,
            "the release has no such check",
        );
        let states = [
            (CheckState::Passed, true, "passed"),
            (
                CheckState::Failed("GET / gave 500".to_owned()),
                false,
                "failed: GET / gave 500",
            ),
            (
                CheckState::Pending("it runs".to_owned()),
                false,
                "no result yet: it runs",
            ),
        ];
        for (state, done, detail) in states {
            facts.checks.insert("smoke".to_owned(), state);
            look("check:smoke", &facts, done, detail);
        }
        look("release:pay-5.1", &facts, false, "there is no such release");
        let phase = Standing::InPhase("baking".to_owned());
        facts.releases.insert("pay-5.1".to_owned(), phase);
        look("release:pay-5.1", &facts, false, "is baking, not promoted");
        facts
            .releases
            .insert("pay-5.1".to_owned(), Standing::Promoted);
        look("release:pay-5.1", &facts, true, "promoted");
    }

    #[test]
    fn what_is_no_criterion_is_refused_with_those_that_are() {
        let refused = |text: &str| text.parse::<Criterion>().unwrap_err();
        assert_eq!(
            refused("verdict>=great").to_string(),
            "\"great\" is no verdict that a gate can ask for: no-regression or proven"
        );
        for text in [
            "",
            "Notes",
            "verdict",
            "verdict>proven",
            "smoke",
            "checks:smoke",
            ":smoke",
        ] {
            assert!(
                matches!(refused(text), CriterionError::Unknown { .. }),
                "{text}"
            );
        }
        for text in ["check:", "release: "] {
            assert!(
                matches!(refused(text), CriterionError::NoName { .. }),
                "{text}"
            );
        }
    }
}
