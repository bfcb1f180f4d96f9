//! `GET /api/openapi.json`: the API as programs read it, made from the routes themselves.

use super::{account, acts, events, jobs, log};
use rocket::serde::json::Json;
use utoipa::OpenApi;

/// Every route of the API; a test holds it to what is mounted.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Bisect Bot",
        description = "Bisections of repositories: what runs, what was found, what was used. A request sees what the \
                       browser's session may see; without one, what is public.",
    ),
    paths(
        account::repositories,
        account::usage,
        acts::cancel,
        acts::retry,
        events::events,
        events::output,
        jobs::job,
        jobs::list,
        log::log,
    )
)]
pub struct Document;

#[rocket::get("/api/openapi.json")]
pub(super) fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_in_the_document_and_the_other_way_round() {
        let mounted: BTreeSet<String> = super::super::routes()
            .iter()
            .map(|route| {
                let path = route.uri.path().replace('<', "{").replace('>', "}");
                format!("{} {path}", route.method.as_str().to_lowercase())
            })
            .filter(|route| route != "get /api/openapi.json")
            .collect();
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let told: BTreeSet<String> = paths
            .iter()
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
            })
            .collect();
        assert_eq!(mounted, told);
    }
}
