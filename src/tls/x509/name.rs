//! The name in a certificate as a text of visible ASCII (RFC 4514).

use crate::tls::x509::{Element, Elements, SEQUENCE};

const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// Attributes by their DER, with the words for them: those of RFC 4514, section 3, and the one of
/// PKCS #9 that is as common.
const WORDS: [(&[u8], &str); 10] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1],
        "UID",
    ),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25],
        "DC",
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1],
        "emailAddress",
    ),
];

/// Writes a name as `CN=alice,O=Example`: the last part first (RFC 4514, section 2.1). All of it is
/// visible ASCII and blanks: any other byte of UTF-8 is written as `\` and two digits, so that it
/// can stand in a field of HTTP. `None` when the bytes are no name.
pub(crate) fn rfc4514(name: &[u8]) -> Option<String> {
    let parts = read_all(Element::only(name)?.within(SEQUENCE)?)?;
    let mut text = String::new();
    for part in parts.iter().rev() {
        for (n, attribute) in read_all(part.within(SET)?)?.iter().enumerate() {
            match (n, text.is_empty()) {
                (0, true) => {}
                (0, false) => text.push(','),
                (_, _) => text.push('+'),
            }
            let attribute = read_all(attribute.within(SEQUENCE)?)?;
            let [kind, value] = attribute.as_slice() else {
                return None;
            };
            write(&mut text, kind.within(OBJECT_IDENTIFIER)?, value)?;
        }
    }
    Some(text)
}

/// The common name in a name, if there is one that can be shown.
pub(crate) fn common_name(name: &[u8]) -> Option<String> {
    let parts = read_all(Element::only(name)?.within(SEQUENCE)?)?;
    let names = parts.iter().filter_map(|part| {
        let attribute = read_all(Elements(part.within(SET)?).next()?.within(SEQUENCE)?)?;
        let [kind, value] = attribute.as_slice() else {
            return None;
        };
        let is_common = kind.within(OBJECT_IDENTIFIER)? == WORDS[0].0;
        string(value).filter(|_| is_common)
    });
    let mut shown = names.filter(|name| !name.is_empty() && !name.chars().any(char::is_control));
    shown.next()
}

/// The elements that bytes are, if they are nothing else.
fn read_all(bytes: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut elements = Elements(bytes);
    let all: Vec<_> = elements.by_ref().collect();
    elements.0.is_empty().then_some(all)
}

fn write(text: &mut String, kind: &[u8], value: &Element<'_>) -> Option<()> {
    let word = WORDS.iter().find(|(oid, _)| *oid == kind);
    match (word, string(value)) {
        (Some((_, word)), Some(value)) => {
            text.push_str(word);
            text.push('=');
            escape(text, &value);
        }
        // What has no word, or is no text, is written as it is (section 2.4).
        (word, _) => {
            match word {
                Some((_, word)) => text.push_str(word),
                None => text.push_str(&dotted(kind)?),
            }
            text.push_str("=#");
            for &byte in value.whole {
                hex(text, byte);
            }
        }
    }
    Some(())
}

/// The text that a value is, if it is one.
fn string(value: &Element<'_>) -> Option<String> {
    let bytes = value.contents;
    match value.tag {
        // UTF8String, NumericString, PrintableString, IA5String, VisibleString.
        0x0c | 0x12 | 0x13 | 0x16 | 0x1a => String::from_utf8(bytes.to_vec()).ok(),
        // TeletexString, which is Latin 1 wherever it is still used.
        0x14 => Some(bytes.iter().map(|&byte| char::from(byte)).collect()),
        // BMPString.
        0x1e => {
            let (units, rest) = bytes.as_chunks::<2>();
            let units = units.iter().map(|&unit| u16::from_be_bytes(unit));
            let text = char::decode_utf16(units).collect::<Result<_, _>>().ok()?;
            rest.is_empty().then_some(text)
        }
        _ => None,
    }
}

/// Writes a value with what would be misread escaped (section 2.4).
fn escape(text: &mut String, value: &str) {
    let last = value.len().saturating_sub(1);
    for (n, byte) in value.bytes().enumerate() {
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b'#' if n == 0 => text.push_str("\\#"),
            b' ' if n == 0 || n == last => text.push_str("\\ "),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                text.push('\\');
                hex(text, byte);
            }
        }
    }
}

fn hex(text: &mut String, byte: u8) {
    text.push_str(&format!("{byte:02X}"));
}

/// An object identifier as numbers and dots (X.690, section 8.19).
fn dotted(oid: &[u8]) -> Option<String> {
    let mut numbers = Vec::new();
    let mut number: Option<u64> = None;
    for &byte in oid {
        let sofar = number.unwrap_or(0).checked_mul(128)?;
        let sum = sofar.checked_add(u64::from(byte & 0x7f))?;
        number = if byte & 0x80 == 0 {
            numbers.push(sum);
            None
        } else {
            Some(sum)
        };
    }
    // The first number is two: the first of them is 0, 1 or 2, and the second less than 40 unless
    // that is 2.
    let (&first, rest) = numbers.split_first()?;
    let arc = (first / 40).min(2);
    let mut text = format!("{arc}.{}", first - arc * 40);
    for number in rest {
        text.push_str(&format!(".{number}"));
    }
    number.is_none().then_some(text)
}
