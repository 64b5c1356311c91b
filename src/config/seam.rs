//! What routes and splits are, as written.

use std::time::Duration;

/// What a route catches, as written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MatchSpec {
    /// Hosts; none means any.
    pub hosts: Vec<String>,
    /// The paths; none means any.
    pub path: Option<PathSpec>,
    /// The methods; none means any.
    pub methods: Vec<String>,
    /// What headers must be.
    pub headers: Vec<FieldSpec>,
    /// What query parameters must be.
    pub query: Vec<FieldSpec>,
}

/// Which paths a route takes, as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PathSpec {
    /// This path and no other.
    Exact(String),
    /// This path and all below it, by whole segments.
    Prefix(String),
    /// Every path that this regular expression matches.
    Regex(String),
}

/// What a header or query parameter must be, as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldSpec {
    /// Its name.
    pub name: String,
    /// What its value must be.
    pub value: ValueSpec,
}

/// What a value must be, as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ValueSpec {
    /// Exactly this text.
    Exact(String),
    /// There is one.
    Present,
    /// There is none.
    Absent,
    /// This regular expression matches it.
    Regex(String),
}

/// How a route's requests are divided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SplitSpec {
    /// What the hash is salted with.
    pub salt: String,
    /// The branches.
    pub variants: Vec<VariantSpec>,
    /// Who stays where they are.
    pub sticky: Option<Sticky>,
    /// Who may choose.
    pub force: Option<Force>,
}

/// A branch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VariantSpec {
    /// Its name.
    pub name: String,
    /// Its weight.
    pub weight: u32,
    /// Whether it is served at all.
    pub state: State,
}

/// Whether a variant is served at all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum State {
    /// It is.
    #[default]
    On,
    /// To nobody.
    Off,
}

/// Who stays where they are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sticky {
    /// What tells users apart.
    pub keys: Vec<Key>,
    /// The cookie for those who have no key.
    pub cookie: Option<IdentityCookie>,
}

/// The cookie for those who have no key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdentityCookie {
    /// Its name.
    pub name: String,
    /// How long it lasts; `None` is until the browser ends.
    pub max_age: Option<Duration>,
}

/// What tells users apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Key {
    /// A header's value.
    Header(String),
    /// A cookie's value.
    Cookie(String),
    /// A query parameter's value.
    Query(String),
    /// The client's address.
    ClientIp,
}

impl std::str::FromStr for Key {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once(':') {
            Some(("header", name)) => Ok(Self::Header(name.to_owned())),
            Some(("cookie", name)) => Ok(Self::Cookie(name.to_owned())),
            Some(("query", name)) => Ok(Self::Query(name.to_owned())),
            None if text == "client_ip" => Ok(Self::ClientIp),
            _ => Err(()),
        }
    }
}

/// Who may choose.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Force {
    /// By a header.
    pub header: Option<String>,
    /// By a cookie.
    pub cookie: Option<String>,
    /// By a query parameter.
    pub query: Option<String>,
}
