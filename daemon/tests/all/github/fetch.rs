//! Git fetches a private repository with a token that nobody sees, into a mirror that survives a rename.

use super::scripted::{Scripted, unscripted};
use crate::support::{Project, TestDb, database, git_in};
use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bisect_shared::InstanceId;
use bisectd::{
    db::jobs::JobRow,
    queue::{Clocks, NewJob, Origin, Queue},
    runner::{
        credentials::{Credentials, GithubCredentials, NoCredentials},
        mirror::Mirrors,
        spec::JobSpec,
    },
};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio::sync::Semaphore;

const TOKEN: &str = "ghs_t0psecret1";

/// Git over plain HTTP, file by file, for whoever has the token.
#[derive(Clone)]
struct PrivateGit {
    folder: PathBuf,
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
    /// Answers to the token's owner wait for this.
    gate: Arc<Semaphore>,
}

async fn serve(State(git): State<PrivateGit>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let given = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    git.seen.lock().unwrap().push(path.clone());
    let right = format!("Basic {}", BASE64_STANDARD.encode(format!("x-access-token:{TOKEN}")));
    if given != Some(right) {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"GitHub\"")]).into_response();
    }
    let _open = git.gate.acquire().await.unwrap();
    let file = path.split_once(".git/").map(|(_, file)| file).unwrap_or_default();
    std::fs::read(git.folder.join(file))
        .map_or_else(|_| StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)
}

impl PrivateGit {
    async fn serve(project: &Project, open: bool) -> Self {
        project.git(&["update-server-info"]);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let git = Self {
            folder: project.path().join(project.git(&["rev-parse", "--git-dir"]).trim()),
            url: format!("http://{}", listener.local_addr().unwrap()),
            seen: Arc::default(),
            gate: Arc::new(Semaphore::new(if open { 100 } else { 0 })),
        };
        let app = Router::new().fallback(serve).with_state(git.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        git
    }
}

struct Room {
    world: TestDb,
    project: Project,
    git: PrivateGit,
    github: Scripted,
    data: tempfile::TempDir,
    job: JobRow,
    spec: JobSpec,
}

impl Room {
    async fn new(open: bool) -> Self {
        let world = database().await;
        sqlx::query(
            "WITH installation AS (INSERT INTO installations (installation_id, account_type, account_login, account_id, tier) \
             VALUES (7, 'User', 'octo', 1, 'free') RETURNING installation_id) \
             INSERT INTO repositories (id, github_id, installation_id, owner, name, full_name, private) \
             SELECT 3, 42, installation_id, 'octo', 'calc', 'octo/calc', true FROM installation",
        )
        .execute(&mut world.raw().await)
        .await
        .unwrap();
        let project = Project::linear(3);
        let git = PrivateGit::serve(&project, open).await;
        let spec = spec(&project, &format!("{}/octo/calc.git", git.url));
        let queue = Queue::new(world.db.clone(), InstanceId("a".into()), Clocks::default(), String::new());
        let id = queue.enqueue(&new_job(&spec)).await.unwrap().job;
        let mut tx = world.db.begin().await.unwrap();
        let job = bisectd::db::jobs::find(&mut tx, id).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        let github = Scripted::start(|_| unscripted()).await;
        Self { world, project, git, github, data: tempfile::tempdir().unwrap(), job, spec }
    }

    fn credentials(&self) -> GithubCredentials {
        GithubCredentials::new(self.world.db.clone(), self.github.client(), &self.git.url).unwrap()
    }
}

fn spec(project: &Project, source: &str) -> JobSpec {
    JobSpec { source: source.into(), bad: project.sha("c2"), ..project.request(&["false"]) }
}

fn new_job(spec: &JobSpec) -> NewJob {
    spec.to_job(
        Origin::GitHub { installation: 7, repository: 3, user: None, issue: Some(1), comment: None },
        None,
        None,
    )
}

/// What the machine shows of every process of git below this one: arguments and environment.
fn shown_of_git() -> Vec<String> {
    let text = |path: PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).replace('\0', " ");
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let shown = processes.map(|process| (text(process.join("cmdline")), text(process.join("environ"))));
    shown.filter(|(line, _)| line.contains("git")).map(|(line, environment)| format!("{line}\n{environment}")).collect()
}

fn holds_token(folder: &Path) -> bool {
    let found = std::process::Command::new("grep").args(["-rqa", "t0psecret"]).arg(folder).status().unwrap();
    found.success()
}

#[tokio::test]
async fn a_private_repository_is_fetched_with_a_token_that_no_process_shows() {
    let room = Room::new(false).await;
    let credentials = room.credentials();
    let mirrors = Mirrors::open(room.data.path()).unwrap();
    let mirror = mirrors.of_job(&room.job, &room.spec, &credentials).await.unwrap();
    let pinned = room.spec.pinned();
    let pin = mirror.pin(&room.job, &pinned, false, &credentials);
    let watch = async {
        // The second call came with the token: git is in the middle of its fetch.
        crate::support::eventually("git to come with its token", async || {
            (room.git.seen.lock().unwrap().len() >= 2).then_some(())
        })
        .await;
        let shown = shown_of_git();
        room.git.gate.add_permits(100);
        shown
    };
    let (pinned_now, shown) = tokio::join!(pin, watch);
    pinned_now.unwrap();
    assert!(shown.iter().any(|text| text.contains("remote-http") && text.contains(&room.git.url)), "{shown:#?}");
    assert!(shown.iter().any(|text| text.contains("/proc/")), "the helper's path may be seen");
    assert!(shown.iter().all(|text| !text.contains("t0psecret")), "{shown:#?}");
    assert!(!holds_token(room.data.path()), "in the mirror");
    let asked = room.git.seen.lock().unwrap().len();
    mirror.pin(&room.job, &pinned, false, &credentials).await.unwrap();
    assert_eq!(room.git.seen.lock().unwrap().len(), asked, "what is there is not fetched again");
    // Without a token it is refused: the tags that are there will do.
    mirror.pin(&room.job, &pinned, true, &NoCredentials).await.unwrap();
    assert!(room.git.seen.lock().unwrap().len() > asked, "the newest tags were asked for");
}

#[tokio::test]
async fn a_mirror_survives_a_rename_and_goes_when_it_is_told_to() {
    let room = Room::new(true).await;
    let credentials = room.credentials();
    let mirrors = Mirrors::open(room.data.path()).unwrap();
    let mirror = mirrors.of_job(&room.job, &room.spec, &credentials).await.unwrap();
    mirror.pin(&room.job, &room.spec.pinned(), false, &credentials).await.unwrap();
    let rename = "UPDATE repositories SET name = 'sums', full_name = 'octo/sums'";
    sqlx::query(rename).execute(&mut room.world.raw().await).await.unwrap();
    let renamed = mirrors.of_job(&room.job, &room.spec, &credentials).await.unwrap();
    assert_eq!(mirror.path(), renamed.path());
    let hosted = credentials.repository(&room.job).await.unwrap().unwrap();
    assert!(hosted.address.ends_with("/octo/sums.git"), "{hosted:?}");
    assert_eq!(mirrors.hosted(&room.git.url).unwrap(), [42]);
    assert_eq!(mirrors.hosted("https://elsewhere").unwrap(), [0_i64; 0]);
    assert!(mirrors.remove(&credentials.mirror_name(42)).await.unwrap());
    assert!(!mirrors.remove(&credentials.mirror_name(42)).await.unwrap(), "gone already");
    assert!(!mirror.path().exists() && mirrors.hosted(&room.git.url).unwrap().is_empty());
    sqlx::query("DELETE FROM repositories").execute(&mut room.world.raw().await).await.unwrap();
    let error = mirrors.of_job(&room.job, &room.spec, &credentials).await.unwrap_err().to_string();
    assert!(error.contains("removed from the installation"), "{error}");
    assert!(mirrors.of_job(&room.job, &room.spec, &NoCredentials).await.is_err(), "not by its address either");
}

#[tokio::test]
async fn the_token_is_for_github_and_for_no_other_host() {
    let room = Room::new(true).await;
    let token = bisectd::git::Token::new(&TOKEN.into()).unwrap();
    let elsewhere = PrivateGit::serve(&room.project, true).await;
    let target = tempfile::tempdir().unwrap();
    assert!(git_in(target.path(), &["init", "--bare", "--quiet", "."]).status().unwrap().success());
    let git = bisectd::git::Git::fetcher(room.data.path()).unwrap();
    for (host, fetched) in [(&room.git.url, true), (&elsewhere.url, false)] {
        let source = format!("{host}/octo/calc.git");
        let refspecs = ["+refs/tags/*:refs/tags/*".to_owned()];
        // What `fetch_command` would do for the right host, with the address of the other.
        let allowed = format!("{}/octo/calc.git", room.git.url);
        let settings = git.fetch_command(target.path(), &allowed, &refspecs, false, Some(&token));
        let mut command = tokio::process::Command::new("git");
        let args = settings.as_std().get_args().map(|arg| if arg == allowed.as_str() { source.as_ref() } else { arg });
        command.args(args).env_clear().envs(settings.as_std().get_envs().filter_map(|(k, v)| Some((k, v?))));
        assert_eq!(command.output().await.unwrap().status.success(), fetched, "{host}");
    }
}
