//! Text without the secrets that it may hold: tokens of GitHub, what stands in an `Authorization`, private keys, passwords
//! in addresses. Nothing of ours prints one on purpose; this is for errors of others that do.
//!
//! Pure.

use serde_json::Value;
use std::borrow::Cow;

/// What stands in the place of a secret.
const MASK: &str = "[secret]";

/// How tokens of GitHub begin (github.blog, "Behind GitHub's new authentication token formats"). Those of Apps became
/// longer in 2026: a number, and a JSON Web Token with its dots and dashes.
const TOKENS: [&str; 6] = ["ghs_", "ghu_", "ghr_", "gho_", "ghp_", "github_pat_"];

/// The same text; every secret in it is masked.
#[must_use]
pub fn mask(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut from = 0;
    let mut at = 0;
    while at < text.len() {
        let word_begins = !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let secret = if word_begins { secret_at(&text[at..]) } else { password_at(&text[at..]) };
        match secret {
            Some((kept, end)) => {
                shown.push_str(&text[from..at + kept]);
                shown.push_str(MASK);
                at += end;
                from = at;
            }
            None => at += text[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    shown.push_str(&text[from..]);
    Cow::Owned(shown)
}

/// Every text in a value, masked.
#[must_use]
pub fn mask_json(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(mask(&text).into_owned()),
        Value::Array(items) => items.into_iter().map(mask_json).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, mask_json(value))).collect(),
        plain => plain,
    }
}

/// Where a secret at the beginning of `rest` starts and ends, in bytes.
fn secret_at(rest: &str) -> Option<(usize, usize)> {
    token_at(rest)
        .or_else(|| credentials_at(rest))
        .or_else(|| web_token_at(rest))
        .or_else(|| key_at(rest))
        .or_else(|| password_at(rest))
}

fn token_at(rest: &str) -> Option<(usize, usize)> {
    let start = TOKENS.iter().find(|start| rest.starts_with(**start))?.len();
    let length = length_of(&rest[start..], |c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    (length >= 6).then_some((0, start + length))
}

/// `Bearer …` and `Basic …` (RFC 9110, 11.4), `token …` of GitHub.
fn credentials_at(rest: &str) -> Option<(usize, usize)> {
    let is_scheme = |known: &&&str| rest.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known));
    let start = ["bearer ", "basic ", "token "].iter().find(is_scheme)?.len();
    let length = length_of(&rest[start..], |c| c.is_ascii_alphanumeric() || "-._~+/=".contains(c));
    // Words follow these words, too.
    (length >= 16).then_some((0, start + length))
}

/// A JSON Web Token: its header begins with `{"`.
fn web_token_at(rest: &str) -> Option<(usize, usize)> {
    if !rest.starts_with("eyJ") {
        return None;
    }
    let length = length_of(rest, |c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    (rest[..length].trim_end_matches('.').split('.').count() == 3).then_some((0, length))
}

/// A key as PEM, to its end or that of the text.
fn key_at(rest: &str) -> Option<(usize, usize)> {
    let begin = rest.strip_prefix("-----BEGIN ")?;
    begin.split_once("-----").filter(|(kind, _)| kind.ends_with("PRIVATE KEY"))?;
    let end = rest.find("-----END ").and_then(|at| Some(at + 9 + rest[at + 9..].find("-----")? + 5));
    Some((0, end.unwrap_or(rest.len())))
}

/// What stands before the host of an address, as far as its end.
fn password_at(rest: &str) -> Option<(usize, usize)> {
    let authority = rest.strip_prefix("://")?;
    let length = length_of(authority, |c| !c.is_whitespace() && !"/?#\"'<>\\".contains(c));
    let end = authority[..length].rfind('@')?;
    (end > 0).then_some((3, 3 + end))
}

fn length_of(text: &str, is: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn every_kind_of_secret_is_masked_and_nothing_else() {
        let web_token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxIn0.c2lnbmF0dXJl-_x";
        let long = format!("ghs_123456_{web_token}");
        for (text, shown) in [
            ("got ghs_16C7e42F292c6912E7710c838347Ae178B4a, and more".to_owned(), "got [secret], and more"),
            (format!("{{\"token\":\"{long}\"}}"), "{\"token\":\"[secret]\"}"),
            ("ghu_abcdef123 ghr_abcdef123 gho_abcdef123".to_owned(), "[secret] [secret] [secret]"),
            ("github_pat_11ABCDEFG0abcdef".to_owned(), "[secret]"),
            (format!("authorization: bearer {web_token}."), "authorization: [secret]"),
            ("Basic SXYyMzpzZWNyZXQtb2YtYXBw=".to_owned(), "[secret]"),
            (format!("a JWT {web_token} here"), "a JWT [secret] here"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nx".to_owned(), "[secret]\nx"),
            ("-----BEGIN PRIVATE KEY-----\\nMIIE".to_owned(), "[secret]"),
            (
                "postgresql://bisect:hush@db.internal:5432/bisect".to_owned(),
                "postgresql://[secret]@db.internal:5432/bisect",
            ),
            ("https://x-access-token:ghs_abcdefgh@github.com/o/r".to_owned(), "https://[secret]@github.com/o/r"),
        ] {
            assert_eq!(mask(&text), shown, "{text}");
        }
        for plain in [
            "token expired, bearer tokens are not accepted; basic authentication is off",
            "https://github.com/octo/calc/commit/1b2c067b6253 by a@b.c",
            "high_ghs_ghu_x ghs_ -----BEGIN CERTIFICATE-----",
            "eyJ.x",
            "größe://ä",
        ] {
            assert_eq!(mask(plain), plain);
        }
        let value = json!({"a": ["ghp_0123456789"], "b": 1, "c": {"d": "x"}});
        assert_eq!(mask_json(value), json!({"a": ["[secret]"], "b": 1, "c": {"d": "x"}}));
    }

    proptest! {
        #[test]
        fn no_token_is_left_wherever_it_stands(before in "\\PC{0,20}", after in "\\PC{0,20}", token in "[A-Za-z0-9]{20,60}") {
            let text = format!("{before} ghs_{token} {after}");
            let masked = mask(&text);
            prop_assert!(!masked.contains(&token));
            prop_assert_eq!(mask(&masked), masked.clone());
        }
    }
}
