//! Files that pages refer to, compiled in. Their addresses hold a hash of what is in them, so that browsers may keep
//! them for a year.

use rocket::http::{ContentType, Header, Status};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

struct Asset {
    name: &'static str,
    kind: ContentType,
    bytes: &'static [u8],
    hash: String,
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    let asset = |name, kind, bytes: &'static [u8]| {
        let hash = hex::encode(&Sha256::digest(bytes)[..8]);
        Asset { name, kind, bytes, hash }
    };
    [
        asset("style.css", ContentType::CSS, include_bytes!("static/style.css")),
        asset("live.js", ContentType::JavaScript, include_bytes!("static/live.js")),
        asset("icon.svg", ContentType::SVG, include_bytes!("static/icon.svg")),
    ]
});

/// The address of a file; a test holds the templates to names that are there.
pub(super) fn url(name: &str) -> String {
    let hash = ASSETS.iter().find(|asset| asset.name == name).map_or("", |asset| &asset.hash);
    format!("/assets/{hash}/{name}")
}

#[derive(rocket::Responder)]
pub(super) struct File {
    bytes: &'static [u8],
    kind: ContentType,
    cache: Header<'static>,
}

/// While servers of two versions answer side by side, a hash may be the other's: then it is ours, and not to be kept.
#[rocket::get("/assets/<hash>/<name>")]
pub(super) fn asset(hash: &str, name: &str) -> Result<File, Status> {
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or(Status::NotFound)?;
    let cache = if hash == asset.hash { "public, max-age=31536000, immutable" } else { "no-cache" };
    Ok(File { bytes: asset.bytes, kind: asset.kind.clone(), cache: Header::new("Cache-Control", cache) })
}
