//! Who asks, as every record of what was asked names them.

use std::fmt::{Display, Formatter};
use std::net::IpAddr;

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};

use crate::release::role::{Role, Roles};
use crate::store::{self, ActorKind};

/// Who asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::admin) struct Actor {
    /// How they are known.
    pub(in crate::admin) kind: Kind,
    /// Their name among those of that kind.
    pub(in crate::admin) id: String,
    /// What they may do.
    pub(in crate::admin) roles: Roles,
    /// By what they ask, as far as they say.
    pub(in crate::admin) via: Via,
    /// The address that they come from.
    pub(in crate::admin) addr: Option<IpAddr>,
}

/// How somebody is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::admin) enum Kind {
    /// As somebody on this machine, where no token is configured.
    User,
    /// By a token.
    Token,
}

impl Kind {
    /// The word for it in records.
    pub(in crate::admin) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Token => "token",
        }
    }
}

/// By what somebody asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::admin) enum Via {
    /// A program of their own.
    Api,
    /// The command line.
    Cli,
}

impl Via {
    /// The word for it in records.
    pub(in crate::admin) fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Cli => "cli",
        }
    }

    /// What a request says that it comes from.
    pub(in crate::admin) fn of(headers: &HeaderMap) -> Self {
        let agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes);
        if agent.is_some_and(|agent| agent.starts_with(b"tidegate/")) {
            Self::Cli
        } else {
            Self::Api
        }
    }
}

impl Actor {
    /// Somebody on this machine, where no token is configured: they may do everything.
    pub(in crate::admin) fn local() -> Self {
        Self {
            kind: Kind::User,
            id: "local".to_owned(),
            roles: Roles::every(),
            via: Via::Api,
            addr: None,
        }
    }

    /// Somebody who has the token of a name.
    pub(in crate::admin) fn token(name: &str, roles: impl IntoIterator<Item = Role>) -> Self {
        Self {
            kind: Kind::Token,
            id: name.to_owned(),
            roles: roles.into_iter().collect(),
            via: Via::Api,
            addr: None,
        }
    }
}

impl From<&Actor> for store::Actor {
    fn from(actor: &Actor) -> Self {
        Self {
            kind: match actor.kind {
                Kind::User => ActorKind::Local,
                Kind::Token => ActorKind::Token,
            },
            id: actor.id.clone(),
            roles: actor.roles.names().map(str::to_owned).collect(),
            via: match actor.via {
                Via::Api => store::Via::Api,
                Via::Cli => store::Via::Cli,
            },
            addr: actor.addr,
        }
    }
}

impl Display for Actor {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind.name(), self.id)
    }
}
