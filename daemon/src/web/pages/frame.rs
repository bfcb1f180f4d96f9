//! What stands around every page.

use crate::web::assets;

/// Who is signed in, as the top of a page shows it.
#[derive(Debug, Clone)]
pub(in crate::web) struct User {
    pub(in crate::web) login: String,
    pub(in crate::web) avatar_url: Option<String>,
    pub(in crate::web) csrf: String,
}

/// The frame of one page.
#[derive(Debug)]
pub(in crate::web) struct Frame {
    pub(in crate::web) style: String,
    pub(in crate::web) script: String,
    pub(in crate::web) icon: String,
    /// Which entry of the menu this is.
    pub(in crate::web) here: &'static str,
    pub(in crate::web) user: Option<User>,
}

impl Frame {
    pub(in crate::web) fn new(here: &'static str, user: Option<User>) -> Self {
        let [style, script, icon] = ["style.css", "live.js", "icon.svg"].map(assets::url);
        Self { style, script, icon, here, user }
    }
}
