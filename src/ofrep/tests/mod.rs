//! The service as a whole, asked as providers ask it.

mod access;
mod bulk;
mod pages;
mod single;
mod stream;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::flag::{
    Evaluation, FlagSpec, FlagValue, Flags, Kind, Prerequisite, Reason, RuleSpec, Runtime, Serve,
};
use crate::ofrep::{Arrival, Asked, Counts, Scope, Service, Settings, Token};
use crate::segment::{ConditionSpec, Operand, Operator, Segment, SegmentSpec};

/// What was counted: the flag, the variant, the reason, and how it was asked for; of those that were
/// only needed neither.
type Noted = (usize, usize, Option<(Reason, Asked)>);

#[derive(Default)]
struct Notes(Mutex<Vec<Noted>>);

impl Counts for Notes {
    fn evaluated(&self, evaluation: &Evaluation<'_>, asked: Asked) {
        let note = (
            evaluation.flag,
            evaluation.variant,
            Some((evaluation.reason, asked)),
        );
        self.0.lock().unwrap().push(note);
    }

    fn needed(&self, flag: usize, variant: usize) {
        self.0.lock().unwrap().push((flag, variant, None));
    }
}

/// A service with flags.
struct World {
    specs: BTreeMap<String, FlagSpec>,
    service: Service,
    router: Router,
    notes: Arc<Notes>,
    shutdown: CancellationToken,
}

/// An answer, read whole.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A request that is being made.
struct Ask(http::request::Builder, String);

impl Ask {
    /// For one flag.
    fn one(flag: &str) -> Self {
        Self::to(&format!("/ofrep/v1/evaluate/flags/{flag}"))
    }

    /// For all flags.
    fn all() -> Self {
        Self::to("/ofrep/v1/evaluate/flags")
    }

    fn to(path: &str) -> Self {
        let builder = Request::post(path).header("content-type", "application/json");
        Self(builder, "{}".to_owned())
    }

    fn method(self, method: Method) -> Self {
        Self(self.0.method(method), self.1)
    }

    fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value), self.1)
    }

    fn body(self, body: &str) -> Self {
        Self(self.0, body.to_owned())
    }

    fn context(self, context: &Value) -> Self {
        self.body(&json!({ "context": context }).to_string())
    }

    fn server(self) -> Self {
        self.header("authorization", "Bearer of-server")
    }
}

impl World {
    fn new(settings: Settings) -> Self {
        Self::arriving(settings, Arrival::Direct { max_streams: 8 })
    }

    fn arriving(settings: Settings, arrival: Arrival) -> Self {
        let specs = specs();
        let flags = Arc::new(Flags::new(&specs, &BTreeMap::new()).unwrap());
        let notes = Arc::new(Notes::default());
        let shutdown = CancellationToken::new();
        let (counts, now) = (Arc::clone(&notes), SystemTime::now());
        let service = Service::new(flags, counts, settings, [7; 32], shutdown.clone(), now);
        Self {
            specs,
            router: service.router(arrival),
            service,
            notes,
            shutdown,
        }
    }

    /// Sets something of a flag at run time, and nothing of the others.
    fn set(&self, flag: &str, runtime: Runtime) {
        let runtime = BTreeMap::from([(flag.to_owned(), runtime)]);
        let flags = Arc::new(Flags::new(&self.specs, &runtime).unwrap());
        let notes = Arc::clone(&self.notes);
        self.service.set_flags(flags, notes, SystemTime::now());
    }

    /// The answer, of which only the head has been read.
    async fn begin(&self, Ask(builder, body): Ask) -> Response {
        let request = builder.body(Body::from(body)).unwrap();
        let service = TowerToHyperService::new(self.router.clone());
        service.call(request).await.unwrap()
    }

    async fn ask(&self, ask: Ask) -> Answer {
        let (head, body) = self.begin(ask).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// The answer of one flag, which is one.
    async fn one(&self, flag: &str, context: &Value) -> Value {
        let answer = self.ask(Ask::one(flag).server().context(context)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()
    }
}

/// Tokens of both scopes, `of-server` and `of-client`; without one a client.
fn settings() -> Settings {
    let token = |secret: &str, scope| Token {
        sha256: Sha256::digest(secret).into(),
        scope,
        expires: None,
    };
    Settings {
        tokens: [
            ("backend", token("of-server", Scope::Server)),
            ("web", token("of-client", Scope::Client)),
        ]
        .map(|(name, token)| (name.to_owned(), token))
        .into(),
        ..Settings::default()
    }
}

/// A flag with these variants, of which the first is for all, and the last the off variant.
fn flag(kind: Kind, variants: &[(&str, FlagValue)]) -> FlagSpec {
    let name = |variant: Option<&(&str, FlagValue)>| variant.unwrap().0.to_owned();
    FlagSpec {
        kind,
        client_visible: true,
        off_variant: name(variants.last()),
        default: Serve::Variant(name(variants.first())),
        variants: variants
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        ..FlagSpec::switch()
    }
}

fn text(text: &str) -> FlagValue {
    FlagValue::String(text.to_owned())
}

fn gold() -> (String, Arc<Segment>) {
    let condition = ConditionSpec {
        attribute: "plan".parse().unwrap(),
        operator: Operator::Eq,
        operand: Operand::Text("gold".to_owned()),
    };
    let any = vec![vec![condition]];
    let segment = Segment::new(&SegmentSpec { any }).unwrap();
    ("gold".to_owned(), Arc::new(segment))
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn specs() -> BTreeMap<String, FlagSpec> {
    let on_off = || {
        flag(
            Kind::Boolean,
            &[
                ("on", FlagValue::Boolean(true)),
                ("off", FlagValue::Boolean(false)),
            ],
        )
    };
    let object = json!({ "title": "A \"b\"", "none": null, "size": 1.0 });
    let object = object.as_object().unwrap().clone();
    let to = |variant: &str| Serve::Variant(variant.to_owned());
    let half = Serve::Split(BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 1)]));
    let a_b = || flag(Kind::String, &[("a", text("A")), ("b", text("B"))]);
    let specs = [
        (
            "boolean",
            FlagSpec {
                owner: Some("team \"shop\"".to_owned()),
                ..on_off()
            },
        ),
        (
            "string",
            flag(Kind::String, &[("hello", text("grüß \"dich\"\n"))]),
        ),
        (
            "integer",
            flag(
                Kind::Integer,
                &[
                    ("most", FlagValue::Integer(i64::MAX)),
                    ("none", FlagValue::Integer(0)),
                ],
            ),
        ),
        (
            "float",
            flag(
                Kind::Float,
                &[
                    ("whole", FlagValue::Float(1.0)),
                    ("none", FlagValue::Float(0.0)),
                ],
            ),
        ),
        (
            "huge",
            flag(Kind::Float, &[("huge", FlagValue::Float(1e21))]),
        ),
        (
            "object",
            flag(Kind::Object, &[("full", FlagValue::Object(object))]),
        ),
        (
            "colour",
            FlagSpec {
                rules: vec![RuleSpec {
                    name: Some("golden \"rule\"".to_owned()),
                    segment: Some(gold()),
                    ..RuleSpec::new(to("b"))
                }],
                ..a_b()
            },
        ),
        (
            "half",
            FlagSpec {
                rules: vec![RuleSpec::new(half.clone())],
                ..a_b()
            },
        ),
        (
            "scheduled",
            FlagSpec {
                rules: vec![RuleSpec {
                    from: Some(at(4_000_000_000)),
                    ..RuleSpec::new(to("b"))
                }],
                ..a_b()
            },
        ),
        (
            "disabled",
            FlagSpec {
                enabled: false,
                ..a_b()
            },
        ),
        (
            "dependent",
            FlagSpec {
                prerequisites: vec![Prerequisite {
                    flag: "internal".to_owned(),
                    variant: "off".to_owned(),
                }],
                ..a_b()
            },
        ),
        (
            "expired",
            FlagSpec {
                expires: Some(at(1)),
                ..on_off()
            },
        ),
        (
            "kept",
            FlagSpec {
                expires: Some(at(1)),
                permanent: true,
                ..on_off()
            },
        ),
        (
            "internal",
            FlagSpec {
                client_visible: false,
                ..on_off()
            },
        ),
        ("a.b+c", on_off()),
    ];
    specs.map(|(name, spec)| (name.to_owned(), spec)).into()
}
