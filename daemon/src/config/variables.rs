//! Every variable that the daemon reads: name, default, meaning.

use std::fmt::Write;

/// One variable of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name in the environment; in `Rocket.toml` the same in lower case.
    pub name: &'static str,
    /// Another name that is read where this one is unset.
    pub alias: Option<&'static str>,
    /// What holds when it is unset; empty for nothing, or for a value found at start.
    pub default: &'static str,
    /// A value that works, for messages and the sample file.
    pub example: &'static str,
    /// What it is for.
    pub meaning: &'static str,
}

const fn variable(name: &'static str, default: &'static str, example: &'static str, meaning: &'static str) -> Variable {
    Variable { name, alias: None, default, example, meaning }
}

/// The whole table, in the order of the sample file.
pub const VARIABLES: &[Variable] = &[
    variable(
        "DATABASE_URL",
        "",
        "postgres://bisect:password@localhost:5432/bisect",
        "PostgreSQL; may be a transaction-mode pooler. Unset: a private PostgreSQL in DATA_DIR, for one machine only",
    ),
    variable(
        "DATABASE_DIRECT_URL",
        "",
        "postgres://bisect:password@localhost:5432/bisect",
        "the same database without a transaction pooler, for LISTEN and migrations (default: DATABASE_URL)",
    ),
    variable("GITHUB_APP_ID", "", "123456", "the GitHub App's id"),
    variable("GITHUB_APP_SLUG", "", "bisect-bot", "the App's name in addresses, github.com/apps/<slug>"),
    variable("GITHUB_PRIVATE_KEY_PATH", "", "/opt/bisect-bot/secrets/private-key.pem", "the App's private key"),
    variable("GITHUB_WEBHOOK_SECRET", "", "openssl-rand-hex-32", "signs the webhooks; `new,old` during a rotation"),
    variable("GITHUB_CLIENT_ID", "", "Iv1.abc123def456ghi7", "sign-in in the browser; off when unset"),
    variable("GITHUB_CLIENT_SECRET", "", "shown-once-by-github", "goes with GITHUB_CLIENT_ID"),
    variable(
        "GITHUB_API_URL",
        "https://api.github.com",
        "https://github.example.com/api/v3",
        "the REST API, also of GitHub Enterprise",
    ),
    variable("GITHUB_URL", "https://github.com", "https://github.example.com", "GitHub's own address"),
    variable(
        "BASE_URL",
        "",
        "https://bisect.example.com",
        "the public address of this service; without it comments have no link to their job",
    ),
    Variable {
        name: "SESSION_SECRET",
        alias: Some("SECRET_KEY"),
        default: "",
        example: "openssl-rand-hex-32",
        meaning: "signs the cookies; `new,old` during a rotation (also read as SECRET_KEY)",
    },
    variable(
        "ENCRYPTION_KEY",
        "",
        "openssl-rand-hex-32",
        "encrypts stored tokens, 32 bytes in hex or base64; `new,old` during a rotation; without it none is stored",
    ),
    variable(
        "DOCKER_RUNNER_IMAGE",
        "bisect-runner:latest",
        "bisect-runner:latest",
        "the image commands run in where none is named, and of every checkout",
    ),
    variable("MAX_CONCURRENT_JOBS", "4", "8", "jobs that one process runs at once"),
    variable(
        "MAX_CONCURRENT_PROBES",
        "",
        "4",
        "probes that one process runs at once (default: the number of processors)",
    ),
    variable("BISECT_TIMEOUT_SECONDS", "1800", "3600", "the total time of a job without a tier"),
    variable(
        "RUNNER_NETWORK",
        "egress",
        "none",
        "what commands may reach: `egress` (the public internet only) or `none`",
    ),
    variable(
        "RUNNER_EGRESS_BLOCK",
        "",
        "10.0.0.0/8,192.168.0.0/16",
        "ranges that `egress` never reaches, in place of the built-in list of private ones; read by docker/egress-rules.sh",
    ),
    variable(
        "RUNNER_EGRESS_ALLOW",
        "",
        "10.1.2.3/32",
        "exceptions from the blocked ranges; read by docker/egress-rules.sh",
    ),
    variable(
        "RUNNER_EGRESS_DNS",
        "",
        "10.1.0.53",
        "name servers that tests may ask on port 53 (default: those of this machine's resolv.conf); read by docker/egress-rules.sh",
    ),
    variable(
        "RUNNER_REGISTRIES",
        "docker.io,ghcr.io,quay.io,public.ecr.aws,mcr.microsoft.com,gcr.io,registry.gitlab.com",
        "docker.io,registry.example.com:5000",
        "where images may be fetched from that jobs name and this machine lacks, as everybody may fetch them; `none` for nowhere",
    ),
    variable("RUNNER_RUNTIME", "", "runsc", "Docker's --runtime for the commands' containers"),
    variable(
        "DATA_DIR",
        "",
        "/var/lib/bisect-bot",
        "mirrors, lanes, private database (default: /var/lib/bisect-bot, or the user's data folder)",
    ),
    variable(
        "ADMIN_SOCKET",
        "",
        "/run/bisectd/admin.sock",
        "the console's socket (default: /run/bisectd/admin.sock where that folder can be written, else admin.sock in DATA_DIR)",
    ),
    variable(
        "HEARTBEAT_SECONDS",
        "60",
        "60",
        "how often a worker renews its lease; fractions allowed, as in every clock",
    ),
    variable("RECOVERY_INTERVAL_SECONDS", "30", "30", "how often orphaned jobs are looked for"),
    variable("STALE_AFTER_SECONDS", "300", "300", "a running job without a heartbeat for so long is taken over"),
    variable("PENDING_GRACE_SECONDS", "30", "30", "a pending job older than this is picked up by any instance"),
    variable("MAX_ATTEMPTS", "3", "3", "how many workers may crash on a job before it fails"),
    variable("SANDBOX_PATIENCE_SECONDS", "60", "60", "how long a job waits for a Docker that is away before it fails"),
    variable("SHUTDOWN_GRACE_SECONDS", "20", "20", "how long a stop may take"),
    variable(
        "LOG_RETENTION_DAYS",
        "30",
        "30",
        "how long output of probes, worked off deliveries and events of ended jobs are kept, by `bisectd prune`",
    ),
    variable(
        "MIRROR_BUDGET_GB",
        "20",
        "50",
        "what the mirrors of one machine may take together before `bisectd prune` removes those not used for longest",
    ),
    variable("TRUSTED_PROXIES", "", "127.0.0.1/32", "proxies whose X-Forwarded-For is believed"),
    variable(
        "SENTRY_DSN",
        "",
        "https://key@sentry.example.com/1",
        "where errors, panics and jobs that failed for want of infrastructure are reported, as Sentry does it",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "http://localhost:4318",
        "where a trace of each job is sent, from its webhook to its reply: OTLP over HTTP, to `/v1/traces` below it",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "",
        "authorization=Bearer%20token",
        "headers of those requests, `name=value,name=value`, values percent-encoded",
    ),
    variable(
        "SMTP_URL",
        "",
        "smtps://user:password@mail.example.com",
        "e-mail to the operators: `smtps://`, or `smtp://host:587?tls=required` for STARTTLS; percent-encode what is special",
    ),
    variable("MAIL_TO", "", "ada@example.com,ops@example.com", "who gets it; must be set with SMTP_URL"),
    variable("MAIL_FROM", "", "bisect-bot@example.com", "whose it is (default: the first of MAIL_TO)"),
    variable(
        "MAIL_ON",
        "failures",
        "results",
        "`failures`: jobs that failed for want of infrastructure; `results`: those, and every result",
    ),
];

/// The text of `.env.example`.
#[must_use]
pub fn render_env_example() -> String {
    let mut text = String::from(
        "# Every variable that bisectd reads, made from daemon/src/config/variables.rs.\n\
         # Copy to `.env` and uncomment what you set; the environment goes before this file.\n\
         # Names of other programs may stand there too; one that looks like a name from here and is none is refused.\n",
    );
    for variable in VARIABLES {
        let shown = if variable.default.is_empty() { variable.example } else { variable.default };
        let _ = write!(text, "\n# {}\n#{}={shown}\n", variable.meaning, variable.name);
    }
    text
}

/// The text of `docs/configuration.md`.
#[must_use]
pub fn render_page() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         Made from [daemon/src/config/variables.rs](../daemon/src/config/variables.rs); \
         `BISECT_UPDATE=1 cargo test -p bisectd --test all configuration` writes it anew.\n\n\
         Defaults, then `Rocket.toml` (`[default.bisect]`, names in lower case), then `.env` in the working folder (or \
         `--env-file`), then the environment: what comes later goes before. A value that is wrong, and a name that looks \
         like one of these and is none, is refused at start. `bisectd doctor` says whether what is set works. Address and \
         port are Rocket's own: `ROCKET_ADDRESS` (127.0.0.1) and `ROCKET_PORT` (8000).\n\n\
         | variable | default | meaning |\n|---|---|---|\n",
    );
    for Variable { name, default, example, meaning, .. } in VARIABLES {
        let default =
            if default.is_empty() { format!("unset; for example `{example}`") } else { format!("`{default}`") };
        let _ = writeln!(text, "| `{name}` | {default} | {} |", meaning.replace('|', "\\|"));
    }
    text
}
