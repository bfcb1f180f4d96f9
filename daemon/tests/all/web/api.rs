//! `/api`: what it answers, and that it answers nothing else.

use super::Site;
use serde_json::{Value, json};

fn ids(page: &Value) -> Vec<i64> {
    page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn jobs_are_listed_page_by_page_and_filtered() {
    let site = Site::new().await;
    let (status, page) = site.json("/api/jobs").await;
    assert_eq!((status, ids(&page), &page["next"]), (200, vec![9, 8, 7, 6, 5, 4, 3], &Value::Null), "{page}");
    let (_, page) = site.json("/api/jobs?limit=3").await;
    assert_eq!((ids(&page), &page["next"]), (vec![9, 8, 7], &json!(7)));
    let (_, page) = site.json("/api/jobs?limit=3&before=7&repository=Acme/Open").await;
    assert_eq!((ids(&page), &page["next"]), (vec![6, 5, 4], &json!(4)));
    let (_, page) = site.json("/api/jobs?status=completed,failed").await;
    assert_eq!((ids(&page), &page["jobs"][0]["culprit"]), (vec![3], &json!("c".repeat(40))));
    let (_, page) = site.json("/api/jobs?mine=true").await;
    assert_eq!(ids(&page), Vec::<i64>::new(), "nobody is signed in");
    for wrong in ["limit=0", "limit=201", "before=x", "status=done", "mine=yes", "repository=a%00b"] {
        let (status, problem) = site.json(&format!("/api/jobs?{wrong}")).await;
        let name = wrong.split('=').next().unwrap();
        assert_eq!(status, 400, "{wrong}");
        assert!(problem["detail"].as_str().unwrap().starts_with(name), "{problem}");
    }
    for unseen in ["acme/secret", "acme/nothing", "else/hidden"] {
        assert_eq!(site.json(&format!("/api/jobs?repository={unseen}")).await.0, 404, "{unseen}");
    }
    site.hub.stop(site.service).await;
}

#[tokio::test]
async fn a_job_is_told_with_all_that_belongs_to_it() {
    let site = Site::new().await;
    let response = site.ask("/api/jobs/3").await;
    let tag = response.headers()["etag"].to_str().unwrap().to_owned();
    let text = response.text().await.unwrap();
    let job: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(job["range"][1], json!({"mark": "candidate", "commits": 1}));
    assert_eq!(job["probes"].as_array().unwrap().len(), 5);
    assert_eq!((&job["probes"][2]["ending"], &job["probes"][3]["state"]), (&json!("exit 1"), &json!("stopped")));
    assert_eq!(job["history"][2]["kind"], "completed");
    assert_eq!(job["may_act"], false);
    let comment = format!("{}/acme/open/issues/7#issuecomment-31", site.hub.running.url());
    assert_eq!(job["links"]["comment"], json!(comment));
    assert!(!text.contains("hush"), "the values of --env are nobody's: {text}");
    let again = site.http.get(format!("{}/api/jobs/3", site.service.address)).header("If-None-Match", tag);
    assert_eq!(again.send().await.unwrap().status(), 304);

    // What is not there, what is private and what is of a shell is answered alike.
    let mut answers = Vec::new();
    for unseen in ["1", "2", "10", "999", "x", "9999999999999999999999", "-1", "1%00"] {
        let response = site.ask(&format!("/api/jobs/{unseen}")).await;
        assert_eq!(response.status(), 404, "{unseen}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        answers.push(response.text().await.unwrap());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    site.hub.stop(site.service).await;
}

#[tokio::test]
async fn output_is_told_as_text_and_in_pages() {
    let site = Site::new().await;
    let response = site.ask("/api/jobs/3/log?probe=2").await;
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(response.text().await.unwrap(), "first\nsecond\n");
    let whole = site.ask("/api/jobs/3/log").await.text().await.unwrap();
    assert_eq!(whole, "first\nsecond\n\u{1b}[31m<b>red</b>\u{1b}[0m\n");
    let (_, page) = site.json("/api/jobs/3/log?format=json&after=2:0").await;
    assert_eq!((&page["pieces"][0]["bytes"], &page["pieces"][0]["seq"]), (&json!("c2Vjb25kCg=="), &json!(1)));
    assert_eq!((page["pieces"].as_array().unwrap().len(), &page["next"]), (2, &Value::Null));
    site.sql("INSERT INTO log_chunks (probe_id, seq, bytes) SELECT 6, n, '-' FROM generate_series(0, 39) AS n").await;
    let (mut after, mut told) = (String::new(), 0);
    loop {
        let (_, page) = site.json(&format!("/api/jobs/3/log?format=json&after={after}")).await;
        told += page["pieces"].as_array().unwrap().len();
        let Some(next) = page["next"].as_str() else { break };
        after = next.to_owned();
    }
    assert_eq!(told, 43);
    for unseen in ["1/log", "2/log", "10/log", "3/log?probe=1", "1/log?probe=2"] {
        assert_eq!(site.json(&format!("/api/jobs/{unseen}")).await.0, 404, "{unseen}");
    }
    for wrong in ["probe=x", "after=1", "format=xml"] {
        assert_eq!(site.json(&format!("/api/jobs/3/log?{wrong}")).await.0, 400, "{wrong}");
    }
    site.hub.stop(site.service).await;
}

#[tokio::test]
async fn repositories_and_usage_are_those_of_the_viewer() {
    let site = Site::new().await;
    let (_, list) = site.json("/api/repos").await;
    let names: Vec<&str> =
        list["repositories"].as_array().unwrap().iter().map(|repo| repo["full_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["acme/open"], "{list}");
    assert_eq!(list["repositories"][0]["last_job"], 9);
    assert_eq!(site.json("/api/repos?mine=true").await.1["repositories"], json!([]));
    assert_eq!(site.json("/api/repos?after=acme/open").await.1["repositories"], json!([]));
    assert_eq!(site.json("/api/usage").await, (200, json!({"installations": []})));
    let (status, problem) = site.json("/api/nothing").await;
    assert_eq!((status, &problem["status"], &problem["type"]), (404, &json!(404), &json!("about:blank")));
    let (_, document) = site.json("/api/openapi.json").await;
    assert!(document["paths"]["/api/jobs/{id}"]["get"]["responses"]["200"].is_object(), "{document}");
    site.hub.stop(site.service).await;
}
