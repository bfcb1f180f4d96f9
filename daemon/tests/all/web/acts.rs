//! Cancel and retry from a browser: by those who may write, from their own pages, and noted.

use super::Site;
use bisectd::runner::spec::{JobSpec, SandboxKind};
use reqwest::{Response, header::COOKIE};
use sha2::{Digest, Sha256, Sha512};

/// What the service makes its cookies with.
pub const SESSION_SECRET: &str = "a secret of the tests that is long enough for cookies";

/// Somebody's session.
pub struct Session {
    pub cookie: String,
    pub csrf: String,
}

impl Site {
    /// As if they had signed in.
    pub async fn session(&self, user: u8) -> Session {
        let token = [user; 32];
        let hash = hex::encode(Sha256::digest(token));
        self.sql(&format!(
            "INSERT INTO sessions (token_hash, user_id, expires_at) VALUES ('\\x{hash}', {user}, now() + interval '29 days'); \
             UPDATE users SET repositories_until = now() + interval '1 hour' WHERE id = {user}"
        ))
        .await;
        let key = Sha512::new().chain_update(b"bisectd cookies\0").chain_update(SESSION_SECRET).finalize();
        let mut jar = cookie::CookieJar::new();
        jar.private_mut(&cookie::Key::from(&key)).add(cookie::Cookie::new("bisect_session", hex::encode(token)));
        let cookie = jar.get("bisect_session").unwrap().encoded().to_string();
        let csrf = hex::encode(Sha256::new().chain_update(b"csrf\0").chain_update(token).finalize());
        Session { cookie, csrf }
    }

    async fn form(&self, session: &Session, path: &str, csrf: &str) -> Response {
        let request = self.http.post(format!("{}{path}", self.service.address)).header(COOKIE, &session.cookie);
        request.form(&[("csrf", csrf)]).send().await.unwrap()
    }

    async fn call(&self, session: &Session, path: &str, csrf: &str) -> (u16, serde_json::Value) {
        let request = self.http.post(format!("{}{path}", self.service.address)).header(COOKIE, &session.cookie);
        crate::support::answer(request.header("X-CSRF-Token", csrf)).await
    }
}

fn spec(site: &Site) -> serde_json::Value {
    let asked = site.hub.world.project.request(&["true"]);
    let spec = JobSpec { source: "x".into(), sandbox: SandboxKind::Docker, timeout: None, ..asked };
    serde_json::to_value(spec).unwrap()
}

#[tokio::test]
async fn who_may_write_cancels_and_retries_and_nobody_else() {
    let site = Site::new().await;
    let (ada, eve) = (site.session(1).await, site.session(2).await);
    site.sql(&format!(
        "UPDATE bisect_jobs SET spec = '{}', comment_id = NULL WHERE id = 1; \
         INSERT INTO bisect_jobs (id, installation_id, repository_id, good_sha, bad_sha, command, event_seq, available_at) \
           SELECT n, 500, 1, repeat('a', 40), repeat('b', 40), '{{true}}', 1, now() + interval '1 day' \
           FROM generate_series(20, 21) AS n",
        spec(&site)
    ))
    .await;
    // What the pages offer.
    let page = async |session: &Session, path: &str| {
        let response =
            site.get(path).header("Accept", "text/html").header(COOKIE, &session.cookie).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (_, text) = page(&ada, "/jobs/20").await;
    assert!(text.contains("action=\"/jobs/20/cancel\"") && text.contains(&ada.csrf), "{text}");
    assert!(text.contains("Sign out") && text.contains("ada"), "{text}");
    assert!(page(&ada, "/jobs/1").await.1.contains("action=\"/jobs/1/retry\""));
    assert!(!page(&ada, "/jobs/4").await.1.contains("/jobs/4/cancel"), "ada may not write there");
    assert!(page(&ada, "/dashboard").await.1.contains("7 of 50 bisections"), "her own account");
    assert_eq!(page(&eve, "/jobs/20").await.0, 404);
    let (status, text) = page(&eve, "/nothing/here").await;
    assert!(status == 404 && text.contains("Sign out") && !text.contains("Sign in with GitHub"), "{text}");
    assert!(!page(&eve, "/jobs/4").await.1.contains("/jobs/4/cancel"), "eve may read only");

    // Who may not, does not; who may not know, learns nothing.
    assert_eq!(site.form(&ada, "/jobs/20/cancel", "wrong").await.status(), 403);
    assert_eq!(site.form(&ada, "/jobs/20/cancel", &eve.csrf).await.status(), 403);
    assert_eq!(site.form(&eve, "/jobs/20/cancel", &eve.csrf).await.status(), 404);
    assert_eq!(site.form(&eve, "/jobs/4/cancel", &eve.csrf).await.status(), 403);
    assert_eq!(site.call(&eve, "/api/jobs/20/cancel", &eve.csrf).await.0, 404);
    assert_eq!(site.call(&ada, "/api/jobs/20/cancel", "").await.0, 403);
    let pending = "SELECT count(*) FROM bisect_jobs WHERE id IN (4, 20, 21) AND status = 'pending'";
    assert_eq!(site.hub.count(pending).await, 3);

    let denied =
        "SELECT count(*) FROM audit_events WHERE action = 'permission.denied' AND channel = 'web' AND job_id = $1";
    for (job, times) in [(20, 3), (4, 1)] {
        let sql = denied.replace("$1", &job.to_string());
        assert_eq!(
            site.hub.count(&sql).await,
            times,
            "what was refused is noted, and of what one may not know nothing is"
        );
    }

    let response = site.form(&ada, "/jobs/20/cancel", &ada.csrf).await;
    assert_eq!(
        (response.status().as_u16(), response.headers()["location"].to_str().unwrap()),
        (303, "/jobs/20?done=cancelled")
    );
    assert!(page(&ada, "/jobs/20?done=cancelled").await.1.contains("Bisection cancelled"));
    let (status, done) = site.call(&ada, "/api/jobs/21/cancel", &ada.csrf).await;
    assert_eq!((status, &done["changed"]), (200, &true.into()), "{done}");
    assert_eq!(site.call(&ada, "/api/jobs/21/cancel", &ada.csrf).await.1["changed"], false);
    assert_eq!(site.call(&ada, "/api/jobs/1/retry", &ada.csrf).await.0, 200);
    assert_eq!(site.hub.count("SELECT count(*) FROM bisect_jobs WHERE retry_of = 1 AND requested_by = 'ada'").await, 1);
    assert_eq!(
        site.hub.count("SELECT jobs::bigint FROM usage_stats WHERE installation_id = 500").await,
        8,
        "it counts"
    );
    let audited = "SELECT count(*) FROM audit_events WHERE actor = 'ada' AND actor_user_id = 1 AND channel = 'web' \
                   AND address IS NOT NULL AND action IN ('job.cancel', 'job.retry')";
    assert_eq!(site.hub.count(audited).await, 3);

    // A month that is used up is no operator's matter here.
    site.sql(
        "UPDATE usage_stats SET jobs = 50 WHERE installation_id = 500; DELETE FROM bisect_jobs WHERE retry_of = 1",
    )
    .await;
    let (status, problem) = site.call(&ada, "/api/jobs/1/retry", &ada.csrf).await;
    assert_eq!(status, 409, "{problem}");
    site.hub.stop(site.service).await;
}
