//! Reads `[admin]`: where the control plane listens, and the tokens of those who may ask it.
//!
//! Of a token only the SHA-256 is kept.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::config::listener::address;
use crate::config::moment::moment;
use crate::config::reader::{Table, Value};
use crate::config::role::roles;
use crate::config::secret::Secret;
use crate::config::settings::ListenerConfig;
use crate::release::role::Role;

/// The name of the token that `admin.token` is.
pub const ADMIN_TOKEN: &str = "admin";

/// How long a bearer token may be: not a mere placeholder, and no more than a header takes.
const TOKEN: RangeInclusive<usize> = 8..=4096;
/// The most roles of a token: more are no roles.
const MAX_ROLES: usize = 32;

/// Where the control plane listens, and who may ask.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AdminConfig {
    /// The address; port 0 lets the system choose one.
    pub address: SocketAddr,
    /// The token named [`ADMIN_TOKEN`], which may do everything.
    pub token: Option<TokenSecret>,
    /// The other tokens by their names. There is one of either kind unless the address is loopback.
    pub tokens: BTreeMap<String, TokenConfig>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 9900)),
            token: None,
            tokens: BTreeMap::new(),
        }
    }
}

/// A token, and what may be done with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenConfig {
    /// Its roles, at least one, none twice.
    pub roles: Vec<Role>,
    /// How it is recognised.
    pub secret: TokenSecret,
    /// From when on it is not valid any more, if it does not last.
    pub expires: Option<SystemTime>,
}

/// What a token is recognised by: the SHA-256 of its secret, which nothing shows.
#[derive(Clone, Eq, PartialEq)]
pub struct TokenSecret {
    sha256: [u8; 32],
    /// The file that the secret was read from, if it was.
    file: Option<PathBuf>,
}

impl TokenSecret {
    /// Keeps the hash of a secret.
    pub fn of(secret: &Secret) -> Self {
        Self {
            sha256: Sha256::digest(secret.expose()).into(),
            file: secret.file().map(Path::to_owned),
        }
    }

    /// The SHA-256 of the secret.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// The file that the secret was read from, if it was.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenSecret(…)")
    }
}

/// Reads `[admin]`, whose address must not be that of a listener.
pub(crate) fn read(
    root: &mut Table<'_>,
    listeners: &BTreeMap<String, ListenerConfig>,
) -> AdminConfig {
    let mut admin = AdminConfig::default();
    root.section("admin", |table| {
        table.set("address", &mut admin.address, |value| {
            let address = address(value)?;
            let listener = listeners
                .iter()
                .find(|(_, listener)| listener.address == address.into() && address.port() != 0);
            if let Some((name, _)) = listener {
                value.refuse(format!(
                    "{address} is the address of listener {name} already"
                ));
                return None;
            }
            Some(address)
        });
        let token = table.optional("token");
        if let Some(value) = &token {
            admin.token = value.secret(TOKEN).as_ref().map(TokenSecret::of);
        }
        let mut n_tokens = 0;
        if let Some(section) = table.optional("tokens") {
            let mut known = BTreeMap::new();
            // What is in a file that is not looked at is not known.
            let is_known = |secret: &TokenSecret| secret.file().is_none() || section.reads_files();
            if let Some(secret) = admin.token.as_ref().filter(|secret| is_known(secret)) {
                known.insert(*secret.sha256(), ADMIN_TOKEN);
            }
            let tokens = section.names(|name, value| {
                n_tokens += 1;
                if name == ADMIN_TOKEN && token.is_some() {
                    value.refuse_key("admin.token is the token of that name already");
                    return None;
                }
                let token = value.table(read_token)??;
                // Who comes with a secret that two tokens have could be either.
                if is_known(&token.secret)
                    && let Some(other) = known.insert(*token.secret.sha256(), name)
                {
                    value.refuse_key(format!("has the same secret as the token {other}"));
                    return None;
                }
                Some(token)
            });
            let tokens = tokens.into_iter();
            admin.tokens = tokens.map(|(name, token)| (name.into(), token)).collect();
        }
        if !admin.address.ip().is_loopback() && token.is_none() && n_tokens == 0 {
            table.refuse(format!(
                "{} is not a loopback address, so a token is needed",
                admin.address
            ));
        }
    });
    admin
}

fn read_token(table: &mut Table<'_>) -> Option<TokenConfig> {
    let roles = table.required("roles", "a list of roles such as [\"operator\"]");
    let roles = roles.and_then(|value| roles_of_token(&value));
    let secret = token_secret(table);
    let expires = table.optional("expires");
    let expires = expires.map(|value| moment(&value));
    Some(TokenConfig {
        roles: roles?,
        secret: secret?,
        expires: match expires {
            Some(moment) => Some(moment?),
            None => None,
        },
    })
}

/// Reads what a token is recognised by: `secret`, or `sha256` in its place.
pub(crate) fn token_secret(table: &mut Table<'_>) -> Option<TokenSecret> {
    let secret = table.optional("secret");
    let hash = table.optional("sha256");
    match (&secret, &hash) {
        (Some(value), None) => value.secret(TOKEN).as_ref().map(TokenSecret::of),
        (None, Some(value)) => value
            .secret_hash()
            .map(|sha256| TokenSecret { sha256, file: None }),
        (Some(_), Some(value)) => {
            value.refuse_key("the token has a secret already: one of the two");
            None
        }
        (None, None) => {
            table.refuse("neither secret nor sha256: one of the two says how it is recognised");
            None
        }
    }
}

/// Reads the roles of a token; one at least.
fn roles_of_token(value: &Value<'_>) -> Option<Vec<Role>> {
    let roles = roles(value)?;
    if !(1..=MAX_ROLES).contains(&roles.len()) {
        value.refuse(format!(
            "{} roles are not from 1 to {MAX_ROLES}",
            roles.len()
        ));
        return None;
    }
    Some(roles)
}
