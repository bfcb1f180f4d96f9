//! The pages without a script: what is on them, what is not, and how they are sent.

use super::Site;

impl Site {
    /// A page as a browser asks for it.
    pub async fn page(&self, path: &str) -> (u16, String, reqwest::header::HeaderMap) {
        let response = self.get(path).header("Accept", "text/html,application/xhtml+xml").send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, response.text().await.unwrap(), headers)
    }
}

const PAGES: [&str; 7] = ["/", "/dashboard", "/repos/acme/open", "/jobs/3", "/jobs/4", "/docs", "/setup"];

#[tokio::test]
async fn every_page_is_small_safe_and_needs_no_script() {
    let site = Site::new().await;
    for path in PAGES {
        let (status, text, headers) = site.page(path).await;
        assert_eq!(status, 200, "{path}: {text}");
        assert!(text.len() < 100_000, "{path}: {} bytes", text.len());
        for inline in ["<script>", "<style", " style=", " onclick=", "javascript:"] {
            assert!(!text.contains(inline), "{path} holds {inline}");
        }
        let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
        assert!(header("content-security-policy").starts_with("default-src 'none'; script-src 'self'"), "{headers:?}");
        assert!(header("content-security-policy").contains(&site.hub.running.url()), "forms may lead to GitHub");
        assert_eq!((header("x-content-type-options"), header("x-frame-options")), ("nosniff", "DENY"));
        assert_eq!(header("referrer-policy"), "same-origin");
        assert!(header("strict-transport-security").contains("max-age=31536000"), "BASE_URL is https");
        // What it refers to is there, and kept.
        for asset in text.split('"').filter(|part| part.starts_with("/assets/")) {
            let response = site.ask(asset).await;
            assert_eq!(response.status(), 200, "{asset}");
            assert!(response.headers()["cache-control"].to_str().unwrap().contains("immutable"), "{asset}");
        }
        let links = text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        for link in links.filter(|link| link.starts_with('/') && !link.starts_with("/auth/")) {
            let status = site.page(link).await.0;
            assert!(status == 200 || status == 303, "{path} leads to {link}: {status}");
        }
        // The limit of an address is not what is tested here.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    assert_eq!(site.page("/dashboard").await.2["cache-control"], "private, no-cache");
    assert_eq!(site.ask("/assets/0000/style.css").await.headers()["cache-control"], "no-cache");
    let install = site.page("/install").await;
    assert_eq!(install.0, 303);
    let to = format!("{}/apps/{}/installations/new", site.hub.running.url(), site.hub.app.slug);
    assert_eq!(install.2["location"], to.as_str());
    site.hub.stop(site.service).await;
}

#[tokio::test]
async fn the_page_of_a_job_says_what_was_found() {
    let site = Site::new().await;
    let (_, text, _) = site.page("/jobs/3").await;
    for said in [
        "12 commits, the oldest at the left: 4 before it, the culprit, 7 after it",
        "Break &#60;it&#62;",
        "cccccccccccc",
        "pytest -x",
        "#issuecomment-31",
        "<span class=\"f1\">&#60;b&#62;red&#60;/b&#62;",
    ] {
        let page = if said.contains("red") { site.page("/jobs/3?probe=4").await.1 } else { text.clone() };
        assert!(page.contains(said), "{said} is not on it: {page}");
    }
    assert!(!text.contains("<form method=\"post\" action=\"/jobs/"), "nobody is signed in: {text}");
    assert!(!text.contains("hush"), "the values of --env are nobody's");
    assert!(!text.contains("How probable"), "one run of each commit told");
    site.sql(
        r#"UPDATE bisect_jobs SET report = jsonb_build_object(
            'result', result, 'culprit', culprit_sha, 'suspects', '[]'::jsonb, 'confidence', 0.962,
            'probes', '[{ "commit": "cccccccccccccccccccccccccccccccccccccccc", "verdict": "bad", "runs": 20, "failures": 14,
                "ending": { "kind": "exited", "code": 0 }, "seconds": 1, "cached": false, "subject": "<it>" }]'::jsonb,
            'candidates', 12, 'seconds', 3, 'replay', '', 'explanation', 'By chance, too.', 'advice', null,
            'commits', '[]'::jsonb, 'failure', null, 'notes', '[]'::jsonb,
            'request', jsonb_build_object('source', '', 'good', array[good_sha], 'bad', bad_sha, 'command', command,
                'setup', null, 'image', null, 'env', '[]'::jsonb, 'first_parent', false, 'fixed', false,
                'paths', '[]'::jsonb, 'skip', '[]'::jsonb),
            'proof', '[{ "commit": "cccccccccccccccccccccccccccccccccccccccc", "is_culprit": true, "ending": { "kind": "exited", "code": 0 },
                "verdict": "good" }]'::jsonb,
            'odds', '{
                "likely": [{ "commit": "cccccccccccccccccccccccccccccccccccccccc", "probability": 0.962, "subject": "<it>" }],
                "none": 0.004, "before": { "failures": 1, "runs": 24 }, "after": { "failures": 14, "runs": 20 },
                "range": [0.0, 0.9, 0.1], "one_more": null }'::jsonb) WHERE id = 3"#,
    )
    .await;
    let (_, text, _) = site.page("/jobs/3").await;
    for said in [
        "How probable each commit is",
        "<td>96 %</td>",
        "<td>0.4 %</td>",
        "height=\"40.0\"",
        "<td class=\"nowrap\">14 of 20</td>",
        "In fresh workspaces, too",
        "exit 0; in all 14 of 20 failed",
    ] {
        assert!(text.contains(said), "{said} is not on it: {text}");
    }
    let (_, text, _) = site.page("/jobs/4").await;
    assert!(text.contains("Bisection queued") && text.contains("Waits since"), "{text}");
    site.hub.stop(site.service).await;
}

#[tokio::test]
async fn what_one_may_not_know_of_is_not_there() {
    let site = Site::new().await;
    for path in [
        "/jobs/1",
        "/jobs/2",
        "/jobs/10",
        "/jobs/999",
        "/jobs/x",
        "/repos/acme/secret",
        "/repos/no/thing",
        "/repos/a/%00",
    ] {
        let (status, text, headers) = site.page(path).await;
        assert_eq!(status, 404, "{path}");
        assert!(text.contains("Not found") && text.contains("Sign in with GitHub"), "{path}: {text}");
        assert!(!text.contains("secret-command") && !text.contains("Secret subject"), "{path}");
        assert_eq!(headers["cache-control"], "no-store");
        let response = site.ask(path).await;
        assert_eq!(response.headers()["content-type"], "application/problem+json", "who reads no pages");
    }
    // Not even that there is something to act on.
    for job in [1, 3, 999] {
        for act in ["cancel", "retry"] {
            for path in [format!("/jobs/{job}/{act}"), format!("/api/jobs/{job}/{act}")] {
                let url = format!("{}{path}", site.service.address);
                let response = site.http.post(url).form(&[("csrf", "x")]).send().await.unwrap();
                assert_eq!(response.status(), 401, "{path}");
            }
        }
    }
    let (status, text, _) = site.page("/nothing/here").await;
    assert!(status == 404 && text.contains("<h1>Not found</h1>"));
    site.hub.stop(site.service).await;
}

#[tokio::test]
async fn hostile_text_is_shown_as_text_and_does_not_swell_a_page() {
    let site = Site::new().await;
    let evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}\u{1b}[31m&amp;\"'";
    let quoted = evil.replace('\'', "''");
    site.sql(&format!(
        "UPDATE probes SET subject = '{quoted}' || repeat('A', 100000) WHERE job_id = 3; \
         UPDATE bisect_jobs SET requested_by = '{quoted}', setup = repeat('{quoted}', 2000), command = ARRAY['sh', '-c', '{quoted}'] \
           WHERE id = 3; \
         UPDATE bisect_jobs SET status = 'failed', completed_at = now(), error = '{quoted}' || repeat('B', 100000) WHERE id = 4; \
         INSERT INTO job_events (job_id, seq, kind, epoch, detail) VALUES (4, 9, 'failed', 0, jsonb_build_object('by', '{quoted}')); \
         UPDATE log_chunks SET bytes = convert_to(repeat('{quoted}' || chr(10), 3000), 'UTF8') || '\\xff00fe'::bytea WHERE probe_id = 4"
    ))
    .await;
    for path in ["/jobs/3?probe=4", "/jobs/3", "/jobs/4", "/dashboard", "/repos/acme/open"] {
        let (status, text, _) = site.page(path).await;
        assert_eq!(status, 200, "{path}");
        for bad in ["<script>alert", "<img src=x", "\u{202e}", "\u{1b}", "\u{0}"] {
            assert!(!text.contains(bad), "{path} holds {bad:?}");
        }
        assert!(text.len() < 350_000, "{path}: {} bytes", text.len());
    }
    let (status, told) = site.json("/api/jobs/3").await;
    assert_eq!((status, told["probes"].as_array().unwrap().len()), (200, 5));
    site.hub.stop(site.service).await;
}
