//! A request or a response as it was read from a wire.

/// How a message ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// As its framing says.
    Clean,
    /// The connection (or the stream) was gone before that.
    Cut,
}

/// A request or a response, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The head as it came, with the empty line; empty for HTTP/2.
    pub(crate) head: String,
    /// The status of a response, 0 for a request.
    pub(crate) status: u16,
    /// The fields in their order, names as sent.
    pub(crate) fields: Vec<(String, String)>,
    /// The body without its framing.
    pub(crate) body: Vec<u8>,
    /// The trailers, if any.
    pub(crate) trailers: Vec<(String, String)>,
    /// How the body ended.
    pub(crate) end: End,
}

impl Message {
    /// Reads an HTTP/1 head that ends with an empty line; the body comes later.
    pub(crate) fn from_head(head: &[u8]) -> Self {
        let head = String::from_utf8_lossy(head).into_owned();
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = if first.starts_with("HTTP/") {
            let code = first.split(' ').nth(1).unwrap_or_default();
            code.parse()
                .unwrap_or_else(|_| panic!("no status in {first:?}"))
        } else {
            0
        };
        let fields = lines.filter(|line| !line.is_empty()).map(field).collect();
        Self {
            head,
            status,
            fields,
            body: Vec::new(),
            trailers: Vec::new(),
            end: End::Clean,
        }
    }

    /// The first line, without its CRLF.
    pub(crate) fn first_line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }

    /// The method of a request.
    pub(crate) fn method(&self) -> &str {
        self.first_line().split(' ').next().unwrap_or_default()
    }

    /// The target of a request.
    pub(crate) fn target(&self) -> &str {
        self.first_line().split(' ').nth(1).unwrap_or_default()
    }

    /// The value of the only field with this name; panics when there are several.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(values.len() <= 1, "several {name}: {values:?}");
        values.first().copied()
    }

    /// The values of all fields with this name.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|field| field.0.eq_ignore_ascii_case(name))
            .map(|field| field.1.as_str())
            .collect()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {:?}", self.text()))
    }
}

/// Reads one field line.
pub(crate) fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
}
