//! The client of the admin API: one request per connection, plain HTTP/1.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueHint};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, IF_MATCH, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::admin::wire::Problem;
use crate::cli::output::Failure;
use crate::config;

/// Connecting to a machine that is there takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The status of ten thousand routes is some MiB.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// Which instance to ask, with what token, and how long to wait for it.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct Instance {
    #[command(flatten)]
    pub(in crate::cli) address: Address,
    /// How long to wait for an answer: 250ms, 5s, 2m.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(in crate::cli) timeout: Duration,
}

/// Which instance to ask, and with what token.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct Address {
    /// The admin API of the instance.
    #[arg(
        long,
        env = "TIDEGATE_ADMIN",
        hide_env_values = true,
        value_name = "URL",
        value_hint = ValueHint::Url,
        default_value = "http://127.0.0.1:9900"
    )]
    pub(in crate::cli) admin: String,
    /// A file that holds the token; TIDEGATE_TOKEN may hold the token itself.
    #[arg(
        long,
        env = "TIDEGATE_TOKEN_FILE",
        hide_env_values = true,
        value_name = "FILE",
        value_hint = ValueHint::FilePath
    )]
    pub(in crate::cli) token_file: Option<PathBuf>,
}

/// Why something is done.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct Reason {
    /// Why: it is kept with who asked.
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
}

impl Reason {
    /// The body that says so.
    pub(in crate::cli) fn body(&self) -> serde_json::Value {
        match &self.reason {
            Some(reason) => serde_json::json!({ "reason": reason }),
            None => serde_json::json!({}),
        }
    }
}

/// An admin API to talk to.
pub(in crate::cli) struct Client {
    base: String,
    authority: HeaderValue,
    host: String,
    port: u16,
    timeout: Duration,
    authorization: Option<HeaderValue>,
}

/// What it is asked.
pub(in crate::cli) struct Question<'a> {
    method: Method,
    path: &'a str,
    body: Bytes,
    revision: Option<u64>,
}

/// What it answered.
pub(in crate::cli) struct Answer {
    /// The status.
    pub(in crate::cli) status: StatusCode,
    body: Bytes,
}

impl Client {
    /// Makes the client of an instance.
    pub(in crate::cli) fn new(instance: &Instance) -> Result<Self, Failure> {
        Self::of(&instance.address, instance.timeout)
    }

    /// Makes the client of an instance that has so long for each answer.
    pub(in crate::cli) fn of(address: &Address, timeout: Duration) -> Result<Self, Failure> {
        let usage = |why: &str| Failure::Usage(format!("--admin {}: {why}", address.admin));
        let uri: Uri = address
            .admin
            .parse()
            .map_err(|_| usage("not a URL such as http://127.0.0.1:9900"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(usage(
                    "the admin API speaks plain http; for an encrypted way use a tunnel, such as ssh -L",
                ));
            }
            _ => return Err(usage("the URL must begin with http://")),
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(usage("the URL must end after host and port"));
        }
        let authority = uri.authority().ok_or_else(|| usage("no host"))?;
        if authority.as_str().contains('@') {
            return Err(usage(
                "user and password have no use here; see --token-file",
            ));
        }
        let host = authority.host();
        Ok(Self {
            base: format!("http://{authority}"),
            authority: HeaderValue::from_str(authority.as_str())
                .map_err(|_| usage("no valid host"))?,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            timeout,
            authorization: authorization(address.token_file.as_deref())?,
        })
    }

    /// The URL that it asks.
    pub(in crate::cli) fn base(&self) -> &str {
        &self.base
    }

    /// Asks for what a path names, such as `/api/v1/status`.
    pub(in crate::cli) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(&Question::new(Method::GET, path)).await
    }

    /// Asks to do what a path names, with a body of JSON.
    pub(in crate::cli) async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, Failure> {
        let question = Question::new(Method::POST, path).with(body)?;
        self.send(&question).await
    }

    /// Asks a question.
    pub(in crate::cli) async fn send(&self, question: &Question<'_>) -> Result<Answer, Failure> {
        let stream = self.connect().await?;
        timeout(self.timeout, self.exchange(stream, question))
            .await
            .map_err(|_| self.late("answer"))?
            .map_err(|why| self.failed(&why.to_string()))
    }

    fn failed(&self, why: &str) -> Failure {
        Failure::Refused(format!("{}: {why}", self.base))
    }

    fn late(&self, what: &str) -> Failure {
        Failure::TimedOut(format!("{}: no {what} in time", self.base))
    }

    async fn connect(&self) -> Result<TcpStream, Failure> {
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        timeout(CONNECT_TIMEOUT.min(self.timeout), connecting)
            .await
            .map_err(|_| self.late("connection"))?
            .map_err(|error| self.failed(&format!("cannot connect: {error}; is tidegate running?")))
    }

    async fn exchange(
        &self,
        stream: TcpStream,
        question: &Question<'_>,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // The connection ends with this call: dropping the set stops its task.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let mut request = Request::builder()
            .method(&question.method)
            .uri(question.path)
            .header(HOST, &self.authority)
            .header(USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json");
        if !question.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(revision) = question.revision {
            request = request.header(IF_MATCH, format!("\"{revision}\""));
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let body = Full::new(question.body.clone());
        let response = sender.send_request(request.body(body)?).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await?
            .to_bytes();
        Ok(Answer { status, body })
    }
}

impl<'a> Question<'a> {
    /// Makes one without a body.
    pub(in crate::cli) fn new(method: Method, path: &'a str) -> Self {
        Self {
            method,
            path,
            body: Bytes::new(),
            revision: None,
        }
    }

    /// With a body of JSON.
    pub(in crate::cli) fn with(mut self, body: &impl Serialize) -> Result<Self, Failure> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Failure::Refused(format!("cannot write as JSON: {error}")))?;
        self.body = body.into();
        Ok(self)
    }

    /// Only if what it is about has this revision still.
    pub(in crate::cli) fn if_revision(mut self, revision: Option<u64>) -> Self {
        self.revision = revision;
        self
    }
}

impl Answer {
    /// Reads it as a value; an answer that is an error becomes a failure with its words.
    pub(in crate::cli) fn value<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        if !self.status.is_success() {
            return Err(self.failure());
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::Refused(format!("cannot read the answer: {error}")))
    }

    /// The problem that it holds, if it holds one.
    pub(in crate::cli) fn problem(&self) -> Option<Problem> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Its body as text.
    pub(in crate::cli) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim_end().to_owned()
    }

    /// Passes its body on as it came.
    pub(in crate::cli) fn copy(&self, out: &mut dyn Write) -> Result<(), Failure> {
        writeln!(out, "{}", self.text())?;
        Ok(())
    }

    /// The failure that an answer is which is an error.
    pub(in crate::cli) fn failure(&self) -> Failure {
        match self.problem() {
            Some(problem) if !problem.problems.is_empty() => Failure::Invalid {
                what: problem.detail,
                problems: problem.problems,
            },
            _ => Failure::Refused(self.complaint()),
        }
    }

    fn complaint(&self) -> String {
        let detail = self
            .problem()
            .map_or_else(|| self.text(), |problem| problem.detail);
        let hint = match self.status {
            StatusCode::UNAUTHORIZED => " (set TIDEGATE_TOKEN or --token-file)",
            _ => "",
        };
        format!("answered {}: {detail}{hint}", self.status)
    }
}

/// Finds the token: the file goes before `TIDEGATE_TOKEN`. A token is no command line argument,
/// because everyone on the machine can read those.
fn authorization(file: Option<&Path>) -> Result<Option<HeaderValue>, Failure> {
    let token = match file {
        Some(file) => Some(std::fs::read_to_string(file).map_err(|error| {
            Failure::Refused(format!("token file {}: {error}", file.display()))
        })?),
        None => std::env::var("TIDEGATE_TOKEN").ok(),
    };
    let Some(token) = token
        .as_deref()
        .map(str::trim)
        .filter(|token| !token.is_empty())
    else {
        return Ok(None);
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| Failure::Usage("the token holds bytes that no header may hold".to_owned()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Reads a duration as the configuration writes it, for clap.
pub(in crate::cli) fn duration(text: &str) -> Result<Duration, String> {
    config::read_duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "not a duration such as 250ms, 5s or 2m".to_owned())
}

/// Writes a value for a query, with everything but letters, digits and `-._~` encoded.
pub(in crate::cli) fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use crate::cli::client::{Address, CONNECT_TIMEOUT, Client, encode};
    use crate::cli::output::Failure;

    fn client(admin: &str) -> Result<Client, Failure> {
        let address = Address {
            admin: admin.to_owned(),
            token_file: None,
        };
        Client::of(&address, CONNECT_TIMEOUT)
    }

    #[test]
    fn an_address_is_taken_apart() {
        let client = client("http://[::1]:9900/").unwrap();
        assert_eq!((client.host.as_str(), client.port), ("::1", 9900));
        assert_eq!(client.authority, "[::1]:9900");
    }

    #[test]
    fn what_is_no_admin_url_is_a_usage_error() {
        for admin in [
            "127.0.0.1:9900",
            "https://127.0.0.1:9900",
            "http://127.0.0.1:9900/api",
            "http://user@127.0.0.1:9900",
            "",
        ] {
            assert!(matches!(client(admin), Err(Failure::Usage(_))), "{admin}");
        }
    }

    #[test]
    fn a_query_value_is_encoded() {
        assert_eq!(encode("a b&c=ü/~"), "a%20b%26c%3D%C3%BC%2F~");
    }
}
