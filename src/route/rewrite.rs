//! Rewrites: the path that a caught request has behind the proxy.
//!
//! A route catches a path by its plain form, so what is rewritten is found in that form too, and
//! what is left of the path goes on as it was sent. What comes of it lies where the rewrite says,
//! also for a server that reads paths more freely than the plain form does: one that takes `\`,
//! `%2F` and `%5C` for slashes, or cuts a segment at `;`. A path by which such a server would be
//! led out of there is refused.

mod template;
#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::route::matching::Match;
use crate::route::path::{self, PathPattern};
use crate::route::rewrite::template::Template;

/// What becomes of a path, as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RewriteSpec {
    /// This takes the place of the prefix that the route catches.
    Prefix(String),
    /// This takes the place of the whole path.
    Path(String),
    /// This takes the place of the whole path, with `$1`, `$name` and `${name}` standing for what
    /// the groups of the route's regular expression caught, and `$$` for a `$`.
    Template(String),
}

/// What becomes of a path, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathRewrite {
    spec: RewriteSpec,
    how: How,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum How {
    /// The prefix that is caught gives way to another one; both without a slash at their end, and
    /// empty for the root.
    Prefix {
        caught: Box<[u8]>,
        new: Box<[u8]>,
    },
    Path(Box<[u8]>),
    Template(Template),
}

impl PathRewrite {
    /// Checks what is to become of the paths that `rule` catches.
    ///
    /// # Errors
    /// When no path can be made so.
    pub fn new(spec: RewriteSpec, rule: &Match) -> Result<Self, RewriteError> {
        let checked = |path: &str| {
            path::check(path).map_err(|reason| RewriteError::Path {
                path: path.to_owned(),
                reason,
            })
        };
        let how = match (&spec, &rule.path) {
            (RewriteSpec::Path(path), _) => {
                checked(path)?;
                How::Path(path.as_bytes().into())
            }
            (RewriteSpec::Prefix(new), PathPattern::Prefix(_) | PathPattern::Any) => {
                checked(new)?;
                let caught = match &rule.path {
                    PathPattern::Prefix(caught) => caught.as_bytes(),
                    _ => b"",
                };
                How::Prefix {
                    caught: caught.into(),
                    new: new.strip_suffix('/').unwrap_or(new).as_bytes().into(),
                }
            }
            (RewriteSpec::Prefix(_), PathPattern::Exact(_) | PathPattern::Regex(_)) => {
                return Err(RewriteError::NoPrefix);
            }
            (RewriteSpec::Template(text), PathPattern::Regex(regex)) => {
                How::Template(Template::new(text, regex)?)
            }
            (
                RewriteSpec::Template(_),
                PathPattern::Exact(_) | PathPattern::Prefix(_) | PathPattern::Any,
            ) => return Err(RewriteError::NoRegex),
        };
        Ok(Self { spec, how })
    }

    /// It as it was written.
    pub fn spec(&self) -> &RewriteSpec {
        &self.spec
    }

    /// The prefix that is taken away without another in its place: whoever makes links for the
    /// client has to put it before them.
    pub fn stripped(&self) -> Option<&[u8]> {
        match &self.how {
            How::Prefix { caught, new } if new.is_empty() && !caught.is_empty() => Some(caught),
            How::Prefix { .. } | How::Path(_) | How::Template(_) => None,
        }
    }

    /// Appends what becomes of a path that the route has caught: a path that begins with exactly
    /// one slash. Only a template allocates.
    ///
    /// # Errors
    /// When some server could be led out of where the path belongs; then nothing of use was
    /// appended.
    pub fn apply(&self, path: &[u8], out: &mut Vec<u8>) -> Result<(), LeadsOut> {
        match &self.how {
            How::Prefix { caught, new } => {
                let rest = below(path, caught)?;
                out.extend_from_slice(new);
                out.extend_from_slice(if new.is_empty() {
                    one_slash(rest)
                } else {
                    rest
                });
                if new.is_empty() && rest.is_empty() {
                    out.push(b'/');
                }
                Ok(())
            }
            How::Path(path) => {
                out.extend_from_slice(path);
                Ok(())
            }
            How::Template(template) => path::with_plain(path, |plain| template.expand(plain, out)),
        }
    }
}

/// The path would lead some server out of where the rewrite puts it.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the path leads out of what it is rewritten to")]
pub struct LeadsOut;

/// Why no path can be made as a [`RewriteSpec`] says.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "the fields are what the message says")]
pub enum RewriteError {
    /// What is to be a path is none.
    #[error("`{path}` is not a path to rewrite to: {reason}")]
    Path { path: String, reason: String },
    /// A prefix is to be replaced where none is caught.
    #[error(
        "there is no prefix to replace: the route catches paths in another way; `path` takes the place of all of it"
    )]
    NoPrefix,
    /// Groups are named where no regular expression is.
    #[error("there are no groups: the route has no path_regex")]
    NoRegex,
    /// A `$` that stands for nothing.
    #[error("`$` stands for nothing here; $1, $name and ${{name}} stand for groups, $$ for itself")]
    Dollar,
    /// A group that the regular expression does not have.
    #[error("path_regex has no group `{name}`")]
    Group { name: String },
}

/// What of a path lies below a prefix that its plain form begins with, as it was sent: nothing, or
/// something that begins with a slash and does not lead out of the prefix.
fn below<'p>(path: &'p [u8], prefix: &[u8]) -> Result<&'p [u8], LeadsOut> {
    if path::is_plain(path) && memchr::memchr(b'\\', path).is_none() {
        return path.get(prefix.len()..).ok_or(LeadsOut);
    }
    let n_prefix = memchr::memchr_iter(b'/', prefix).count();
    let mut depth = 0;
    // The root is above everything; deeper prefixes end where their last segment does.
    let mut end = (n_prefix == 0).then_some(0);
    let mut start = 1;
    for segment in path.get(1..).unwrap_or_default().split(|&b| b == b'/') {
        let after = start + segment.len();
        match n_dots(segment) {
            _ if segment.is_empty() => {}
            Some(1) => {}
            Some(2) if depth == 0 => end = (n_prefix == 0).then_some(after),
            Some(2) => depth -= 1,
            _ => {
                depth += 1;
                // The last time counts: before it, the path may have led elsewhere.
                if depth == n_prefix {
                    end = Some(after);
                }
            }
        }
        start = after + 1;
    }
    let rest = end.and_then(|end| path.get(end..)).ok_or(LeadsOut)?;
    if depth < n_prefix || leads_out(rest) {
        return Err(LeadsOut);
    }
    Ok(rest)
}

/// How many dots a segment is, plain or percent-encoded, if it is nothing else.
fn n_dots(segment: &[u8]) -> Option<usize> {
    let mut n = 0;
    let mut rest = segment;
    while !rest.is_empty() {
        rest = match rest {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return None,
        };
        n += 1;
    }
    Some(n)
}

/// True when some server could be led above where `rest` begins: one that takes some or all of what
/// looks like a slash for one, several of them for one, or cuts segments at `;`.
fn leads_out(rest: &[u8]) -> bool {
    let mut depth = 0_usize;
    for segment in rest.split(|&byte| byte == b'/') {
        match n_dots(segment) {
            Some(0 | 1) => {}
            Some(2) => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return true,
            },
            _ => {
                let (first, mut after) = split_at_any_slash(segment);
                let name = until_semicolon(first);
                // What begins with a name is one to everybody; what does not may be nothing.
                depth += usize::from(n_dots(name).is_none_or(|n| n > 2));
                let mut piece = first;
                loop {
                    if n_dots(until_semicolon(piece)) == Some(2) {
                        return true;
                    }
                    if after.is_empty() {
                        break;
                    }
                    (piece, after) = split_at_any_slash(after);
                }
            }
        }
    }
    false
}

/// A segment without its parameters.
fn until_semicolon(segment: &[u8]) -> &[u8] {
    let end = memchr::memchr(b';', segment).unwrap_or(segment.len());
    &segment[..end]
}

/// What comes before the first thing that looks like a slash, and what after it.
fn split_at_any_slash(path: &[u8]) -> (&[u8], &[u8]) {
    for at in memchr::memchr3_iter(b'/', b'\\', b'%', path) {
        let length = match &path[at..] {
            [b'/' | b'\\', ..] => 1,
            [b'%', b'2', b'f' | b'F', ..] | [b'%', b'5', b'c' | b'C', ..] => 3,
            _ => continue,
        };
        return (&path[..at], &path[at + length..]);
    }
    (path, b"")
}

/// A path without the slashes before its first.
fn one_slash(mut path: &[u8]) -> &[u8] {
    while let [b'/', b'/', ..] = path {
        path = &path[1..];
    }
    path
}
