//! The canonical form of JSON (RFC 8785): one text for one value, so that a hash means something.
//!
//! Members are sorted by their names' UTF-16 code units, and numbers are printed as ECMAScript does.
//! One thing is otherwise: an integer beyond 2^53 keeps all of its digits, where the RFC would round
//! it to the nearest double; rounding would let two records have one hash.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value, json};

/// The canonical text of a value.
pub(in crate::store) fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_string(text, out),
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(value, out);
            }
            out.push(']');
        }
        Value::Object(members) => write_object(members, out),
    }
}

fn write_object(members: &Map<String, Value>, out: &mut String) {
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    // Section 3.2.3: the order of UTF-16 code units, which is not that of UTF-8 beyond U+FFFF.
    sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    out.push('{');
    for (index, (name, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(name, out);
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

/// Section 3.2.2.2: the short escapes where there are some, `\u00xx` for other control characters,
/// everything else as it is.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => {
                let _never = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn write_number(number: &Number, out: &mut String) {
    if let Some(whole) = number.as_i64() {
        let _never = write!(out, "{whole}");
    } else if let Some(whole) = number.as_u64() {
        let _never = write!(out, "{whole}");
    } else {
        write_double(number.as_f64().unwrap_or_default(), out);
    }
}

/// ECMAScript's `Number::toString` for a finite number: the shortest digits that lead back to it.
fn write_double(number: f64, out: &mut String) {
    if number == 0.0 {
        out.push('0'); // -0, too
        return;
    }
    // serde_json has the shortest digits, and of two as near the even one, as section 3.2.2.3 wants
    // (Rust's own printing takes the other). Only where it puts the point is not ECMAScript's.
    let text = json!(number.abs()).to_string();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let n_leading = all.len() - significant.len();
    let digits = significant.trim_end_matches('0');
    let n_digits = length(digits.len());
    // The number is 0.DIGITS × 10^point.
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let point = length(whole.len()) + exponent - length(n_leading);
    if number < 0.0 {
        out.push('-');
    }
    let zeros = |n: i32| "0".repeat(usize::try_from(n).unwrap_or_default());
    if n_digits <= point && point <= 21 {
        out.push_str(digits);
        out.push_str(&zeros(point - n_digits));
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or_default());
        let _never = write!(out, "{whole}.{fraction}");
    } else if -6 < point && point <= 0 {
        let _never = write!(out, "0.{}{digits}", zeros(-point));
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let _never = write!(out, "{first}{dot}{rest}e{:+}", point - 1);
    }
}

fn length(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use serde_json::{Value, json};

    use crate::store::canonical::text;

    #[track_caller]
    fn check(bits: u64, expected: &str) {
        assert_eq!(text(&json!(f64::from_bits(bits))), expected);
    }

    #[test]
    fn doubles_are_printed_as_in_appendix_b_of_the_rfc() {
        check(0x0000_0000_0000_0000, "0");
        check(0x8000_0000_0000_0000, "0");
        check(0x0000_0000_0000_0001, "5e-324");
        check(0x8000_0000_0000_0001, "-5e-324");
        check(0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308");
        check(0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308");
        check(0x4340_0000_0000_0000, "9007199254740992");
        check(0xc340_0000_0000_0000, "-9007199254740992");
        check(0x4430_0000_0000_0000, "295147905179352830000");
        check(0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22");
        check(0x44b5_2d02_c7e1_4af6, "1e+23");
        check(0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23");
        check(0x444b_1ae4_d6e2_ef4e, "999999999999999700000");
        check(0x444b_1ae4_d6e2_ef4f, "999999999999999900000");
        check(0x444b_1ae4_d6e2_ef50, "1e+21");
        check(0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7");
        check(0x3eb0_c6f7_a0b5_ed8d, "0.000001");
        check(0x41b3_de43_5555_5553, "333333333.3333332");
        check(0x41b3_de43_5555_5554, "333333333.33333325");
        check(0x41b3_de43_5555_5555, "333333333.3333333");
        check(0x41b3_de43_5555_5556, "333333333.3333334");
        check(0x41b3_de43_5555_5557, "333333333.33333343");
        check(0xbecb_f647_612f_3696, "-0.0000033333333333333333");
        check(0x4314_3ff3_c1cb_0959, "1424953923781206.2");
    }

    #[test]
    fn members_are_sorted_by_utf_16_as_in_section_3_2_3() {
        let value = json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        let expected = "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}";
        assert_eq!(text(&value), expected);
    }

    #[test]
    fn strings_have_the_short_escapes_only() {
        let value = json!("\u{20ac}$\u{f}\nA'B\"\\\\\"/\u{7f}");
        assert_eq!(
            text(&value),
            "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\""
        );
    }

    #[test]
    fn an_integer_keeps_all_of_its_digits() {
        assert_eq!(text(&json!(u64::MAX)), "18446744073709551615");
        assert_eq!(text(&json!(i64::MIN)), "-9223372036854775808");
    }

    proptest! {
        #[test]
        fn a_text_read_and_written_again_is_the_same_text(bits in any::<u64>()) {
            let number = f64::from_bits(bits);
            if number.is_finite() {
                let once = text(&json!(number));
                let read: Value = serde_json::from_str(&once).unwrap();
                assert_eq!(text(&read), once);
                assert_eq!(read.as_f64().unwrap().to_bits(), (number + 0.0).to_bits());
            }
        }
    }
}
