//! Trace context (W3C Trace Context, level 1): read for the log, and passed on as it came.
//!
//! tidegate makes no spans, so it must not become anybody's parent: `traceparent` and `tracestate`
//! are two fields like any others on their way.

use crate::message::RequestHead;

/// The id of the trace that a request belongs to, when it says so and says it well (section
/// 3.2.2): 32 lower-case hexadecimal digits.
pub(crate) fn trace_id(head: &RequestHead) -> Option<&[u8]> {
    let mut said = head.fields().filter(|field| field.is(b"traceparent"));
    let parent = said.next()?.value;
    if said.next().is_some() {
        return None;
    }
    read(parent)
}

fn read(parent: &[u8]) -> Option<&[u8]> {
    let part = |from: usize, to: usize| parent.get(from..to).filter(|part| is_hex(part));
    let dash = |at: usize| parent.get(at) == Some(&b'-');
    let (version, trace, span) = (part(0, 2)?, part(3, 35)?, part(36, 52)?);
    part(53, 55)?;
    // A later version may say more behind another dash.
    let ends = match version {
        b"ff" => false,
        b"00" => parent.len() == 55,
        _ => parent.len() == 55 || dash(55),
    };
    let is_zero = |part: &[u8]| part.iter().all(|&byte| byte == b'0');
    let valid = ends && dash(2) && dash(35) && dash(52) && !is_zero(trace) && !is_zero(span);
    valid.then_some(trace)
}

fn is_hex(part: &[u8]) -> bool {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    part.iter().all(is_digit)
}

#[cfg(test)]
mod tests {
    use crate::message::RequestHead;
    use crate::proxy::trace_context::trace_id;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[track_caller]
    fn check(parents: &[&str], expected: Option<&str>) {
        let mut head = RequestHead::default();
        for parent in parents {
            head.append_field(b"Traceparent", parent.as_bytes());
        }
        assert_eq!(trace_id(&head), expected.map(str::as_bytes), "{parents:?}");
    }

    #[test]
    fn a_valid_parent_names_its_trace() {
        check(&[&format!("00-{TRACE}-b7ad6b7169203331-01")], Some(TRACE));
        // A version that is not known yet may be longer.
        check(&[&format!("cc-{TRACE}-b7ad6b7169203331-01")], Some(TRACE));
        check(&[&format!("cc-{TRACE}-b7ad6b7169203331-01-x")], Some(TRACE));
    }

    #[test]
    fn one_that_is_not_valid_names_none() {
        check(&[], None);
        let good = format!("00-{TRACE}-b7ad6b7169203331-01");
        check(&[&good, &good], None);
        for parent in [
            String::new(),
            good[..54].to_owned(),
            format!("{good}-x"),
            format!("cc{}.x", &good[2..]),
            format!("ff{}", &good[2..]),
            good.to_uppercase(),
            good.replace('-', "_"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-b7ad6b7169203331-0g"),
        ] {
            check(&[&parent], None);
        }
    }
}
