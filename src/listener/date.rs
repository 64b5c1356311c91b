//! The date of answers over HTTP/2 that have none (RFC 9110, section 6.6.1).

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime};

use http::header::DATE;
use http::{HeaderMap, HeaderValue};

/// The longest that a date is behind: it counts in seconds.
const AGE: Duration = Duration::from_millis(500);

/// Adds the date of now to fields that have none.
pub(crate) fn add(fields: &mut HeaderMap) {
    if !fields.contains_key(DATE)
        && let Some(now) = now()
    {
        fields.insert(DATE, now);
    }
}

/// The date of now, made twice a second at most.
fn now() -> Option<HeaderValue> {
    thread_local! {
        static NOW: RefCell<Option<(Instant, HeaderValue)>> = const { RefCell::new(None) };
    }
    NOW.with_borrow_mut(|now| {
        if let Some((made, date)) = now
            && made.elapsed() < AGE
        {
            return Some(date.clone());
        }
        let date = httpdate::fmt_http_date(SystemTime::now());
        let date = HeaderValue::try_from(date).ok()?;
        *now = Some((Instant::now(), date.clone()));
        Some(date)
    })
}

#[cfg(test)]
mod tests {
    use http::header::DATE;
    use http::{HeaderMap, HeaderValue};

    use crate::listener::date;

    #[test]
    fn only_who_has_no_date_is_given_one() {
        let mut fields = HeaderMap::new();
        date::add(&mut fields);
        let told = fields[DATE].to_str().unwrap();
        assert!(httpdate::parse_http_date(told).is_ok(), "{told}");
        fields.insert(DATE, HeaderValue::from_static("yesterday"));
        date::add(&mut fields);
        assert_eq!(fields[DATE], "yesterday");
    }
}
