//! What a route says to a described request by itself.

use crate::admin::explain::asked::Request;
use crate::admin::explain::{condition, no_route};
use crate::admin::wire::{Explained, ExplainedAnswer};
use crate::config::{DirectConfig, RouteConfig};
use crate::proxy::Nowhere;

/// Tells what is answered, and where a redirect leads.
pub(in crate::admin::explain) fn tell(
    name: &str,
    route: &RouteConfig,
    direct: &DirectConfig,
    request: &Request,
) -> Explained {
    let mut explained = Explained {
        route: Some(name.to_owned()),
        matched: condition::all(&route.match_spec),
        reason: "none".to_owned(),
        ..no_route()
    };
    explained.answer = Some(match direct {
        DirectConfig::Redirect(redirect) => {
            let mut location = Vec::new();
            let located = redirect.locate(&request.head, request.scheme, &mut location);
            if let Err(nowhere) = located {
                explained.notes.push(refusal(nowhere).to_owned());
                return explained;
            }
            ExplainedAnswer {
                kind: "redirect".to_owned(),
                status: redirect.status,
                location: Some(String::from_utf8_lossy(&location).into_owned()),
                content_type: None,
                bytes: 0,
            }
        }
        DirectConfig::Respond(page) => ExplainedAnswer {
            kind: "respond".to_owned(),
            status: page.status,
            location: None,
            content_type: page.content_type.clone(),
            bytes: page.body.bytes().len(),
        },
    });
    explained
}

/// What becomes of a request that a redirect leads nowhere.
fn refusal(nowhere: Nowhere) -> &'static str {
    match nowhere {
        Nowhere::NoHost => "it names no host to be redirected to: it is answered 400",
        Nowhere::LeadsOut => "the path leads out of what it is rewritten to: it is answered 400",
        Nowhere::Itself => "the redirect leads to where the request came: it is answered 508",
    }
}
