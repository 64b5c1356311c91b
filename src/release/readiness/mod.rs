//! Readiness: what a change has to bring along, by its type, and what an emergency owes afterwards.
//!
//! A standard change is authorised beforehand and meets no gate. A normal one meets its gates. An
//! emergency may pass freezes and gates with a reason; from then on its review is open, and only
//! somebody else closes it.

mod review;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use crate::release::readiness::review::{Closing, Exception, Passed, Review, ReviewError};

/// How a change came to be authorised.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeType {
    /// Beforehand, for all changes of its kind.
    Standard,
    /// At its gates.
    #[default]
    Normal,
    /// By whoever answers for not having waited.
    Emergency,
}

/// What may go wrong, as its author sees it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Little.
    Low,
    /// Something.
    Medium,
    /// Much.
    High,
}

/// What a release can bring along.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Document {
    /// What changes, for everyone.
    Notes,
    /// How it is taken back.
    RollbackPlan,
    /// How it is done.
    Procedure,
    /// The change's ticket elsewhere.
    Ticket,
}

/// Why a text names no document.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text:?} is no document: notes, rollback_plan, procedure or ticket")]
pub struct DocumentError {
    /// The text.
    pub text: String,
}

/// The documents of a release; what is blank is not there.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Documents {
    /// What changes, for everyone.
    pub notes: Option<String>,
    /// How it is taken back.
    pub rollback_plan: Option<String>,
    /// How it is done.
    pub procedure: Option<String>,
    /// The change's ticket elsewhere.
    pub ticket: Option<String>,
}

impl ChangeType {
    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Normal => "normal",
            Self::Emergency => "emergency",
        }
    }

    /// Whether the gates of its steps are asked.
    pub fn meets_gates(self) -> bool {
        match self {
            Self::Standard => false,
            Self::Normal | Self::Emergency => true,
        }
    }

    /// Whether the release may go on where there are too few requests to judge by.
    pub fn may_pass_insufficient(self) -> bool {
        match self {
            Self::Standard => true,
            Self::Normal | Self::Emergency => false,
        }
    }
}

impl Risk {
    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl Document {
    /// Every document.
    pub const ALL: [Document; 4] = [
        Self::Notes,
        Self::RollbackPlan,
        Self::Procedure,
        Self::Ticket,
    ];

    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Notes => "notes",
            Self::RollbackPlan => "rollback_plan",
            Self::Procedure => "procedure",
            Self::Ticket => "ticket",
        }
    }
}

impl FromStr for Document {
    type Err = DocumentError;

    fn from_str(text: &str) -> Result<Self, DocumentError> {
        let found = Self::ALL.into_iter().find(|of| of.name() == text);
        found.ok_or_else(|| DocumentError {
            text: text.to_owned(),
        })
    }
}

impl TryFrom<String> for Document {
    type Error = DocumentError;

    fn try_from(text: String) -> Result<Self, DocumentError> {
        text.parse()
    }
}

impl From<Document> for &'static str {
    fn from(document: Document) -> Self {
        document.name()
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Documents {
    /// The text of a document, without the blanks around it; none when there is nothing else.
    pub fn text(&self, document: Document) -> Option<&str> {
        let text = match document {
            Document::Notes => &self.notes,
            Document::RollbackPlan => &self.rollback_plan,
            Document::Procedure => &self.procedure,
            Document::Ticket => &self.ticket,
        };
        let text = text.as_deref()?.trim();
        (!text.is_empty()).then_some(text)
    }

    /// Those that are required, by whomever, and are not there: each once, in the order of
    /// [`Document::ALL`].
    pub fn missing(&self, required: &[Document]) -> Vec<Document> {
        let wanted = Document::ALL.into_iter();
        wanted
            .filter(|document| required.contains(document) && self.text(*document).is_none())
            .collect()
    }
}
