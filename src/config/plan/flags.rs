//! What a change of flags means for those who ask for them.

use crate::config::Config;
use crate::config::plan::keys::quoted;
use crate::flag::{FlagSpec, Serve};
use crate::segment::Attribute;
use crate::split::{Split, SplitSpec, State, VariantSpec};

/// Tells what would become of flags, as far as it does not depend on what is set at run time.
pub(in crate::config::plan) fn changes(
    old: &Config,
    new: &Config,
    tell: &mut impl FnMut(String, String),
) {
    let (old, new) = (&old.flags.specs, &new.flags.specs);
    for (name, spec) in new {
        let key = format!("flag.{}", quoted(name));
        match old.get(name) {
            Some(before) => change(&key, name, before, spec, tell),
            None => tell(key, format!("is found from then on; {}", given(spec))),
        }
    }
    for name in old.keys() {
        if !new.contains_key(name) {
            let message = "is not found any more: who asks for it gets what its own code has";
            tell(format!("flag.{}", quoted(name)), message.to_owned());
        }
    }
}

/// What those get whom no rule is for.
fn given(spec: &FlagSpec) -> String {
    match &spec.default {
        _ if !spec.enabled => format!("it is not enabled, so everybody gets {}", spec.off_variant),
        Serve::Variant(variant) => format!("whom no rule is for gets {variant}"),
        Serve::Split(_) => "whom no rule is for gets one of its variants".to_owned(),
    }
}

fn change(
    key: &str,
    name: &str,
    old: &FlagSpec,
    new: &FlagSpec,
    tell: &mut impl FnMut(String, String),
) {
    if old.kind != new.kind {
        let message = format!(
            "programs that ask for a value of the type {} get what their own code has",
            old.kind
        );
        tell(format!("{key}.type"), message);
    }
    match (old.enabled, new.enabled) {
        (true, false) => {
            let message = format!("everybody gets {}", new.off_variant);
            tell(format!("{key}.enabled"), message);
        }
        (false, true) => tell(
            format!("{key}.enabled"),
            "its rules decide again".to_owned(),
        ),
        (true, true) => {
            if let Some(share) = moved(name, old, new) {
                let message = format!(
                    "{share} of those who are in no segment of its rules get another variant"
                );
                tell(key.to_owned(), message);
            }
        }
        (false, false) => {}
    }
    if old.version(name) != new.version(name) {
        let message = "what was set of it at run time gives way to the file, but for a kill";
        tell(key.to_owned(), message.to_owned());
    }
}

/// How many of those get another variant whom the first rule without a segment is for, in percent;
/// `None` where nobody does.
fn moved(name: &str, old: &FlagSpec, new: &FlagSpec) -> Option<String> {
    let [(before, by), (after, by_after)] = [old, new].map(|spec| divided(name, spec));
    let (before, after) = (before?, after?);
    let flows = if by == by_after {
        before.moved(None, &after, None)
    } else {
        before.moved_anew(None, &after, None)
    };
    let share: f64 = flows.iter().map(|flow| flow.share).sum();
    // Without what only rounding made of it.
    let percent = (share * 1e6).round() / 1e4;
    (percent > 0.0).then(|| format!("{percent} %"))
}

/// How a flag divides users that are in no segment, and by what it tells them apart.
fn divided<'s>(name: &'s str, spec: &'s FlagSpec) -> (Option<Split>, Option<&'s Attribute>) {
    let open = spec.rules.iter().find(|rule| rule.segment.is_none());
    let salt = open.and_then(|rule| rule.salt.as_deref());
    let salt = salt.or(spec.salt.as_deref()).unwrap_or(name);
    let variants = spec.roll_out().into_iter();
    let variants = variants.map(|(name, weight)| VariantSpec {
        name,
        weight,
        state: State::On,
    });
    let split = Split::new(SplitSpec {
        salt: salt.to_owned(),
        variants: variants.collect(),
        rules: Vec::new(),
        sticky: None,
        force: None,
    });
    (split.ok(), open.and_then(|rule| rule.bucket_by.as_ref()))
}
