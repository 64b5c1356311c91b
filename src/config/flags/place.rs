//! Where in a file it stands what flags find wrong with themselves.

use crate::config::reader::Value;
use crate::flag::{Fault, FlagError, Part, Place};

/// Refuses what is wrong with a flag that could be read, at its place; `section` is that with all of
/// them.
pub(in crate::config::flags) fn refuse(section: &Value<'_>, error: &FlagError) {
    let problem = error.problem();
    // Names were looked for where they stand, and of flags with problems not all are here.
    if matches!(
        problem.fault,
        Fault::UnknownFlag { .. } | Fault::UnknownVariantOf { .. }
    ) {
        return;
    }
    let flag = section.entry(error.flag());
    let place = flag.as_ref().and_then(|flag| of(flag, &problem.place));
    match (place, flag) {
        (Some(place), _) => place.refuse(problem.fault.to_string()),
        (None, Some(flag)) => flag.refuse_key(problem.fault.to_string()),
        (None, None) => section.refuse_key(error.to_string()),
    }
}

fn of<'d>(flag: &Value<'d>, place: &Place) -> Option<Value<'d>> {
    let prerequisite = |n: usize| flag.entry("prerequisites")?.nth(n);
    match place {
        Place::Flag | Place::Override | Place::Release => None,
        Place::Variants => flag.entry("variants"),
        Place::Variant(name) => flag.entry("variants")?.entry(name),
        Place::OffVariant => flag.entry("off_variant"),
        Place::Default => flag.entry("default_variant"),
        Place::Salt => flag.entry("salt"),
        Place::PrerequisiteFlag(n) => prerequisite(*n)?.entry("flag"),
        Place::PrerequisiteVariant(n) => prerequisite(*n)?.entry("variant"),
        Place::Rule(n, part) => {
            let rule = flag.entry("rules")?.nth(*n)?;
            match part {
                Part::Whole => Some(rule),
                Part::Name => rule.entry("name"),
                Part::Segment => rule.entry("segment"),
                Part::Serve => rule.entry("serve").or_else(|| rule.entry("split")),
                Part::BucketBy => rule.entry("bucket_by"),
                Part::Salt => rule.entry("salt"),
                Part::To => rule.entry("to"),
            }
        }
        Place::InjectHeader => flag.entry("inject")?.entry("header"),
    }
}
