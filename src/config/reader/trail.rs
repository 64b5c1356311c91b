//! The way from the root to a value: its dotted key, written out only when a problem needs it.

use std::fmt::Write;
use std::rc::Rc;

use crate::config::reader::shape::Shape;
use crate::config::reader::shorten;

/// The way to a value: that of what it is in, and one more step. The root has none.
#[derive(Clone, Debug)]
pub(in crate::config::reader) struct Trail<'d> {
    parent: Option<Rc<Trail<'d>>>,
    step: Step<'d>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'d> {
    /// To a key that is asked for.
    Key(&'d str),
    /// To a key that may be any.
    Name(&'d str),
    /// To a value of an array.
    Index(usize),
}

impl<'d> Trail<'d> {
    /// The way to a key of a table.
    pub(in crate::config::reader) fn key(table: Option<&Rc<Self>>, key: &'d str) -> Self {
        Self {
            parent: table.map(Rc::clone),
            step: Step::Key(key),
        }
    }

    /// The way to a key of a table whose keys may be any.
    pub(in crate::config::reader) fn name(table: Option<&Rc<Self>>, name: &'d str) -> Self {
        Self {
            parent: table.map(Rc::clone),
            step: Step::Name(name),
        }
    }

    /// The way to a value of an array.
    pub(in crate::config::reader) fn index(array: &Rc<Self>, index: usize) -> Self {
        Self {
            parent: Some(Rc::clone(array)),
            step: Step::Index(index),
        }
    }

    /// The shape of what is at its end, given that of the root.
    pub(in crate::config::reader) fn shape<'s>(&self, root: &'s mut Shape) -> &'s mut Shape {
        let shape = match &self.parent {
            Some(parent) => parent.shape(root),
            None => root,
        };
        match self.step {
            Step::Key(key) => &mut shape.key(key).shape,
            Step::Name(_) => shape.any(),
            Step::Index(_) => shape.item(),
        }
    }

    /// The dotted key, with quotes where TOML wants them, such as `upstream.a.endpoints[0]`.
    pub(in crate::config::reader) fn text(&self) -> String {
        let mut text = self
            .parent
            .as_ref()
            .map(|parent| parent.text())
            .unwrap_or_default();
        match self.step {
            Step::Key(key) | Step::Name(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
                if !key.is_empty() && key.bytes().all(plain) {
                    text.push_str(key);
                } else {
                    text.push_str(&shorten(&format!("{key:?}")));
                }
            }
            Step::Index(index) => {
                // Writing to a string cannot fail.
                let _ = write!(text, "[{index}]");
            }
        }
        text
    }
}
