//! Splits as written, and what is wrong with those that nobody can have meant.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::message::Networks;
use crate::split::cookie::StickyCookie;
use crate::split::key::{Key, KeyError, is_query_name, is_token};
use crate::split::pin::PinSpec;
use crate::split::rule::RuleSpec;
use crate::split::secret::SharedSecret;

/// The largest weight: enough for one request in a million.
pub const MAX_WEIGHT: u32 = 1_000_000;
/// The longest name of a variant: it is a label, a header and a part of a cookie.
pub const MAX_NAME_BYTES: usize = 64;

/// The division of a route's requests among its variants, as written.
#[derive(Clone, Debug)]
pub struct SplitSpec {
    /// What tells this split's choice of users from that of others: by default the route's name.
    /// Splits with one salt and one division move the same users.
    pub salt: String,
    /// The variants. Their order means nothing.
    pub variants: Vec<VariantSpec>,
    /// The rules, in their order: the first whose segment holds has the weights.
    pub rules: Vec<RuleSpec>,
    /// What keeps a user on one variant; without it every request is drawn.
    pub sticky: Option<Sticky>,
    /// How a request may name its variant.
    pub force: Option<Force>,
}

/// A branch of a split.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VariantSpec {
    /// Its name: letters, digits, `-`, `_` and `.`. Who has which variant depends on the names.
    pub name: String,
    /// Its relative weight, up to [`MAX_WEIGHT`]; 0 means no new assignments.
    pub weight: u32,
    /// Whether it may be used at all.
    pub state: State,
}

/// Whether a variant may be used at all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum State {
    /// It serves what it is assigned.
    #[default]
    On,
    /// It serves nobody, not even those who force it.
    Off,
}

/// What keeps a user on one variant.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sticky {
    /// Where a key may be; the first that is there is hashed.
    pub keys: Vec<Key>,
    /// The cookie with an identity for clients that have none of the keys.
    pub cookie: Option<StickyCookie>,
    /// How clients are pinned to the variant that first served them, if they are; then there is no
    /// cookie for identities.
    pub pin: Option<PinSpec>,
}

/// How a request may name its variant: a header goes before a cookie, that before a query parameter.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Force {
    /// The name of a header.
    pub header: Option<String>,
    /// The name of a cookie.
    pub cookie: Option<String>,
    /// The name of a query parameter.
    pub query: Option<String>,
    /// The clients that may; none here means all.
    pub trusted: Networks,
    /// What has to follow the name of the variant, behind a colon. Then nothing may be forced by
    /// the query, which ends up in logs and histories.
    pub secret: Option<SharedSecret>,
    /// Fields that give a request a variant, whoever sends them; they go before everything else.
    pub preview: Option<Preview>,
}

/// A host and fields by which a request gets a variant that nobody else may get.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Preview {
    /// The host that a request has to be for, if any will not do; without a port, in lower case.
    pub host: Option<String>,
    /// Names with values; a request has to have all of them. Without a host there is one at least.
    pub fields: Vec<(String, String)>,
    /// The name of the variant.
    pub variant: String,
}

/// Why a split cannot be.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "the fields are what the message says")]
pub enum SplitError {
    /// There is no variant.
    #[error("a split has at least one variant")]
    NoVariants,
    /// A name that is no name.
    #[error("`{name}` is not the name of a variant: 1 to 64 letters, digits, `-`, `_` or `.`")]
    Name { name: String },
    /// Two variants of one name.
    #[error("two variants are named `{name}`")]
    NameRepeated { name: String },
    /// A weight that is too large.
    #[error("weight {weight} of variant `{name}` is over 1000000")]
    Weight { name: String, weight: u32 },
    /// Nobody would get anything.
    #[error("all weights are 0; at least one must be more")]
    AllZero,
    /// A rule that nobody could obey, or that never decides.
    #[error("the rule of segment `{segment}` {problem}")]
    Rule {
        segment: String,
        problem: &'static str,
    },
    /// A key that no request can have.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Stickiness that no request could ever have.
    #[error("sticky needs keys, a cookie, or both")]
    StickyEmpty,
    /// Two cookies that say where a client is.
    #[error("who is pinned needs no identity")]
    PinAndIdentity,
    /// A cookie that no client could keep.
    #[error("`{name}` is not the name of a cookie")]
    CookieName { name: String },
    /// A cookie that a client drops at once.
    #[error("the max_age of cookie `{name}` is under a second")]
    CookieAge { name: String },
    /// Nothing can force.
    #[error("force needs a header, a cookie or a query parameter")]
    ForceEmpty,
    /// A secret that would be written down.
    #[error("a secret may not stand in {place}, which is written to logs")]
    ForceSecret { place: String },
    /// A place that no request can have.
    #[error("`{name}` is not the name of a {place}")]
    ForceName { place: &'static str, name: String },
}

/// The headers that access logs tell.
const LOGGED: [&str; 4] = ["host", "referer", "traceparent", "user-agent"];

/// True for a header that access logs tell: a secret has no place there.
pub fn is_logged(header: &str) -> bool {
    LOGGED.iter().any(|name| header.eq_ignore_ascii_case(name))
}

impl SplitSpec {
    /// Finds the first thing that is wrong.
    pub(in crate::split) fn check(&self) -> Result<(), SplitError> {
        if self.variants.is_empty() {
            return Err(SplitError::NoVariants);
        }
        let mut names = BTreeSet::new();
        for VariantSpec { name, weight, .. } in &self.variants {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(plain) {
                return Err(SplitError::Name { name: name.clone() });
            }
            if !names.insert(name) {
                return Err(SplitError::NameRepeated { name: name.clone() });
            }
            if *weight > MAX_WEIGHT {
                return Err(SplitError::Weight {
                    name: name.clone(),
                    weight: *weight,
                });
            }
        }
        if self.variants.iter().all(|variant| variant.weight == 0) {
            return Err(SplitError::AllZero);
        }
        self.check_rules()?;
        self.sticky.as_ref().map_or(Ok(()), Sticky::check)?;
        self.force.as_ref().map_or(Ok(()), Force::check)
    }
}

impl SplitSpec {
    fn check_rules(&self) -> Result<(), SplitError> {
        let mut names = BTreeSet::new();
        for RuleSpec { name, weights, .. } in &self.rules {
            let problem = if !names.insert(name) {
                "comes after one of the same segment and never decides"
            } else if weights.len() != self.variants.len() {
                "has not as many weights as there are variants"
            } else if weights.iter().any(|&weight| weight > MAX_WEIGHT) {
                "has a weight over 1000000"
            } else if weights.iter().all(|&weight| weight == 0) {
                "has no weight but 0"
            } else {
                continue;
            };
            return Err(SplitError::Rule {
                segment: name.clone(),
                problem,
            });
        }
        Ok(())
    }
}

impl Sticky {
    fn check(&self) -> Result<(), SplitError> {
        for key in &self.keys {
            key.check()?;
        }
        let cookie = match (&self.cookie, &self.pin) {
            (Some(_), Some(_)) => return Err(SplitError::PinAndIdentity),
            (Some(cookie), None) => cookie,
            (None, Some(pin)) => &pin.cookie,
            (None, None) if self.keys.is_empty() => return Err(SplitError::StickyEmpty),
            (None, None) => return Ok(()),
        };
        let StickyCookie { name, max_age } = cookie;
        if !is_token(name) {
            return Err(SplitError::CookieName { name: name.clone() });
        }
        if max_age.is_some_and(|age| age.as_secs() == 0) {
            return Err(SplitError::CookieAge { name: name.clone() });
        }
        Ok(())
    }
}

impl Force {
    fn check(&self) -> Result<(), SplitError> {
        let places = [
            ("header", &self.header, is_token as fn(&str) -> bool),
            ("cookie", &self.cookie, is_token),
            ("query parameter", &self.query, is_query_name),
        ];
        if places.iter().all(|(_, name, _)| name.is_none()) && self.preview.is_none() {
            return Err(SplitError::ForceEmpty);
        }
        let fields = self.preview.iter().flat_map(|preview| &preview.fields);
        if let Some((name, _)) = fields.clone().find(|(name, _)| !is_token(name)) {
            return Err(SplitError::ForceName {
                place: "header",
                name: name.clone(),
            });
        }
        if self.secret.is_some() {
            if self.query.is_some() {
                let place = "the query".to_owned();
                return Err(SplitError::ForceSecret { place });
            }
            let logged = self.header.iter().find(|name| is_logged(name));
            if let Some(name) = logged {
                let place = format!("the header {name}");
                return Err(SplitError::ForceSecret { place });
            }
        }
        for (place, name, is_name) in places {
            if let Some(name) = name
                && !is_name(name)
            {
                return Err(SplitError::ForceName {
                    place,
                    name: name.clone(),
                });
            }
        }
        Ok(())
    }
}
