//! pages
use crate::world::World;
use axum::body::{Body, Bytes};
use axum::http::{Response, request};
pub(crate) fn serve(_: &World, _: &request::Parts, _: &str, _: &Bytes) -> Option<Response<Body>> {
    None
}
