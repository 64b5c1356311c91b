//! Which trailers go on.

use std::sync::Arc;

use http::HeaderMap;

use crate::http1::codec::is_forbidden_trailer;

/// Names of trailers that a route drops.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dropped {
    names: Option<Arc<[Box<[u8]>]>>,
}

impl Dropped {
    pub(crate) fn new(names: Option<&Arc<[Box<[u8]>]>>) -> Self {
        Self {
            names: names.cloned(),
        }
    }

    /// Trailers without those and without those that belong into a head; `None` when nothing is left.
    pub(crate) fn clean(&self, mut trailers: HeaderMap) -> Option<HeaderMap> {
        let dropped = self.names.as_deref().unwrap_or_default();
        let is_unwanted = |name: &[u8]| {
            is_forbidden_trailer(name) || dropped.iter().any(|other| **other == *name)
        };
        let unwanted: Vec<_> = trailers
            .keys()
            .filter(|name| is_unwanted(name.as_str().as_bytes()))
            .cloned()
            .collect();
        for name in unwanted {
            trailers.remove(name);
        }
        Some(trailers).filter(|map| !map.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderMap, HeaderName, HeaderValue};

    use crate::proxy::stream::trailers::Dropped;

    fn trailers(names: &[&'static str]) -> HeaderMap {
        let value = HeaderValue::from_static("1");
        let fields = names
            .iter()
            .map(|name| (HeaderName::from_static(name), value.clone()));
        fields.collect()
    }

    #[test]
    fn what_belongs_into_a_head_or_is_dropped_is_left_out() {
        let names: Arc<[Box<[u8]>]> = Arc::new([b"x-secret".as_slice().into()]);
        let dropped = Dropped::new(Some(&names));
        let all = trailers(&["x-sum", "content-length", "x-secret", "grpc-status"]);
        let kept = dropped.clean(all).unwrap();
        assert_eq!(kept, trailers(&["x-sum", "grpc-status"]));
        assert_eq!(dropped.clean(trailers(&["x-secret"])), None);
        assert!(Dropped::default().clean(trailers(&["x-secret"])).is_some());
    }
}
