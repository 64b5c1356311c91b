//! Reading requests by RFC 9112, naively: the independent parser.
//!
//! No server reads quite like another: some end a line at a bare LF, fold lines, allow a space before
//! a colon, take the first of two lengths or the last, prefer the one framing to the other, or skip
//! what they do not know behind a chunk's size. Requests are smuggled between two of them. So it
//! reads by all of these habits in turns, and they have to agree. It copies everything, looks at
//! everything twice and has no limit: it shares nothing with what it is to judge.

/// What a request is to whoever reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::statement::forwarded) struct Reading {
    pub(in crate::statement::forwarded) method: Vec<u8>,
    pub(in crate::statement::forwarded) target: Vec<u8>,
    pub(in crate::statement::forwarded) body: Vec<u8>,
}

/// A field: its name in lower case, and its value.
struct Field {
    name: Vec<u8>,
    value: Vec<u8>,
}

/// Which of several answers counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Which {
    /// None: it is an error that there are several.
    None,
    First,
    Last,
}

/// How a server reads what the RFC does not want to see.
#[derive(Clone, Copy, Debug)]
pub(in crate::statement::forwarded) struct Habits {
    /// A line ends at any LF.
    bare_lf: bool,
    /// A line also ends at a CR alone.
    bare_cr: bool,
    /// A line that begins with white space goes on with the one before it.
    folds: bool,
    /// White space before a colon is no part of the name.
    space_before_colon: bool,
    /// Which Content-Length counts, of several fields or of a list.
    length: Which,
    /// Which framing counts when both are there: the coding first, the length last.
    framing: Which,
    /// Any coding that has the word in it is chunked.
    any_chunked: bool,
    /// What stands behind the digits of a chunk's size is skipped.
    skips_behind_size: bool,
    /// Lines without a colon are skipped.
    skips_nonsense: bool,
}

/// Why there is no request.
enum Fault {
    /// It is none.
    Refused,
    /// It is not all there.
    Cut,
}

impl Habits {
    /// To the letter.
    pub(in crate::statement::forwarded) const STRICT: Self = Self {
        bare_lf: false,
        bare_cr: false,
        folds: false,
        space_before_colon: false,
        length: Which::None,
        framing: Which::None,
        any_chunked: false,
        skips_behind_size: false,
        skips_nonsense: false,
    };

    const LENIENT: Self = Self {
        bare_lf: true,
        bare_cr: false,
        folds: true,
        space_before_colon: true,
        length: Which::First,
        framing: Which::First,
        any_chunked: true,
        skips_behind_size: true,
        skips_nonsense: true,
    };

    pub(in crate::statement::forwarded) const ALL: [Self; 5] = [
        Self::STRICT,
        Self::LENIENT,
        Self {
            length: Which::Last,
            framing: Which::Last,
            ..Self::LENIENT
        },
        Self {
            bare_cr: true,
            folds: false,
            ..Self::LENIENT
        },
        Self {
            space_before_colon: false,
            any_chunked: false,
            skips_behind_size: false,
            ..Self::LENIENT
        },
    ];

    /// The one request that these bytes are: no more and no less.
    pub(in crate::statement::forwarded) fn one(&self, bytes: &[u8]) -> Option<Reading> {
        let mut rest = bytes;
        let reading = self.request(&mut rest).ok()?;
        rest.is_empty().then_some(reading)
    }

    fn request(&self, rest: &mut &[u8]) -> Result<Reading, Fault> {
        let mut line = self.line(rest)?;
        // RFC 9112, section 2.2: an empty line before the request is ignored.
        if line.is_empty() {
            line = self.line(rest)?;
        }
        let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        let [method, target, version] = words[..] else {
            return Err(Fault::Refused);
        };
        if method.is_empty() || target.is_empty() || !version.starts_with(b"HTTP/1.") {
            return Err(Fault::Refused);
        }
        let fields = self.fields(rest)?;
        let hosts = values(&fields, "host").count();
        if 1 < hosts || hosts == 0 && version != b"HTTP/1.0" {
            return Err(Fault::Refused);
        }
        Ok(Reading {
            method: method.to_vec(),
            target: target.to_vec(),
            body: self.body(&fields, rest)?,
        })
    }

    /// A line without its end.
    fn line(&self, rest: &mut &[u8]) -> Result<Vec<u8>, Fault> {
        let mut line = Vec::new();
        let mut bytes = rest.iter().copied().enumerate().peekable();
        while let Some((at, byte)) = bytes.next() {
            let next = bytes.peek().map(|&(_, byte)| byte);
            let taken = match (byte, next) {
                (b'\r', Some(b'\n')) => 2,
                (b'\r', Some(_)) if self.bare_cr => 1,
                (b'\n', _) if self.bare_lf => 1,
                (b'\r' | b'\n', _) if !self.bare_lf && !self.bare_cr => return Err(Fault::Refused),
                _ => {
                    line.push(byte);
                    continue;
                }
            };
            *rest = &rest[at + taken..];
            return Ok(line);
        }
        Err(Fault::Cut)
    }

    /// Field lines up to the empty one.
    fn fields(&self, rest: &mut &[u8]) -> Result<Vec<Field>, Fault> {
        let mut fields: Vec<Field> = Vec::new();
        loop {
            let line = self.line(rest)?;
            if line.is_empty() {
                return Ok(fields);
            }
            let folded = line.starts_with(b" ") || line.starts_with(b"\t");
            if folded && self.folds {
                if let Some(Field { value, .. }) = fields.last_mut() {
                    value.push(b' ');
                    value.extend_from_slice(line.trim_ascii());
                }
                continue;
            }
            let Some(colon) = line.iter().position(|&byte| byte == b':') else {
                if self.skips_nonsense {
                    continue;
                }
                return Err(Fault::Refused);
            };
            let mut name = &line[..colon];
            if self.space_before_colon {
                name = name.trim_ascii();
            }
            if !self.skips_nonsense && (name.is_empty() || !name.iter().all(u8::is_ascii_graphic)) {
                return Err(Fault::Refused);
            }
            fields.push(Field {
                name: name.to_ascii_lowercase(),
                value: line[colon + 1..].trim_ascii().to_vec(),
            });
        }
    }

    /// The body, by RFC 9112, section 6.3.
    fn body(&self, fields: &[Field], rest: &mut &[u8]) -> Result<Vec<u8>, Fault> {
        let coding = values(fields, "transfer-encoding")
            .collect::<Vec<_>>()
            .join(&b',')
            .to_ascii_lowercase();
        let is_chunked = match self.any_chunked {
            true => coding.windows(7).any(|seven| seven == b"chunked"),
            false => coding == b"chunked",
        };
        if !is_chunked && !coding.is_empty() && !self.any_chunked {
            return Err(Fault::Refused);
        }
        let length = self.length(fields)?;
        match (is_chunked, length) {
            (true, Some(_)) if self.framing == Which::None => Err(Fault::Refused),
            (true, Some(length)) if self.framing == Which::Last => take(rest, length),
            (true, _) => self.chunks(rest),
            (false, Some(length)) => take(rest, length),
            (false, None) => Ok(Vec::new()),
        }
    }

    fn length(&self, fields: &[Field]) -> Result<Option<u64>, Fault> {
        let said: Vec<&[u8]> = values(fields, "content-length")
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .collect();
        let one = match (&said[..], self.length) {
            ([], _) => return Ok(None),
            ([one], _) | ([one, ..], Which::First) | ([.., one], Which::Last) => *one,
            (_, Which::None) => return Err(Fault::Refused),
        };
        let digits = one.iter().all(u8::is_ascii_digit);
        let text = str::from_utf8(one).ok().filter(|_| digits);
        let length = text.and_then(|text| text.parse().ok());
        length.map(Some).ok_or(Fault::Refused)
    }

    /// A body in chunks, by RFC 9112, section 7.1.
    fn chunks(&self, rest: &mut &[u8]) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        loop {
            let line = self.line(rest)?;
            let n_digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
            let (digits, behind) = line.split_at(n_digits.count());
            let extension = behind.trim_ascii_start();
            if !(self.skips_behind_size || behind.is_empty() || extension.starts_with(b";")) {
                return Err(Fault::Refused);
            }
            let digits = str::from_utf8(digits).map_err(|_| Fault::Refused)?;
            let size = u64::from_str_radix(digits, 16).map_err(|_| Fault::Refused)?;
            if size == 0 {
                // The trailers, of which nothing frames anything.
                self.fields(rest)?;
                return Ok(body);
            }
            body.extend(take(rest, size)?);
            if !self.line(rest)?.is_empty() {
                return Err(Fault::Refused);
            }
        }
    }
}

fn values<'a>(fields: &'a [Field], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |field| field.name == name.as_bytes())
        .map(|field| &field.value[..])
}

fn take(rest: &mut &[u8], length: u64) -> Result<Vec<u8>, Fault> {
    let length = usize::try_from(length).map_err(|_| Fault::Cut)?;
    let taken = rest.get(..length).ok_or(Fault::Cut)?;
    *rest = &rest[length..];
    Ok(taken.to_vec())
}
