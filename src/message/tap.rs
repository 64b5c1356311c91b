//! A tap on a body: somebody watches its bytes as they pass, and changes nothing.

use std::fmt;
use std::rc::Rc;

/// Somebody who watches a body, without its framing.
pub trait Watch {
    /// Sees the next bytes. False when it wants to see no more.
    fn see(&self, bytes: &[u8]) -> bool;

    /// Is told that the body has come to its own end; more than once, maybe.
    fn end(&self);
}

/// Where a body can be watched; by default nobody does.
#[derive(Clone, Default)]
pub struct Tap(Option<Rc<dyn Watch>>);

impl Tap {
    /// Makes one for somebody who watches.
    pub fn new(watch: Rc<dyn Watch>) -> Self {
        Self(Some(watch))
    }

    /// True while somebody watches.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Shows the next bytes to whoever watches.
    #[inline]
    pub fn see(&mut self, bytes: &[u8]) {
        if let Some(watch) = &self.0
            && !watch.see(bytes)
        {
            self.0 = None;
        }
    }

    /// Tells whoever watches that the body has come to its own end.
    #[inline]
    pub fn end(&self) {
        if let Some(watch) = &self.0 {
            watch.end();
        }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.is_open() { "Open" } else { "Closed" };
        formatter.write_str(name)
    }
}
