//! JSON that says by an `ETag` which one it is, so that whoever has it already is not sent it again.

use rocket::{
    Request, Response,
    http::{ContentType, Header, Status},
    response::Responder,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::io::Cursor;

/// A value that is sent as JSON.
pub(in crate::web) struct Tagged<T>(pub(in crate::web) T);

impl<'r, T: Serialize> Responder<'r, 'static> for Tagged<T> {
    fn respond_to(self, request: &'r Request<'_>) -> rocket::response::Result<'static> {
        let body = serde_json::to_vec(&self.0).map_err(|error| {
            tracing::error!(error = %error, "an answer could not be written as JSON");
            Status::InternalServerError
        })?;
        let tag = format!("W/\"{}\"", hex::encode(&Sha256::digest(&body)[..12]));
        let mut response = Response::new();
        response.set_header(Header::new("ETag", tag.clone()));
        if request.headers().get("If-None-Match").any(|known| names(known, &tag)) {
            response.set_status(Status::NotModified);
            return Ok(response);
        }
        response.set_header(ContentType::JSON);
        response.set_sized_body(body.len(), Cursor::new(body));
        Ok(response)
    }
}

/// Whether an `If-None-Match` names this weak tag (RFC 9110, 13.1.2).
fn names(known: &str, tag: &str) -> bool {
    known.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == &tag[2..])
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_known_tag_is_found_among_others() {
        assert!(names("\"a\", W/\"b\"", "W/\"b\"") && names("\"b\"", "W/\"b\"") && names("*", "W/\"b\""));
        assert!(!names("\"a\"", "W/\"b\"") && !names("", "W/\"b\""));
    }
}
