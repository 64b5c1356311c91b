//! A request as a test states it, for any protocol.

/// A request as a test states it.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// The method.
    pub(crate) method: String,
    /// The host.
    pub(crate) host: String,
    /// The target: a path, with a query where there is one.
    pub(crate) path: String,
    /// Further fields.
    pub(crate) fields: Vec<(String, String)>,
    /// The body, sent with its length.
    pub(crate) body: Option<Vec<u8>>,
}

/// A GET of a path.
pub(crate) fn get(path: &str) -> Ask {
    method("GET", path)
}

/// A POST of a body to a path.
pub(crate) fn post(path: &str, body: impl Into<Vec<u8>>) -> Ask {
    method("POST", path).body(body)
}

/// Any method on a path.
pub(crate) fn method(method: &str, path: &str) -> Ask {
    Ask {
        method: method.to_owned(),
        host: "edge.test".to_owned(),
        path: path.to_owned(),
        fields: Vec::new(),
        body: None,
    }
}

impl Ask {
    /// Adds a field.
    pub(crate) fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// Names another host than `edge.test`.
    pub(crate) fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// Takes host and fields of another one.
    pub(crate) fn like(mut self, other: &Self) -> Self {
        self.host.clone_from(&other.host);
        self.fields.clone_from(&other.fields);
        self
    }

    /// Gives it a body.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Its bytes in HTTP/1.1.
    pub(crate) fn http1(&self) -> Vec<u8> {
        let Self {
            method, host, path, ..
        } = self;
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend(self.body.iter().flatten());
        bytes
    }
}
