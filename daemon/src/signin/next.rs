//! Where a browser goes after signing in: a page of ours, whatever it was asked to be.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Where it goes when nothing else was asked for.
pub(super) const HOME: &str = "/dashboard";

/// The asked for path, if it is one of this site; [`HOME`] otherwise. Browsers read `//host` and `/\host` as another
/// site's address, and drop tabs and line ends wherever they stand.
pub(super) fn local(asked: Option<&str>) -> String {
    let fine = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path.len() <= 1000
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            // It would sign in again, and again.
            && !path.starts_with("/auth/")
            && rocket::http::uri::Origin::parse(path).is_ok()
    };
    asked.filter(fine).unwrap_or(HOME).to_owned()
}

/// The address at which somebody signs in who is then to be brought back to `next`, a path of ours.
#[must_use]
pub fn sign_in_url(next: Option<&str>) -> String {
    let path = "/auth/github/login";
    match next.filter(|next| local(Some(next)) == *next) {
        Some(next) => format!("{path}?next={}", utf8_percent_encode(next, NON_ALPHANUMERIC)),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_a_path_of_this_site_is_gone_to() {
        for fine in ["/", "/jobs/7?after=3", "/repos/octo/calc#x", "/setup?installation_id=5"] {
            let expected = if fine.contains('#') { HOME } else { fine };
            assert_eq!(local(Some(fine)), expected);
        }
        let wrong = [
            "",
            "jobs",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/x\r\nSet-Cookie: a=b",
            "/ö",
            "/auth/github/login",
            " //evil",
        ];
        for wrong in wrong {
            assert_eq!(local(Some(wrong)), HOME, "{wrong}");
        }
        assert_eq!(local(None), HOME);
        assert_eq!(local(Some(&format!("/{}", "x".repeat(1000)))), HOME);
    }

    #[test]
    fn the_way_back_is_one_parameter() {
        assert_eq!(sign_in_url(Some("/jobs/7?a=1&b=2")), "/auth/github/login?next=%2Fjobs%2F7%3Fa%3D1%26b%3D2");
        assert_eq!(sign_in_url(Some("//evil.example")), sign_in_url(None));
        assert_eq!(sign_in_url(Some("/auth/callback")), "/auth/github/login");
    }

    proptest! {
        #[test]
        fn whatever_is_asked_stays_on_this_site(asked in ".{0,40}|[/\\\\:a-z.@?#%\\t]{0,20}") {
            let here = reqwest::Url::parse("https://bisect.example.com/auth/callback").unwrap();
            let there = here.join(&local(Some(&asked))).unwrap();
            prop_assert_eq!(there.origin(), here.origin());
        }
    }
}
