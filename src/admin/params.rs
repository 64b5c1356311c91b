//! The parameters of a query: those that are known, each at most once.

use std::time::SystemTime;

use axum::extract::Query;
use http::Uri;
use jiff::Timestamp;

use crate::admin::fault::{Code, Fault};
use crate::config::read_duration;
use crate::store::instant;

/// The parameters of a request.
#[derive(Debug)]
pub(in crate::admin) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads them.
    ///
    /// # Errors
    /// When there is one that is not `known`, or one that is there twice.
    pub(in crate::admin) fn of(uri: &Uri, known: &[&str]) -> Result<Self, Fault> {
        let read = Query::<Vec<(String, String)>>::try_from_uri(uri);
        let Query(pairs) = read.map_err(|error| invalid(error.body_text()))?;
        for (n, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let known = match known {
                    [] => "there is none here".to_owned(),
                    known => format!("there are {}", known.join(", ")),
                };
                return Err(invalid(format!("unknown parameter `{name}`; {known}")));
            }
            if pairs[..n].iter().any(|(other, _)| other == name) {
                return Err(invalid(format!("the parameter `{name}` is there twice")));
            }
        }
        Ok(Self(pairs))
    }

    /// The text of a parameter, if it is there and not empty.
    pub(in crate::admin) fn text(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        let (_, text) = pairs.find(|(known, _)| known == name)?;
        (!text.is_empty()).then_some(text)
    }

    /// Whether a parameter is there, whatever its value.
    pub(in crate::admin) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// A parameter that is a whole number.
    ///
    /// # Errors
    /// When it is there and is none.
    pub(in crate::admin) fn whole(&self, name: &str) -> Result<Option<u64>, Fault> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let number = text.parse().ok();
        let why = || invalid(format!("{name}: `{text}` is not a whole number"));
        number.ok_or_else(why).map(Some)
    }

    /// A parameter that is an instant.
    ///
    /// # Errors
    /// When it is there and is none.
    pub(in crate::admin) fn instant(&self, name: &str) -> Result<Option<SystemTime>, Fault> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let at = moment(text).ok_or_else(|| {
            invalid(format!(
                "{name}: `{text}` is not an instant such as 2026-11-24T09:00:00Z"
            ))
        })?;
        Ok(Some(at))
    }
}

/// What a query is that cannot be understood.
pub(in crate::admin) fn invalid(why: String) -> Fault {
    Fault::new(Code::QueryInvalid, why)
}

/// Reads an instant as RFC 3339 has it.
pub(in crate::admin) fn moment(text: &str) -> Option<SystemTime> {
    let at: Timestamp = text.parse().ok()?;
    Some(at.into())
}

/// Reads an instant, or a duration from now.
pub(in crate::admin) fn until(text: &str, now: SystemTime) -> Option<SystemTime> {
    match read_duration(text) {
        Some(duration) => instant::after(now, duration),
        None => moment(text),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use crate::admin::params::{Params, until};

    fn of(query: &str) -> Result<Params, String> {
        let uri = format!("/x{query}").parse().unwrap();
        Params::of(&uri, &["since", "route"]).map_err(|fault| fault.detail().to_owned())
    }

    #[test]
    fn what_is_not_known_or_there_twice_is_refused() {
        assert!(of("").unwrap().text("since").is_none());
        assert!(of("?route=").unwrap().text("route").is_none());
        assert_eq!(of("?route=a%20b").unwrap().text("route"), Some("a b"));
        let unknown = of("?rout=a").unwrap_err();
        assert_eq!(unknown, "unknown parameter `rout`; there are since, route");
        let twice = of("?route=a&route=b").unwrap_err();
        assert_eq!(twice, "the parameter `route` is there twice");
    }

    #[test]
    fn numbers_and_instants_are_what_they_say() {
        assert_eq!(of("?since=12").unwrap().whole("since").unwrap(), Some(12));
        assert!(of("?since=-1").unwrap().whole("since").is_err());
        assert!(of("?since=noon").unwrap().instant("since").is_err());
        let at = of("?since=1970-01-01T00:00:05Z").unwrap();
        let five = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
        assert_eq!(at.instant("since").unwrap(), Some(five));
    }

    #[test]
    fn an_end_is_an_instant_or_a_time_from_now() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
        assert_eq!(until("2m", now), Some(now + Duration::from_secs(120)));
        assert_eq!(until("1970-01-01T00:01:00Z", now), Some(now));
        for wrong in ["", "soon", "2", "-2m"] {
            assert_eq!(until(wrong, now), None, "{wrong}");
        }
    }
}
