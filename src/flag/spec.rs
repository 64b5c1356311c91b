//! Flags as written: in a file, and at run time over it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::flag::{FlagValue, Kind};
use crate::segment::{Attribute, Segment};

/// A flag as written in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagSpec {
    /// What the values of its variants are.
    pub kind: Kind,
    /// What it is about, for people.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// When it was made.
    pub created: Option<SystemTime>,
    /// From when on it ought to be gone.
    pub expires: Option<SystemTime>,
    /// Whether it is meant to stay; then it is never stale.
    pub permanent: bool,
    /// Whether it is on at all; otherwise everybody gets the off variant.
    pub enabled: bool,
    /// Whether operators may kill it without being allowed to change it otherwise.
    pub kill_switch: bool,
    /// Whether clients that are not servers may know of it.
    pub client_visible: bool,
    /// The variants by their names, each with its value; at least one.
    pub variants: BTreeMap<String, FlagValue>,
    /// The variant of a flag that is killed or disabled, or that lacks a prerequisite.
    pub off_variant: String,
    /// What those get whom no rule serves.
    pub default: Serve,
    /// Other flags that have to have a certain variant.
    pub prerequisites: Vec<Prerequisite>,
    /// The rules, in their order; the first that serves decides.
    pub rules: Vec<RuleSpec>,
    /// What tells this flag's choice of users from that of others; the flag's name where it has
    /// none. Flags and routes with one salt, the same names and weights divide users alike.
    pub salt: Option<String>,
    /// Where the proxy evaluates it and tells the upstream.
    pub inject: Option<Inject>,
}

/// What a flag, a rule or an override gives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Serve {
    /// This variant, to all.
    Variant(String),
    /// Each variant to its share, by relative weights up to
    /// [`MAX_WEIGHT`](crate::split::MAX_WEIGHT). A variant that is not named has none.
    Split(BTreeMap<String, u32>),
}

/// A flag that has to have a certain variant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prerequisite {
    /// The name of the flag.
    pub flag: String,
    /// The name of its variant.
    pub variant: String,
}

/// One line of a flag's targeting.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSpec {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Whom it is for, and the name of that segment; everybody without one.
    pub segment: Option<(String, Arc<Segment>)>,
    /// What a split divides by; the targeting key without one.
    pub bucket_by: Option<Attribute>,
    /// The salt of its split; the flag's without one.
    pub salt: Option<String>,
    /// What it gives.
    pub serve: Serve,
    /// From when on it holds.
    pub from: Option<SystemTime>,
    /// Until when it holds; not at that moment any more.
    pub to: Option<SystemTime>,
}

/// Where the proxy evaluates a flag and tells the upstream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inject {
    /// The header that carries the variant.
    pub header: String,
    /// The routes whose upstreams are told.
    pub routes: Vec<String>,
}

/// What was set of a flag at run time, over its file. Nothing, by default.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Runtime {
    /// Whether it is killed.
    pub killed: bool,
    /// Whether it is on, in place of what the file says.
    pub enabled: Option<bool>,
    /// What everybody gets, before all rules.
    pub serve: Option<Serve>,
    /// The release that rolls it out.
    pub release: Option<Ramp>,
}

/// How far a release has rolled out a flag. It divides what the flag divided before: by the
/// `bucket_by` and with the salt of the first rule without a segment, if there is one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ramp {
    /// The weights of the variants.
    pub weights: BTreeMap<String, u32>,
    /// A salt of its own; without one the users are those whom the flag itself would choose.
    pub salt: Option<String>,
}

impl FlagSpec {
    /// A plain switch: `on` and `off`, which are true and false, and off for everybody.
    pub fn switch() -> Self {
        Self {
            kind: Kind::Boolean,
            description: None,
            owner: None,
            tags: Vec::new(),
            created: None,
            expires: None,
            permanent: false,
            enabled: true,
            kill_switch: false,
            client_visible: false,
            variants: BTreeMap::from([
                ("on".to_owned(), FlagValue::Boolean(true)),
                ("off".to_owned(), FlagValue::Boolean(false)),
            ]),
            off_variant: "off".to_owned(),
            default: Serve::Variant("off".to_owned()),
            prerequisites: Vec::new(),
            rules: Vec::new(),
            salt: None,
            inject: None,
        }
    }

    /// The weights that a release would move: those of the first rule without a segment, else of
    /// the default, for every variant. A single variant has 100.
    pub fn roll_out(&self) -> BTreeMap<String, u32> {
        let open = self.rules.iter().find(|rule| rule.segment.is_none());
        let serve = open.map_or(&self.default, |rule| &rule.serve);
        let weight = |name: &String| match serve {
            Serve::Variant(only) if only == name => 100,
            Serve::Variant(_) => 0,
            Serve::Split(weights) => weights.get(name).copied().unwrap_or(0),
        };
        let names = self.variants.keys();
        names.map(|name| (name.clone(), weight(name))).collect()
    }
}

impl RuleSpec {
    /// A rule for everybody, at all times.
    pub fn new(serve: Serve) -> Self {
        Self {
            name: None,
            segment: None,
            bucket_by: None,
            salt: None,
            serve,
            from: None,
            to: None,
        }
    }
}
