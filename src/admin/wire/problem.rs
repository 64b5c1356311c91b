//! What is wrong: with a request, and with a configuration.

use std::fmt::{Display, Formatter};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config;

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ConfigProblem {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 when the problem is with no place in the file.
    pub line: usize,
    /// The column in characters, from 1; 0 when there is no line.
    pub column: usize,
    /// The dotted path of the key; empty when no key is to blame.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

impl From<&config::Problem> for ConfigProblem {
    fn from(problem: &config::Problem) -> Self {
        Self {
            file: problem.file.display().to_string(),
            line: problem.line,
            column: problem.column,
            key: problem.key.clone(),
            message: problem.message.clone(),
        }
    }
}

impl Display for ConfigProblem {
    /// As `tidegate check` and the log have it: `tidegate.toml:14:12 route.shop.split: …`.
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let mut place = self.file.clone();
        if self.line != 0 {
            place.push_str(&format!(":{}:{}", self.line, self.column));
        }
        if !self.key.is_empty() {
            place.push_str(&format!(" {}", self.key));
        }
        if place.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{place}: {}", self.message)
    }
}

/// An error, as `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Problem {
    /// What is wrong, as a URI that identifies it: `urn:tidegate:problem:` and the code.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// What is wrong, as a word that never changes.
    #[serde(default)]
    pub code: String,
    /// What the status is called.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What is wrong, in words.
    pub detail: String,
    /// The role that is missing, when that is what is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The member of the request's body that is wrong, as a JSON Pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Everything that is wrong with the configuration, when that is what the error is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ConfigProblem>,
}

#[cfg(test)]
mod tests {
    use crate::admin::wire::problem::ConfigProblem;

    #[test]
    fn a_problem_says_of_its_place_what_there_is_to_say() {
        let mut problem = ConfigProblem {
            file: "tidegate.toml".to_owned(),
            line: 14,
            column: 12,
            key: "route.shop".to_owned(),
            message: "leads nowhere".to_owned(),
        };
        assert_eq!(
            problem.to_string(),
            "tidegate.toml:14:12 route.shop: leads nowhere"
        );
        problem.line = 0;
        problem.key.clear();
        assert_eq!(problem.to_string(), "tidegate.toml: leads nowhere");
        problem.file.clear();
        assert_eq!(problem.to_string(), "leads nowhere");
    }
}
