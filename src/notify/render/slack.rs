//! An incoming webhook of Slack: a line of text for the notification, and blocks for the reader.
//!
//! What came from people is text: `&`, `<` and `>` are escaped, so that no reason can call a whole
//! channel. Each part is cut to what Slack takes, because it refuses the whole message otherwise.

use serde_json::{Value, json};

use crate::notify::event::{Entry, Event, Severity};
use crate::notify::render::Outgoing;
use crate::notify::sink::Sink;
use crate::store::instant;

// The bounds of Slack's block kit, in characters.
const MAX_TEXT: usize = 3000;
const MAX_HEADER: usize = 150;
const MAX_FIELD: usize = 2000;
/// Links are a help, not the message.
const MAX_LINKS: usize = 5;

pub(in crate::notify::render) fn request(sink: &Sink, entry: &Entry) -> Outgoing {
    let event = &entry.event;
    let headline = event.headline();
    let mut blocks = vec![json!({
        "type": "header",
        "text": { "type": "plain_text", "text": cut(&headline, MAX_HEADER), "emoji": false },
    })];
    if let Some(text) = body(event) {
        blocks.push(json!({ "type": "section", "text": mrkdwn(&text, MAX_TEXT) }));
    }
    let facts = facts(event);
    if !facts.is_empty() {
        blocks.push(json!({ "type": "section", "fields": facts }));
    }
    blocks.push(json!({ "type": "context", "elements": [context(sink, entry)] }));
    let text = format!("{}{}", mark(event.severity), escape(&headline));
    Outgoing::json(&json!({ "text": cut(&text, MAX_TEXT), "blocks": blocks }))
}

fn body(event: &Event) -> Option<String> {
    let mut lines = Vec::new();
    if let Some(detail) = &event.detail {
        lines.push(escape(detail));
    }
    if let Some(reason) = &event.reason {
        lines.push(format!("_Reason:_ {}", escape(reason)));
    }
    let links = event.links.iter().take(MAX_LINKS);
    let links: Vec<String> = links
        .map(|link| {
            // A `|` would end the URL.
            let url = escape(&link.url).replace('|', "%7C");
            format!("<{url}|{}>", escape(&link.title))
        })
        .collect();
    if !links.is_empty() {
        lines.push(links.join(" · "));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// What there is to know, ten at most.
fn facts(event: &Event) -> Vec<Value> {
    let variants = match (&event.stable, &event.candidate) {
        (Some(stable), Some(candidate)) => Some(format!("{stable} → {candidate}")),
        (stable, candidate) => stable.as_ref().or(candidate.as_ref()).cloned(),
    };
    let attempt = event.attempt.filter(|attempt| 1 < *attempt);
    let facts = [
        ("Route", event.route.clone()),
        ("Variants", variants),
        ("Phase", event.phase.clone()),
        ("Weight", event.weight.map(|weight| format!("{weight} %"))),
        ("Attempt", attempt.map(|attempt| attempt.to_string())),
        ("By", event.actor.clone()),
        ("Artifact", event.artifact.clone()),
    ];
    let said = facts.into_iter().filter_map(|(name, value)| {
        let text = format!("*{name}*\n{}", escape(&value?));
        Some(mrkdwn(&text, MAX_FIELD))
    });
    said.collect()
}

fn context(sink: &Sink, entry: &Entry) -> Value {
    let event = &entry.event;
    let mut text = format!(
        "{}{} · {} · {} · {}",
        mark(event.severity),
        escape(&event.cluster),
        escape(&event.kind),
        instant::text_in_milliseconds(event.at),
        escape(&entry.id),
    );
    for (name, value) in sink.labels.iter() {
        text.push_str(&format!(" · {name}={}", escape(value)));
    }
    mrkdwn(&text, MAX_FIELD)
}

fn mrkdwn(text: &str, max: usize) -> Value {
    json!({ "type": "mrkdwn", "text": cut(text, max) })
}

fn mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "",
        Severity::Warning => "warning: ",
        Severity::Critical => "critical: ",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(max - 1).collect();
    // Half of an escape is no escape, and half of a link none either.
    if let Some(start) = cut.rfind(['&', '<'])
        && !cut[start..].contains([';', '>'])
    {
        cut.truncate(start);
    }
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use crate::notify::render::slack::{cut, escape};

    #[test]
    fn what_people_wrote_is_text() {
        assert_eq!(escape("<!channel> a & b"), "&lt;!channel&gt; a &amp; b");
    }

    #[test]
    fn a_cut_leaves_no_half_of_anything() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("ab&amp;cd", 6), "ab…");
        assert_eq!(cut("a <https://x|long>", 10), "a …");
    }
}
