//! Templates: a path made of text and of what the groups of a regular expression caught.

use crate::route::path::{self, FullRegex};
use crate::route::rewrite::{LeadsOut, RewriteError, leads_out};

/// A path with groups in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::route::rewrite) struct Template {
    regex: FullRegex,
    pieces: Vec<Piece>,
    /// How many bytes there are up to the last slash before the first group: what comes after it
    /// does not lead out of what stands there.
    n_fixed: usize,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Text(Box<[u8]>),
    Group(usize),
}

impl Template {
    /// Reads a template for what a regular expression catches.
    pub(in crate::route::rewrite) fn new(
        text: &str,
        regex: &FullRegex,
    ) -> Result<Self, RewriteError> {
        let mut pieces = Vec::new();
        // The template with a letter for each group: what of it has to be a plain path.
        let mut whole = String::new();
        let mut first_group = text.len();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            push_text(&mut pieces, &mut whole, &rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                push_text(&mut pieces, &mut whole, "$");
                rest = after;
                continue;
            }
            let (name, after) = group_name(rest).ok_or(RewriteError::Dollar)?;
            let group = regex.group(name).ok_or_else(|| RewriteError::Group {
                name: name.to_owned(),
            })?;
            first_group = first_group.min(whole.len());
            pieces.push(Piece::Group(group));
            whole.push('x');
            rest = after;
        }
        push_text(&mut pieces, &mut whole, rest);
        path::check(&whole).map_err(|reason| RewriteError::Path {
            path: text.to_owned(),
            reason,
        })?;
        let before = whole.get(..first_group).unwrap_or(&whole);
        Ok(Self {
            regex: regex.clone(),
            pieces,
            n_fixed: before.rfind('/').unwrap_or_default(),
        })
    }

    /// Appends the path that is made of a plain one, in plain form again.
    pub(in crate::route::rewrite) fn expand(
        &self,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), LeadsOut> {
        let caught = self.regex.captures(plain).ok_or(LeadsOut)?;
        let mut path = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => path.extend_from_slice(text),
                // A group that took no part caught nothing.
                Piece::Group(group) => {
                    path.extend_from_slice(
                        caught.get(*group).map_or(b"", |group| group.as_bytes()),
                    );
                }
            }
        }
        if leads_out(path.get(self.n_fixed..).unwrap_or_default()) {
            return Err(LeadsOut);
        }
        path::with_plain(&path, |plain| out.extend_from_slice(plain));
        Ok(())
    }
}

fn push_text(pieces: &mut Vec<Piece>, whole: &mut String, text: &str) {
    whole.push_str(text);
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(before)) => *before = [before, text.as_bytes()].concat().into(),
        _ => pieces.push(Piece::Text(text.as_bytes().into())),
    }
}

/// The name of a group behind its `$`, and what follows it: in braces, or as long as it can be.
fn group_name(text: &str) -> Option<(&str, &str)> {
    let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (name, rest) = match text.strip_prefix('{') {
        Some(text) => text.split_once('}')?,
        None => text.split_at(text.find(|c| !of_name(c)).unwrap_or(text.len())),
    };
    (!name.is_empty() && name.chars().all(of_name)).then_some((name, rest))
}
