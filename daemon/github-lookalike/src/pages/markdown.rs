//! Markdown of comments as HTML that can neither run anything nor leave its place. Of a comment's own HTML only
//! `<details>`, `<summary>` and `<br>` survive; a line end is a new line, as in comments on GitHub.

use super::escape;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag};

/// A comment as HTML.
pub(super) fn render(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let safe = Parser::new_ext(markdown, options).map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Html(allowed(&html).into()),
        Event::SoftBreak => Event::HardBreak,
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Link { link_type, dest_url: link(dest_url), title, id })
        }
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Image { link_type, dest_url: link(dest_url), title, id })
        }
        other => other,
    });
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, safe);
    html
}

fn link(address: CowStr<'_>) -> CowStr<'_> {
    let lower = address.to_lowercase();
    let harmless = ["http://", "https://", "mailto:", "/", "#"].iter().any(|start| lower.starts_with(start));
    if harmless { address } else { "#".into() }
}

/// HTML of a comment: the allowed tags stay, HTML comments vanish, everything else is shown as text.
fn allowed(html: &str) -> String {
    let (mut rest, mut kept) = (html, String::new());
    while let Some(start) = rest.find('<') {
        kept.push_str(&escape(&rest[..start]));
        rest = &rest[start..];
        if let Some(end) = rest.strip_prefix("<!--").and_then(|inner| inner.find("-->")) {
            rest = &rest[4 + end + 3..];
            continue;
        }
        let tags = ["<details>", "<details open>", "</details>", "<summary>", "</summary>", "<br>"];
        match tags.iter().find(|tag| rest.starts_with(**tag)) {
            Some(tag) => {
                kept.push_str(tag);
                rest = &rest[tag.len()..];
            }
            None => {
                kept.push_str("&lt;");
                rest = &rest[1..];
            }
        }
    }
    kept + &escape(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_html_survives() {
        let html = render(
            "<details><summary>a</summary>\n\n<script>x</script> <img src=x onerror=y>\n\n[l](javascript:x)\n\n</details>",
        );
        assert!(html.contains("<details><summary>") && html.contains("</details>"), "{html}");
        assert!(!html.contains("<script") && !html.contains("<img") && html.contains("<a href=\"#\">l</a>"), "{html}");
        assert_eq!(allowed("<!-- marker -->"), "");
    }

    #[test]
    fn a_line_end_is_a_new_line() {
        assert_eq!(render("a\nb"), "<p>a<br />\nb</p>\n");
    }
}
