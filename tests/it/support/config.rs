//! The configuration of a proxy under test, as text that a test may change.

use std::net::SocketAddr;

/// The variable that says by what the proxies of all tests read and write, so that the same tests
/// hold for each way.
const IO: &str = "TIDEGATE_TEST_IO";

/// What a test configures.
///
/// It begins with one plain listener `http` on a free port, an admin listener on another, two
/// workers, and a shutdown that does not dwell.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    listeners: Vec<Section>,
    upstreams: Vec<Section>,
    routes: Vec<Route>,
    admin: String,
    shutdown: String,
    io: String,
    rest: String,
}

#[derive(Clone, Debug)]
struct Section {
    name: String,
    keys: String,
}

#[derive(Clone, Debug)]
struct Route {
    name: String,
    keys: String,
    variants: Vec<Variant>,
}

#[derive(Clone, Debug)]
struct Variant {
    name: String,
    weight: u32,
    keys: String,
}

/// Begins a configuration.
pub(crate) fn new() -> Config {
    Config {
        listeners: vec![listener("http", "")],
        upstreams: Vec::new(),
        routes: Vec::new(),
        admin: "address = \"127.0.0.1:0\"".to_owned(),
        shutdown: "delay = \"0s\"\nspread = \"0s\"\ntimeout = \"10s\"".to_owned(),
        io: std::env::var(IO).unwrap_or_else(|_| "auto".to_owned()),
        rest: String::new(),
    }
}

/// Everything goes to one endpoint, by the route `all` and the upstream `only`.
pub(crate) fn to(endpoint: SocketAddr) -> Config {
    new()
        .upstream("only", &[endpoint])
        .route("all", "upstream = \"only\"")
}

/// The route `shop` is divided: each variant has its weight and an upstream of its name.
pub(crate) fn split(keys: &str, variants: &[(&str, u32, SocketAddr)]) -> Config {
    let config = variants.iter().fold(new(), |config, (name, _, endpoint)| {
        config.upstream(name, &[*endpoint])
    });
    let weights: Vec<_> = variants
        .iter()
        .map(|(name, weight, _)| (*name, *weight))
        .collect();
    config.split_route("shop", keys, &weights)
}

impl Config {
    /// Gives the listener `http` further keys.
    pub(crate) fn http(mut self, keys: &str) -> Self {
        self.listeners[0].keys.push_str(&format!("\n{keys}"));
        self
    }

    /// Makes the listener `http` speak HTTP/2, too.
    pub(crate) fn http2_too(self) -> Self {
        self.http("protocols = [\"h2\", \"http/1.1\"]")
    }

    /// Adds a listener; its address is a free port unless the keys name one.
    pub(crate) fn listener(mut self, name: &str, keys: &str) -> Self {
        self.listeners.push(listener(name, keys));
        self
    }

    /// Takes a listener away.
    pub(crate) fn without_listener(mut self, name: &str) -> Self {
        self.listeners.retain(|listener| listener.name != name);
        self
    }

    /// Adds an upstream.
    pub(crate) fn upstream(self, name: &str, endpoints: &[SocketAddr]) -> Self {
        self.upstream_with(name, endpoints, "")
    }

    /// Adds an upstream with further keys.
    pub(crate) fn upstream_with(
        mut self,
        name: &str,
        endpoints: &[SocketAddr],
        keys: &str,
    ) -> Self {
        let endpoints: Vec<String> = endpoints.iter().map(|at| format!("\"{at}\"")).collect();
        let endpoints = endpoints.join(", ");
        self.upstreams.push(Section {
            name: name.to_owned(),
            keys: format!("endpoints = [{endpoints}]\n{keys}"),
        });
        self
    }

    /// Adds an upstream whose endpoints are as they are written.
    pub(crate) fn upstream_named(mut self, name: &str, endpoints: &[&str]) -> Self {
        self.upstreams.push(Section {
            name: name.to_owned(),
            keys: format!("endpoints = {endpoints:?}"),
        });
        self
    }

    /// Gives an upstream further keys.
    pub(crate) fn upstream_keys(mut self, name: &str, keys: &str) -> Self {
        let mut upstreams = self.upstreams.iter_mut();
        let upstream = upstreams.find(|upstream| upstream.name == name);
        let upstream = upstream.expect("an upstream of that name");
        upstream.keys.push_str(&format!("\n{keys}"));
        self
    }

    /// Adds a route without a split.
    pub(crate) fn route(self, name: &str, keys: &str) -> Self {
        self.split_route(name, keys, &[])
    }

    /// Adds a route that is divided among upstreams of the variants' names.
    pub(crate) fn split_route(mut self, name: &str, keys: &str, weights: &[(&str, u32)]) -> Self {
        let variants = weights.iter().map(|(name, weight)| Variant {
            name: (*name).to_owned(),
            weight: *weight,
            keys: String::new(),
        });
        self.routes.push(Route {
            name: name.to_owned(),
            keys: keys.to_owned(),
            variants: variants.collect(),
        });
        self
    }

    /// Gives a variant further keys, such as `state = "off"`.
    pub(crate) fn variant_keys(mut self, variant: &str, keys: &str) -> Self {
        self.variant(variant).keys = format!(", {keys}");
        self
    }

    /// Replaces the keys of `[admin]`.
    pub(crate) fn admin(mut self, keys: &str) -> Self {
        self.admin = keys.to_owned();
        self
    }

    /// Replaces the keys of `[shutdown]`.
    pub(crate) fn shutdown(mut self, keys: &str) -> Self {
        self.shutdown = keys.to_owned();
        self
    }

    /// Says by what the workers read and write.
    pub(crate) fn io(mut self, io: &str) -> Self {
        io.clone_into(&mut self.io);
        self
    }

    /// Adds further text.
    pub(crate) fn section(mut self, text: &str) -> Self {
        self.rest.push_str(&format!("\n{text}\n"));
        self
    }

    /// The file's text.
    pub(crate) fn text(&self) -> String {
        let Self {
            admin,
            shutdown,
            io,
            ..
        } = self;
        let mut text = format!(
            "[runtime]\nworkers = 2\nio = \"{io}\"\n\n[admin]\n{admin}\n\n[shutdown]\n{shutdown}\n"
        );
        for Section { name, keys } in &self.listeners {
            text.push_str(&format!("\n[listener.{name}]\n{keys}\n"));
        }
        for Section { name, keys } in &self.upstreams {
            text.push_str(&format!("\n[upstream.{name}]\n{keys}\n"));
        }
        for route in &self.routes {
            let Route { name, keys, .. } = route;
            text.push_str(&format!("\n[route.{name}]\n{keys}\n"));
            if !route.variants.is_empty() {
                text.push_str(&format!("[route.{name}.split]\n"));
            }
            for Variant { name, weight, keys } in &route.variants {
                text.push_str(&format!(
                    "{name} = {{ upstream = \"{name}\", weight = {weight}{keys} }}\n"
                ));
            }
        }
        text.push_str(&self.rest);
        text
    }

    fn variant(&mut self, name: &str) -> &mut Variant {
        let mut variants = self.routes.iter_mut().flat_map(|route| &mut route.variants);
        let variant = variants.find(|variant| variant.name == name);
        variant.expect("a variant of that name")
    }
}

fn listener(name: &str, keys: &str) -> Section {
    let address = if keys.contains("address = ") {
        ""
    } else {
        "address = \"127.0.0.1:0\"\n"
    };
    Section {
        name: name.to_owned(),
        keys: format!("{address}{keys}"),
    }
}
