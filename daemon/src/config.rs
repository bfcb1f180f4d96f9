//! The configuration: defaults, then `Rocket.toml` (`[default.bisect]`), then `.env`, then the
//! environment; checked once, at start.
//!
//! Unknown keys of `Rocket.toml` are refused. `.env` is shared with other programs: there only a name
//! that looks like ours is. In the environment, where anything may stand, a name but a letter or two
//! from one of ours is warned of.
//!
//! One table, [`VARIABLES`], names every variable with its default and meaning: the checks, the
//! messages and `.env.example` are made from it. Secrets are never printed.

mod names;
mod observers;
mod place;
mod value;
mod variables;

pub use observers::{MailOn, MailSettings, Observers, TraceSettings};
pub use place::sockets_to_dial;
pub use value::ConfigError;
pub use variables::{VARIABLES, Variable, render_env_example, render_page};

use crate::{queue::Clocks, sandbox::Network};
use figment::{
    Figment,
    providers::{Format, Serialized, Toml},
};
use ipnet::IpNet;
use secrecy::{SecretSlice, SecretString};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};
use value::Values;

/// What the programs of the daemon run with. Every field is valid.
#[derive(Debug, Clone)]
pub struct Config {
    /// `DATABASE_URL`; without it the daemon runs its own private PostgreSQL in `data_dir`.
    pub database_url: Option<SecretString>,
    /// `DATABASE_DIRECT_URL`, else `database_url`: for migrations and LISTEN.
    pub database_direct_url: Option<SecretString>,
    /// `GITHUB_APP_ID`; without it nothing of GitHub is answered.
    pub github_app_id: Option<String>,
    /// `GITHUB_APP_SLUG`.
    pub github_app_slug: Option<String>,
    /// `GITHUB_PRIVATE_KEY_PATH`.
    pub github_private_key: Option<PathBuf>,
    /// `GITHUB_API_URL`.
    pub github_api_url: String,
    /// `GITHUB_URL`.
    pub github_url: String,
    /// `BASE_URL`, without a slash at its end.
    pub base_url: Option<String>,
    /// `GITHUB_WEBHOOK_SECRET`, or `new,old`.
    pub webhook_secret: Option<SecretString>,
    /// `GITHUB_CLIENT_ID`; without it nobody can sign in.
    pub github_client_id: Option<String>,
    /// `GITHUB_CLIENT_SECRET`.
    pub github_client_secret: Option<SecretString>,
    /// `SESSION_SECRET`, or `new,old`: one secret each.
    pub session_secrets: Vec<SecretString>,
    /// `ENCRYPTION_KEY`, or `new,old`: 32 bytes each.
    pub encryption_keys: Vec<SecretSlice<u8>>,
    /// `TRUSTED_PROXIES`: whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where mirrors, lanes and the private database live.
    pub data_dir: PathBuf,
    /// Where the console's socket is, or will be.
    pub admin_socket: PathBuf,
    /// The image of the checkout containers, and of the command where none is named.
    pub runner_image: String,
    /// How many jobs this process runs at once.
    pub max_concurrent_jobs: u32,
    /// How many probes this process runs at once, over all jobs.
    pub max_concurrent_probes: u32,
    /// The total time of a job that has no tier.
    pub job_timeout: Duration,
    /// What probes may reach where nobody says otherwise.
    pub network: Network,
    /// The registries that images are fetched from which jobs name.
    pub registries: Vec<String>,
    /// Docker's `--runtime`, for example `runsc`.
    pub runtime: Option<String>,
    /// The queue's clocks.
    pub clocks: Clocks,
    /// How long a job bears with a Docker that is away.
    pub patience: Duration,
    /// How long output, deliveries and events are kept.
    pub log_retention: Duration,
    /// What all mirrors may take together, in bytes.
    pub mirror_budget: u64,
    /// How long a stop may take before running jobs are handed over by force.
    pub shutdown_grace: Duration,
    /// Who else is told: `SENTRY_DSN`, `OTEL_EXPORTER_OTLP_…`, `SMTP_URL` and `MAIL_…`.
    pub observers: Observers,
}

impl Config {
    /// Reads and checks the configuration of this process. `env_file` is `--env-file`; without it
    /// `.env` of the working directory is read if it is there.
    ///
    /// # Errors
    /// Names the first variable that is unknown or wrong, what was expected, and an example.
    pub fn load(env_file: Option<&Path>) -> Result<Self, ConfigError> {
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let environment = environment.collect();
        warn_of_slips(&environment);
        Self::from_sources(Path::new("Rocket.toml"), &read_env_file(env_file)?, &environment)
    }

    /// The same from named sources, so that tests need not touch the process's environment.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_sources(
        rocket_toml: &Path,
        env_file: &BTreeMap<String, String>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let figment = Figment::new()
            .merge(Toml::file(rocket_toml).nested())
            .focus("bisect")
            .merge(Serialized::globals(known_only(env_file)))
            .merge(Serialized::globals(known_only(environment)));
        let values = Values::extract(&figment)?;
        Self::check(&values)
    }

    /// A service with an App needs all of it.
    ///
    /// # Errors
    /// Names the first variable that is missing, with an example.
    pub fn check_github(&self) -> Result<(), ConfigError> {
        let there = [
            ("GITHUB_APP_ID", self.github_app_id.is_some()),
            ("GITHUB_APP_SLUG", self.github_app_slug.is_some()),
            ("GITHUB_PRIVATE_KEY_PATH", self.github_private_key.is_some()),
            ("GITHUB_WEBHOOK_SECRET", self.webhook_secret.is_some()),
        ];
        let missing = there.iter().find(|(_, there)| !there).map(|(name, _)| *name);
        match missing {
            Some(name) if self.github_app_id.is_some() => Err(value::missing(name, "GITHUB_APP_ID is set")),
            _ => Ok(()),
        }
    }

    fn check(values: &Values) -> Result<Self, ConfigError> {
        let database_url = values.postgres_url("DATABASE_URL")?;
        let database_direct_url = values.postgres_url("DATABASE_DIRECT_URL")?.or_else(|| database_url.clone());
        let data_dir = absolute(values.text("DATA_DIR").map_or_else(place::default_data_dir, PathBuf::from));
        Ok(Self {
            database_url,
            database_direct_url,
            github_app_id: values.text("GITHUB_APP_ID"),
            github_app_slug: values.text("GITHUB_APP_SLUG"),
            github_private_key: values.text("GITHUB_PRIVATE_KEY_PATH").map(PathBuf::from),
            github_api_url: values.text("GITHUB_API_URL").unwrap_or_else(|| "https://api.github.com".to_owned()),
            github_url: values.text("GITHUB_URL").unwrap_or_else(|| "https://github.com".to_owned()),
            base_url: values.text("BASE_URL").map(|url| url.trim_end_matches('/').to_owned()),
            webhook_secret: values.text("GITHUB_WEBHOOK_SECRET").map(SecretString::from),
            github_client_id: values.text("GITHUB_CLIENT_ID"),
            github_client_secret: values.text("GITHUB_CLIENT_SECRET").map(SecretString::from),
            session_secrets: values.secrets("SESSION_SECRET")?,
            encryption_keys: values.keys("ENCRYPTION_KEY")?,
            trusted_proxies: values.networks("TRUSTED_PROXIES")?,
            admin_socket: values
                .text("ADMIN_SOCKET")
                .map_or_else(|| place::socket_to_serve(&data_dir), |path| absolute(path.into())),
            data_dir,
            runner_image: values.text_or_default("DOCKER_RUNNER_IMAGE"),
            max_concurrent_jobs: values.count("MAX_CONCURRENT_JOBS", 4)?,
            max_concurrent_probes: values.count("MAX_CONCURRENT_PROBES", processors())?,
            job_timeout: values.seconds("BISECT_TIMEOUT_SECONDS")?,
            network: values.network("RUNNER_NETWORK")?,
            registries: values.registries("RUNNER_REGISTRIES")?,
            runtime: values.text("RUNNER_RUNTIME"),
            clocks: Clocks {
                heartbeat: values.seconds("HEARTBEAT_SECONDS")?,
                recovery_interval: values.seconds("RECOVERY_INTERVAL_SECONDS")?,
                stale_after: values.seconds("STALE_AFTER_SECONDS")?,
                pending_grace: values.seconds("PENDING_GRACE_SECONDS")?,
                max_attempts: values.count("MAX_ATTEMPTS", 3)?,
            },
            patience: values.seconds("SANDBOX_PATIENCE_SECONDS")?,
            log_retention: Duration::from_hours(24 * u64::from(values.count("LOG_RETENTION_DAYS", 30)?)),
            mirror_budget: u64::from(values.count("MIRROR_BUDGET_GB", 20)?) * 1_000_000_000,
            shutdown_grace: values.seconds("SHUTDOWN_GRACE_SECONDS")?,
            observers: Observers::read(values)?,
        })
    }
}

/// The variables of ours in a set of variables: lower-case, empty ones left out, aliases resolved.
fn known_only(variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    VARIABLES
        .iter()
        .filter_map(|variable| {
            let names = std::iter::once(variable.name).chain(variable.alias);
            let value = names.filter_map(|name| variables.get(name)).find(|value| !value.is_empty())?;
            Some((variable.name.to_lowercase(), value.clone()))
        })
        .collect()
}

fn read_env_file(named: Option<&Path>) -> Result<BTreeMap<String, String>, ConfigError> {
    let path = named.unwrap_or(Path::new(".env"));
    if named.is_none() && !path.exists() {
        return Ok(BTreeMap::new());
    }
    let wrong = |error: dotenvy::Error| ConfigError::EnvFile {
        path: path.to_owned(),
        // dotenvy quotes the line that it cannot parse, and a line of this file may hold a secret.
        reason: match error {
            dotenvy::Error::LineParse(_, column) => format!("a line cannot be parsed (at column {column})"),
            other => other.to_string(),
        },
    };
    let variables: BTreeMap<_, _> =
        dotenvy::from_path_iter(path).map_err(wrong)?.map(|item| item.map_err(wrong)).collect::<Result<_, _>>()?;
    match variables.keys().find(|name| names::looks_like_ours(name)) {
        Some(name) => Err(ConfigError::UnknownVariable {
            path: path.to_owned(),
            name: name.clone(),
            hint: value::hint(names::nearest(name).map(str::to_owned)),
        }),
        None => Ok(variables),
    }
}

/// Says which variables of the environment are nearly ours, and so have no effect. No refusal: they
/// may well be another program's.
fn warn_of_slips(environment: &BTreeMap<String, String>) {
    for name in environment.keys() {
        if let Some(known) = names::misspelled(name) {
            tracing::warn!(variable.name = %name, variable.meant = %known, "a variable of the environment has no effect; was another one meant?");
        }
    }
}

/// Git, Docker and PostgreSQL stand in folders of their own when they read a path below it.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn load(toml: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("Rocket.toml");
        std::fs::write(&file, toml).unwrap();
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Config::from_sources(&file, &BTreeMap::new(), &env)
    }

    #[test]
    fn without_any_source_the_defaults_of_the_table_hold() {
        let config = load("", &[]).unwrap();
        assert_eq!(config.clocks.heartbeat, Duration::from_mins(1));
        assert_eq!(config.clocks.stale_after, Duration::from_mins(5));
        assert_eq!(config.job_timeout, Duration::from_mins(30));
        assert_eq!(config.runner_image, "bisect-runner:latest");
        assert_eq!(config.network, Network::Egress);
    }

    #[test]
    fn a_relative_data_dir_is_below_the_working_directory() {
        let config = load("", &[("DATA_DIR", "data")]).unwrap();
        assert_eq!(config.data_dir, std::env::current_dir().unwrap().join("data"));
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        let toml = "[default.bisect]\nheartbeat_seconds = 0.25\nmax_attempts = 9\n";
        let config = load(toml, &[("MAX_ATTEMPTS", "2")]).unwrap();
        assert_eq!(config.clocks.heartbeat, Duration::from_millis(250));
        assert_eq!(config.clocks.max_attempts, 2);
    }

    #[test]
    fn an_app_needs_all_of_its_variables() {
        let some = load("", &[("GITHUB_APP_ID", "1"), ("GITHUB_APP_SLUG", "bot")]).unwrap();
        let message = some.check_github().unwrap_err().to_string();
        assert!(message.contains("GITHUB_PRIVATE_KEY_PATH") && message.contains("for example"), "{message}");
        assert!(load("", &[]).unwrap().check_github().is_ok(), "no App at all");
    }

    #[test]
    fn proxies_are_addresses_or_ranges() {
        let proxies = load("", &[("TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1")]).unwrap().trusted_proxies;
        assert_eq!(proxies.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "127.0.0.1/32"]);
        assert!(load("", &[("TRUSTED_PROXIES", "nginx")]).unwrap_err().to_string().contains("TRUSTED_PROXIES"));
    }

    #[test]
    fn secrets_of_cookies_and_keys_of_tokens_are_checked_and_never_shown() {
        let (hex, base64) = ("0f".repeat(32), "Dw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8=");
        let config = load("", &[("ENCRYPTION_KEY", &format!("{hex}, {base64}")), ("SECRET_KEY", &hex)]).unwrap();
        let keys: Vec<&[u8]> = config.encryption_keys.iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(keys, [[15; 32], [15; 32]]);
        assert_eq!(config.session_secrets[0].expose_secret(), hex);
        for (name, value) in [("ENCRYPTION_KEY", &hex[2..]), ("ENCRYPTION_KEY", "zz"), ("SESSION_SECRET", "short-one")]
        {
            let message = load("", &[(name, value)]).unwrap_err().to_string();
            assert!(message.contains(name) && !message.contains(value), "{message}");
        }
    }

    #[test]
    fn a_wrong_value_names_the_variable_and_gives_an_example() {
        let message = load("", &[("HEARTBEAT_SECONDS", "soon")]).unwrap_err().to_string();
        assert!(message.contains("HEARTBEAT_SECONDS") && message.contains("soon"), "{message}");
        assert!(message.contains("for example"), "{message}");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_nearest_name() {
        let message = load("[default.bisect]\nheartbeat_second = 1\n", &[]).unwrap_err().to_string();
        assert!(message.contains("heartbeat_second") && message.contains("heartbeat_seconds"), "{message}");
    }

    #[test]
    fn a_secret_that_looks_like_a_number_stays_a_text_and_is_never_shown() {
        let config = load("", &[("DATABASE_URL", "postgres://u:123secret@h/db")]).unwrap();
        assert!(!format!("{config:?}").contains("123secret"));
        let error = load("", &[("DATABASE_URL", "mysql://u:123secret@h/db")]).unwrap_err();
        assert!(!error.to_string().contains("123secret"), "{error}");
    }

    #[test]
    fn the_sample_file_is_the_one_that_the_table_makes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.env.example");
        let made = render_env_example();
        if std::env::var_os("BISECT_UPDATE").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap();
        assert_eq!(kept, made, "write it anew: BISECT_UPDATE=1 cargo test -p bisectd sample_file");
    }
}
