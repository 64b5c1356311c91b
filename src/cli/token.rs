//! `tidegate token`: makes a token of the admin API. What is made is printed and kept nowhere.

use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use sha2::{Digest, Sha256};

use crate::cli::output::{Failure, json};
use crate::config::{self, TokenConfig};

/// Bytes of a secret: nobody guesses 256 bits.
const SECRET_BYTES: usize = 32;
/// What secrets begin with, so that who looks for lost ones finds them.
const PREFIX: &str = "tdg_";

/// Make a token of the admin API.
#[derive(Args, Debug)]
pub(in crate::cli) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a fresh secret, and what the configuration needs to recognise it.
    New(New),
}

#[derive(Args, Debug)]
struct New {
    /// Who the token is for, as logs and records will know them.
    name: String,
    /// A role of it, or a group; may be given several times.
    #[arg(long = "role", value_name = "ROLE", default_value = "viewer")]
    roles: Vec<String>,
    /// From when on it is not valid any more: 2027-01-01, or with time and offset.
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Token {
    /// Whether JSON was asked for.
    pub(in crate::cli) fn json(&self) -> bool {
        let Command::New(new) = &self.command;
        new.json
    }

    pub(in crate::cli) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let Command::New(new) = self.command;
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|error| Failure::Refused(format!("no random numbers: {error}")))?;
        let secret = format!("{PREFIX}{}", hex(&bytes));
        let sha256 = hex(&Sha256::digest(&secret));
        let section = section(&new, &sha256);
        let expires = understood(&new.name, &section)?.expires;
        if expires.is_some_and(|expires| expires <= SystemTime::now()) {
            return Err(Failure::Usage("--expires: that has passed".to_owned()));
        }
        if new.json {
            let token = serde_json::json!({
                "name": new.name,
                "secret": secret,
                "sha256": sha256,
                "roles": new.roles,
                "expires": new.expires,
                "toml": section,
            });
            return json(out, &token);
        }
        write!(
            out,
            "The secret, which is shown this once and kept nowhere:\n\n{secret}\n\n\
             For the configuration, which knows only its hash:\n\n{section}"
        )?;
        Ok(())
    }
}

/// The token as the configuration understands it: what it would refuse is not printed.
fn understood(name: &str, section: &str) -> Result<TokenConfig, Failure> {
    let text = format!("[listener.any]\naddress = \"127.0.0.1:80\"\n{section}");
    let parsed = config::parse_alone(text.into_bytes(), Path::new(""));
    let (config, _) = parsed.map_err(|problems| {
        let said = problems.iter().map(|problem| {
            let key = problem.key.rsplit('.').next().unwrap_or_default();
            format!("{key}: {}", problem.message)
        });
        Failure::Usage(said.collect::<Vec<_>>().join("\n"))
    })?;
    let token = config.admin.tokens.get(name).cloned();
    token.ok_or_else(|| Failure::Usage(format!("{name:?} is no name")))
}

/// The section of the configuration.
fn section(new: &New, sha256: &str) -> String {
    let roles = new
        .roles
        .iter()
        .map(|role| toml::Value::from(role.as_str()));
    let roles = roles.map(|role| role.to_string()).collect::<Vec<_>>();
    // A name needs no quotes; what is none gets them, so that it is refused as what it is.
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name = if !new.name.is_empty() && new.name.chars().all(is_bare) {
        new.name.clone()
    } else {
        toml::Value::from(new.name.as_str()).to_string()
    };
    let mut text = format!(
        "[admin.tokens.{name}]\nroles = [{}]\nsha256 = \"{sha256}\"\n",
        roles.join(", ")
    );
    if let Some(expires) = &new.expires {
        let expires = toml::Value::from(expires.as_str());
        text.push_str(&format!("expires = {expires}\n"));
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use crate::cli::token::{New, hex, section, understood};
    use crate::release::role::Role;

    fn new(name: &str, roles: &[&str], expires: Option<&str>) -> New {
        New {
            name: name.to_owned(),
            roles: roles.iter().map(ToString::to_string).collect(),
            expires: expires.map(str::to_owned),
            json: false,
        }
    }

    #[test]
    fn the_section_is_what_the_configuration_takes() {
        let new = new("ana", &["operator", "sre"], Some("2027-01-01"));
        let section = section(&new, &"0f".repeat(32));
        assert_eq!(
            section,
            format!(
                "[admin.tokens.ana]\nroles = [\"operator\", \"sre\"]\nsha256 = \"{}\"\n\
                 expires = \"2027-01-01\"\n",
                "0f".repeat(32)
            )
        );
        let Ok(token) = understood("ana", &section) else {
            panic!("{section}");
        };
        let roles: Vec<&str> = token.roles.iter().map(Role::name).collect();
        assert_eq!(roles, ["operator", "sre"]);
        let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(1_798_761_600);
        assert_eq!(token.expires, Some(expires));
    }

    #[test]
    fn what_the_configuration_would_refuse_is_not_made() {
        for (name, role, expires) in [
            ("a b", "viewer", None),
            ("a]\n[admin.tokens.b", "viewer", None),
            ("", "viewer", None),
            ("ana", "a b", None),
            ("ana", "", None),
            ("ana", "viewer", Some("soon")),
        ] {
            let new = new(name, &[role], expires);
            let section = section(&new, &"0f".repeat(32));
            assert!(understood(name, &section).is_err(), "{section}");
        }
    }

    #[test]
    fn bytes_are_written_in_hexadecimal_digits() {
        assert_eq!(hex(&[0, 1, 0xab, 0xff]), "0001abff");
    }
}
