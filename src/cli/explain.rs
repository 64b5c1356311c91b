//! `tidegate explain`: where a request would go, why, and when that would change.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::admin::explain::{Asked, explain};
use crate::admin::wire::Explained;
use crate::cli::block_on;
use crate::cli::client::{Client, Instance, encode};
use crate::cli::output::{Failure, Ink, json, percent, table};
use crate::config;

/// Tell which route and variant a request would get.
#[derive(Args, Debug)]
pub(in crate::cli) struct Explain {
    /// `http://shop.example.com/cart`, the same without the scheme, or a path alone.
    url: String,
    /// Hash this key, in the place of the one that the request has.
    #[arg(long)]
    key: Option<String>,
    /// A header of the request; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The method of the request.
    #[arg(long, default_value = "GET")]
    method: String,
    /// The client's address [default: 127.0.0.1].
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,
    /// Ask this configuration file instead of a running instance.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    #[command(flatten)]
    instance: Instance,
    /// Print JSON.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl Explain {
    pub(in crate::cli) fn run(self, out: &mut dyn Write, ink: Ink) -> Result<(), Failure> {
        let explained = match &self.config {
            Some(_) => self.offline()?,
            None => self.online()?,
        };
        if self.json {
            json(out, &explained)
        } else {
            print(out, &explained, ink)
        }
    }

    /// By the file alone; every endpoint counts as available.
    fn offline(&self) -> Result<Explained, Failure> {
        let path = self.config.clone().unwrap_or_default();
        let loaded = config::load(&path).map_err(|problems| Failure::of_file(&path, &problems))?;
        let asked = Asked {
            url: self.url.clone(),
            method: Some(self.method.clone()),
            headers: self.headers.clone(),
            key: self.key.clone(),
            client: self.client,
        };
        explain(&loaded.config, &asked, |_| true)
            .map_err(|error| Failure::Refused(error.to_string()))
    }

    fn online(&self) -> Result<Explained, Failure> {
        let client = Client::new(&self.instance)?;
        let mut path = format!(
            "/api/v1/explain?url={}&method={}",
            encode(&self.url),
            encode(&self.method)
        );
        for header in &self.headers {
            path.push_str(&format!("&header={}", encode(header)));
        }
        if let Some(key) = &self.key {
            path.push_str(&format!("&key={}", encode(key)));
        }
        if let Some(client) = self.client {
            path.push_str(&format!("&client={}", encode(&client.to_string())));
        }
        block_on(client.get(&path))?.value()
    }
}

fn print(out: &mut dyn Write, explained: &Explained, ink: Ink) -> Result<(), Failure> {
    let Some(route) = &explained.route else {
        writeln!(out, "no route catches this request: it is answered 404")?;
        return Ok(());
    };
    writeln!(out, "route    {}", ink.bold(route))?;
    for condition in &explained.matched {
        writeln!(out, "         {condition}")?;
    }
    // A route that has no variants answers by itself.
    if explained.variants.is_empty() {
        return answer(out, explained);
    }
    let variant = match (&explained.variant, explained.reason.as_str()) {
        (Some(variant), _) => variant,
        (None, "hash") => "whichever a new identity has",
        (None, _) => "another one each time",
    };
    writeln!(out, "variant  {}", ink.bold(variant))?;
    if let Some(served_by) = &explained.served_by {
        writeln!(
            out,
            "served   by {served_by}, while {variant} has no endpoint that may be used"
        )?;
    }
    match &explained.key {
        Some(key) => writeln!(out, "reason   {} of the key `{key}`", explained.reason)?,
        None => writeln!(out, "reason   {}", explained.reason)?,
    }
    for note in &explained.notes {
        writeln!(out, "         {note}")?;
    }
    if let Some(rewritten) = &explained.rewritten {
        writeln!(out, "rewrite  {}{}", rewritten.host, rewritten.target)?;
    }
    if let Some(mirror) = &explained.mirror {
        let to = mirror.variant.as_ref().unwrap_or(&mirror.upstream);
        let copied = match mirror.copied {
            Some(true) => "copied",
            Some(false) => "not copied",
            None => "maybe copied",
        };
        let (percent, why) = (mirror.percent, &mirror.why);
        writeln!(out, "mirror   {copied} to {to} ({percent} % are): {why}")?;
    }
    for flag in &explained.flags {
        let rule = flag.rule.as_deref();
        let why = rule.map_or_else(
            || flag.reason.clone(),
            |rule| format!("{} by {rule}", flag.reason),
        );
        let told = flag.header.as_deref();
        let told = told.map_or_else(String::new, |header| format!(", told by {header}"));
        writeln!(
            out,
            "flag     {} is {}: {why}{told}",
            flag.flag, flag.variant
        )?;
    }
    rules(out, explained)?;
    writeln!(out)?;
    let rows: Vec<_> = explained
        .variants
        .iter()
        .map(|variant| {
            let chosen = Some(&variant.name) == explained.variant.as_ref();
            vec![
                if chosen { ">" } else { "" }.to_owned(),
                variant.name.clone(),
                variant.upstream.clone(),
                variant.state.clone(),
                variant.weight.to_string(),
                percent(variant.share),
                variant
                    .score
                    .map_or_else(String::new, |score| format!("{score:.4}")),
                variant.flips_at.map_or_else(String::new, percent),
            ]
        })
        .collect();
    let header = [
        "", "VARIANT", "UPSTREAM", "STATE", "WEIGHT", "SHARE", "SCORE", "FLIPS AT",
    ];
    table(out, &header, &[4, 5, 6, 7], &rows)?;
    if let Some(sentence) = flips(explained) {
        writeln!(out, "\n{sentence}")?;
    }
    Ok(())
}

/// What the route says by itself.
fn answer(out: &mut dyn Write, explained: &Explained) -> Result<(), Failure> {
    if let Some(answer) = &explained.answer {
        write!(out, "answer   {} {}", answer.kind, answer.status)?;
        if let Some(location) = &answer.location {
            write!(out, " to {location}")?;
        }
        if let Some(content_type) = &answer.content_type {
            write!(out, ", {} bytes of {content_type}", answer.bytes)?;
        }
        writeln!(out)?;
    }
    for note in &explained.notes {
        writeln!(out, "         {note}")?;
    }
    Ok(())
}

/// The rules that were asked: those above the one that decides, and itself.
fn rules(out: &mut dyn Write, explained: &Explained) -> Result<(), Failure> {
    if explained.reason == "forced" || explained.reason == "pin" {
        return Ok(());
    }
    for rule in &explained.rules {
        let decides = explained.segment.as_ref() == Some(&rule.segment);
        let said = match (decides, rule.holds) {
            (true, _) => "holds: the weights are those of its rule",
            (false, true) => "holds, but all variants of its rule are off",
            (false, false) => "does not hold",
        };
        writeln!(out, "segment  {} {said}", rule.segment)?;
        for (n, group) in rule.any.iter().enumerate() {
            if n > 0 {
                writeln!(out, "         or")?;
            }
            for condition in group {
                let holds = if condition.holds { "yes" } else { "no " };
                writeln!(out, "         {holds} {}", condition.condition)?;
            }
        }
        if decides {
            break;
        }
    }
    Ok(())
}

/// When this key would change its variant, in words. Of two variants one share tells it; of more,
/// one for each that could take the key over, as long as the others stay as they are to each other.
fn flips(explained: &Explained) -> Option<String> {
    let chosen = explained.variant.as_ref()?;
    let others = explained.variants.iter();
    let others = others.filter(|variant| &variant.name != chosen);
    let mut flips: Vec<_> = others
        .filter_map(|variant| Some((variant.flips_at?, &variant.name)))
        .filter(|(share, _)| *share < 1.0)
        .collect();
    flips.sort_by(|a, b| a.0.total_cmp(&b.0));
    let among = match &explained.segment {
        Some(segment) => format!(" among {segment}"),
        None => String::new(),
    };
    let told: Vec<_> = flips
        .iter()
        .map(|(share, name)| format!("to {name} once {name} has more than {}", percent(*share)))
        .collect();
    match &told[..] {
        [] => None,
        [only] => Some(format!("This key moves {only}{among}.")),
        several => Some(format!(
            "This key moves {}{among}, while the weights of the others stay in proportion.",
            several.join(", or ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::admin::wire::Explained;
    use crate::cli::explain::print;
    use crate::cli::output::Ink;

    fn text(value: serde_json::Value) -> String {
        let explained: Explained = serde_json::from_value(value).unwrap();
        let mut out = Vec::new();
        print(&mut out, &explained, Ink::Plain).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_hashed_key_is_told_when_it_would_move() {
        let text = text(serde_json::json!({
            "route": "shop", "matched": ["path /"], "variant": "stable", "reason": "hash",
            "key": "42",
            "variants": [
                { "name": "stable", "upstream": "v1", "state": "on", "weight": 95, "share": 0.95,
                  "score": 100.5, "flips_at": 0.9269 },
                { "name": "canary", "upstream": "v2", "state": "on", "weight": 5, "share": 0.05,
                  "score": 3.25, "flips_at": 0.0731 },
            ],
        }));
        assert!(text.contains("reason   hash of the key `42`"), "{text}");
        assert!(
            text.ends_with("moves to canary once canary has more than 7.31 %.\n"),
            "{text}"
        );
    }

    #[test]
    fn of_several_variants_each_that_could_take_the_key_over_is_told() {
        let text = text(serde_json::json!({
            "route": "shop", "matched": ["path /"], "variant": "a", "reason": "hash", "key": "42",
            "segment": "beta",
            "rules": [
                { "segment": "staff", "holds": false, "weights": { "c": 1 },
                  "any": [[{ "condition": "client_ip cidr 10.0.0.0/8", "holds": false }]] },
                { "segment": "beta", "holds": true, "weights": { "a": 80, "b": 15, "c": 5 },
                  "any": [[{ "condition": "cookie:plan eq beta", "holds": true }],
                          [{ "condition": "header:a exists", "holds": false }]] },
                { "segment": "never-asked", "holds": true, "weights": { "a": 1 }, "any": [] },
            ],
            "variants": [
                { "name": "a", "upstream": "v1", "state": "on", "weight": 80, "share": 0.8,
                  "score": 100.0, "flips_at": 0.5 },
                { "name": "b", "upstream": "v2", "state": "on", "weight": 15, "share": 0.15,
                  "score": 3.0, "flips_at": 0.4 },
                { "name": "c", "upstream": "v3", "state": "on", "weight": 5, "share": 0.05,
                  "score": 3.0, "flips_at": 0.25 },
            ],
        }));
        assert!(
            text.ends_with(
                "This key moves to c once c has more than 25 %, or to b once b has more than \
                 40 % among beta, while the weights of the others stay in proportion.\n"
            ),
            "{text}"
        );
        assert!(
            text.contains(
                "segment  staff does not hold\n         no  client_ip cidr 10.0.0.0/8\n\
                 segment  beta holds: the weights are those of its rule\n         \
                 yes cookie:plan eq beta\n         or\n         no  header:a exists\n"
            ),
            "{text}"
        );
        assert!(!text.contains("never-asked"), "{text}");
    }

    #[test]
    fn a_route_that_answers_by_itself_is_told_by_what_it_says() {
        let redirect = text(serde_json::json!({
            "route": "old", "matched": ["path /old"], "variant": null, "reason": "none",
            "answer": { "kind": "redirect", "status": 302, "location": "https://a.com/x", "bytes": 0 },
            "variants": [],
        }));
        assert!(
            redirect.ends_with("answer   redirect 302 to https://a.com/x\n"),
            "{redirect}"
        );
        let page = text(serde_json::json!({
            "route": "shop", "matched": ["path /"], "variant": null, "reason": "none",
            "answer": { "kind": "respond", "status": 503, "content_type": "text/html", "bytes": 12 },
            "variants": [],
        }));
        assert!(
            page.ends_with("answer   respond 503, 12 bytes of text/html\n"),
            "{page}"
        );
    }

    #[test]
    fn a_request_without_a_route_is_a_404() {
        let text = text(serde_json::json!({
            "route": null, "matched": [], "variant": null, "reason": "no route", "variants": [],
        }));
        assert!(text.contains("404"), "{text}");
    }
}
