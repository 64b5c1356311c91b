//! Flags: how they stand, what they answer, and what of them is set at run time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::admin::wire::releases::{Changed, Said};

/// All flags: the answer of `GET /api/v1/flags`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Flags {
    /// In the order of their names.
    pub flags: Vec<FlagRow>,
}

/// A flag in a few words.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct FlagRow {
    /// Its name.
    pub name: String,
    /// The revision of what is set of it at run time: its `ETag`, without the quotes; 0 where nothing is.
    pub revision: u64,
    /// `boolean`, `string`, `integer`, `float` or `object`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What decides first: `killed`, `disabled`, `override`, `release` or `file`.
    pub decided_by: String,
    /// What is served, in words: `off`, `on=10 off=90`, `2 rules, else off`.
    pub serves: String,
    /// True while it is on.
    pub is_enabled: bool,
    /// True while everyone gets the off variant because somebody killed it.
    pub is_killed: bool,
    /// The names of its variants.
    pub variants: Vec<String>,
    /// Tells one content of the flag in the file from another.
    pub version: String,
    /// True for one that is meant to stay: it never becomes stale.
    pub is_permanent: bool,
    /// When it was to be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Why it should be taken out.
    #[serde(default)]
    pub stale: Vec<StaleStatus>,
    /// When it was last evaluated, as far as is known; that is looked at once a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_evaluated_at: Option<String>,
}

/// Why a flag should be taken out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct StaleStatus {
    /// `expired`, `one_answer` or `unused`.
    pub cause: String,
    /// When it was to be gone, the first of the answers, or the last evaluation.
    pub since: String,
    /// The one answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// It in words.
    pub text: String,
}

/// A flag: the answer of `GET /api/v1/flags/{flag}`, with its revision as `ETag`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Flag {
    /// It in a few words.
    #[serde(flatten)]
    pub row: FlagRow,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// What the variants stand for, by name.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub values: BTreeMap<String, Value>,
    /// The variant of a flag that is killed or disabled, or that lacks a prerequisite.
    pub off_variant: String,
    /// What others have to have first.
    #[serde(default)]
    pub prerequisites: Vec<FlagNeed>,
    /// Who gets what, the first that holds.
    #[serde(default)]
    pub rules: Vec<FlagRule>,
    /// What the others get, in words.
    pub default: String,
    /// True when operators may kill it.
    pub has_kill_switch: bool,
    /// True when clients that are no servers may know it.
    pub is_client_visible: bool,
    /// Where upstreams are told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inject: Option<FlagInject>,
    /// Whether it is on in the file.
    pub is_enabled_in_file: bool,
    /// Who killed it, while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub killed: Option<Said>,
    /// Who set whether it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switched: Option<FlagSet>,
    /// Who set what it serves to everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<FlagSet>,
    /// The release that rolls it out, or left what it serves when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// How often each variant was the answer, as far as is known; that is looked at once a minute.
    #[serde(default)]
    pub answers: BTreeMap<String, FlagAnswers>,
    /// Since when it is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched_since: Option<String>,
}

/// A flag that has to have a variant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FlagNeed {
    /// The flag.
    pub flag: String,
    /// The variant.
    pub variant: String,
}

/// A rule of a flag.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FlagRule {
    /// Its name, or its place: `rule 2`.
    pub name: String,
    /// Whom it is for; everyone where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// What it serves, in words.
    pub serves: String,
    /// What its shares are divided by, where not by the targeting key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_by: Option<String>,
    /// From when on it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// Where upstreams are told of a flag.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FlagInject {
    /// The header.
    pub header: String,
    /// The routes.
    pub routes: Vec<String>,
}

/// Something that was set of a flag.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FlagSet {
    /// What: `enabled` or `disabled`, or what is served.
    pub value: String,
    /// Who set it, why and when.
    #[serde(flatten)]
    pub said: Said,
    /// Until when it holds, if not until the file changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// How often a variant was the answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FlagAnswers {
    /// How often.
    pub count: u64,
    /// When last, at the latest.
    pub last_at: String,
}

/// What came of asking something of a flag.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct FlagChanged {
    /// What was written.
    #[serde(flatten)]
    pub changed: Changed,
    /// The flag now; none where it is not in the file any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<Flag>,
}

/// What `POST /api/v1/flags/{flag}/enable` and `…/disable` take, besides `reason` and `ticket`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchFlag {
    /// Until when: an instant, or a duration from now such as `2h`. Without one, what enables holds
    /// for 24 hours and what disables until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// True for what is to hold until the file changes.
    #[serde(default)]
    pub permanent: bool,
}

/// What `POST /api/v1/flags/{flag}/override` takes, besides `reason` and `ticket`: either of `variant`
/// and `split`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideFlag {
    /// The variant that everyone gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The weights of the variants that everyone gets; one that is not named gets nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<BTreeMap<String, u32>>,
    /// Until when: an instant, or a duration from now such as `2h`; 24 hours without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// True for what is to hold until the file changes.
    #[serde(default)]
    pub permanent: bool,
}

/// What a flag answers: `GET /api/v1/flags/{flag}/evaluate`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct FlagEvaluation {
    /// The flag.
    pub flag: String,
    /// The value, as the flag's type has it.
    #[schema(value_type = Object)]
    pub value: Value,
    /// The variant.
    pub variant: String,
    /// Why, in the words of OpenFeature: `STATIC`, `DEFAULT`, `TARGETING_MATCH`, `SPLIT` or `DISABLED`.
    pub reason: String,
    /// What decided: `killed`, `disabled`, `prerequisite`, `override`, `rule`, `release` or `default`.
    pub cause: String,
    /// The rule that did, or the prerequisite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How many splits were passed over because the context has nothing that they divide by.
    pub buckets_missing: u32,
    /// The version of the flag.
    pub version: String,
    /// Every line of the order of decision, where that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<FlagStep>,
}

/// A line of the order of decision.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FlagStep {
    /// `kill`, `disable`, `prerequisite`, `override`, `rule`, `release` or `default`.
    pub line: String,
    /// What it is about: the rule, the prerequisite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// `decided`, `not_set`, `met`, `not_before`, `not_since`, `segment_fails`, `no_bucket_key`,
    /// `replaced` or `not_asked`.
    pub outcome: String,
    /// The outcome in words.
    pub text: String,
    /// The conditions of its segment, by groups of which one has to hold as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Vec<FlagCondition>>,
}

/// A condition, and whether it holds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FlagCondition {
    /// The condition.
    pub condition: String,
    /// True when it holds by itself.
    pub holds: bool,
}

/// The flags that should be taken out: the answer of `GET /api/v1/flags/stale`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct StaleFlags {
    /// In the order of their names.
    pub flags: Vec<StaleFlag>,
}

/// A flag that should be taken out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct StaleFlag {
    /// Its name.
    pub name: String,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Why.
    pub stale: Vec<StaleStatus>,
    /// When it was last evaluated, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_evaluated_at: Option<String>,
}
