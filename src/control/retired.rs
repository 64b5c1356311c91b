//! What was live and is no more: it is let go of here, and not on a worker.
//!
//! A worker that has not looked at the pointer yet, or an exchange that obeys what was, may be the
//! last to let go of a large snapshot, and taking one of ten thousand routes apart takes
//! milliseconds in which no other request of that worker moves. So one more reference is kept until
//! it is the only one, and then what hangs on it is taken apart by the control plane.

use std::sync::Arc;

use crate::control::Live;

/// What was live and is still obeyed by somebody.
#[derive(Debug, Default)]
pub(in crate::control) struct Retired {
    kept: Vec<Arc<Live>>,
}

impl Retired {
    /// Keeps what was live until nobody else does. What was kept before and is free by now goes, so
    /// that reloads which follow each other closely do not pile up.
    pub(in crate::control) fn add(&mut self, live: Arc<Live>) {
        self.sweep();
        self.kept.push(live);
    }

    /// Lets go of what nobody else has any more. To be called every second or so.
    pub(in crate::control) fn sweep(&mut self) {
        // Here, and not on one more thread: the allocator keeps memory for each thread that lets go.
        self.kept.retain(|live| !is_free(live));
    }
}

/// True when what is kept here is the last reference: nobody can get another one then.
fn is_free(live: &Arc<Live>) -> bool {
    Arc::strong_count(live) == 1 && Arc::strong_count(&live.snapshot) == 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::SystemTime;

    use crate::config;
    use crate::control::Live;
    use crate::control::retired::Retired;
    use crate::proxy::{Edge, Snapshot};

    fn live() -> Arc<Live> {
        let text = "[listener.http]\naddress = \"127.0.0.1:0\"\n";
        let loaded = config::parse(text.to_owned(), Path::new("t.toml")).expect("it is valid");
        let config = Arc::new(loaded.config);
        Arc::new(Live {
            generation: 1,
            config_sha256: String::new(),
            applied_at: SystemTime::UNIX_EPOCH,
            snapshot: Arc::new(Snapshot {
                generation: 1,
                listeners: BTreeMap::new(),
                table: Arc::clone(&config.table),
                routes: Vec::new(),
                upstreams: Vec::new(),
                edge: Edge::default(),
                request_id: None,
                access_log: None,
            }),
            written: Arc::clone(&config),
            config,
            file: Arc::default(),
            overlay: Arc::default(),
            warnings: Vec::new(),
            stands_in: None,
            files_sha256: loaded.files_sha256,
            sources: loaded.sources,
        })
    }

    #[test]
    fn a_worker_is_never_the_last_to_let_go_of_a_snapshot() {
        let live = live();
        let (worker, watched) = (Arc::clone(&live.snapshot), Arc::downgrade(&live.snapshot));
        let mut retired = Retired::default();
        retired.add(live);
        retired.sweep();
        drop(worker);
        assert_eq!(watched.strong_count(), 1, "what is kept is left");
        retired.sweep();
        assert!(retired.kept.is_empty());
        assert_eq!(watched.strong_count(), 0);
    }

    #[test]
    fn what_is_being_told_of_is_kept() {
        let live = live();
        let mut retired = Retired::default();
        retired.add(Arc::clone(&live));
        retired.sweep();
        assert_eq!(retired.kept.len(), 1);
        drop(live);
        retired.sweep();
        assert!(retired.kept.is_empty());
    }
}
