//! `.env` and the key file, as the set-up leaves them: nobody else may read them, and what stood there stays.

use super::super::Refusal;
use crate::github::MadeApp;
use rand::random;
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// What is about to be written.
pub(super) struct Files {
    folder: PathBuf,
    /// What `.env` holds now.
    before: String,
}

/// Where it was written.
pub(super) struct Written {
    pub(super) env: String,
    pub(super) key: String,
}

impl Files {
    /// Looks at the folder before an App is made, so that none is made in vain.
    pub(super) fn check(folder: &Path, replace: bool) -> Result<Self, Refusal> {
        let folder = std::path::absolute(folder).map_err(Refusal::usage)?;
        let unwritable =
            |error: io::Error| Refusal::usage(format!("{}: {error}; choose another with --folder", folder.display()));
        fs::create_dir_all(&folder).map_err(unwritable)?;
        let before = match fs::read_to_string(folder.join(".env")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(unwritable(error)),
        };
        let taken = set_in(&before).contains_key("GITHUB_APP_ID") || folder.join("secrets/private-key.pem").exists();
        if taken && !replace {
            return Err(Refusal::usage(format!(
                "{} has an App already; give --replace to make another one and forget that",
                folder.display()
            )));
        }
        let probe = folder.join(format!(".setup-{}", std::process::id()));
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(unwritable)?;
        Ok(Self { folder, before })
    }

    /// Writes both. What `.env` said of other things stays; keys that were there are kept, for they open what is stored.
    pub(super) fn write(&self, app: &MadeApp, base_url: &str) -> Result<Written, Refusal> {
        let secrets = self.folder.join("secrets");
        let (key, env) = (secrets.join("private-key.pem"), self.folder.join(".env"));
        // The App is made: its secrets are told once, and must not be lost to a full disk.
        let lost = |path: &Path, error: io::Error| {
            Refusal::infrastructure(format!(
                "{}: {error}; the App {} is made: delete it at {} and begin anew",
                path.display(),
                app.slug,
                app.html_url
            ))
        };
        if !secrets.is_dir() {
            fs::DirBuilder::new().mode(0o700).create(&secrets).map_err(|error| lost(&secrets, error))?;
        }
        write_secret(&key, app.pem.expose_secret()).map_err(|error| lost(&key, error))?;
        let before = set_in(&self.before);
        let fresh = |name: &str| before.get(name).cloned().unwrap_or_else(|| hex::encode(random::<[u8; 32]>()));
        let webhook = app.webhook_secret.as_ref().map(SecretString::expose_secret).unwrap_or_default();
        let values = [
            ("GITHUB_APP_ID", app.id.to_string()),
            ("GITHUB_APP_SLUG", app.slug.clone()),
            ("GITHUB_PRIVATE_KEY_PATH", key.display().to_string()),
            ("GITHUB_WEBHOOK_SECRET", webhook.to_owned()),
            ("GITHUB_CLIENT_ID", app.client_id.clone()),
            ("GITHUB_CLIENT_SECRET", app.client_secret.expose_secret().to_owned()),
            ("BASE_URL", base_url.to_owned()),
            ("SESSION_SECRET", fresh("SESSION_SECRET")),
            ("ENCRYPTION_KEY", fresh("ENCRYPTION_KEY")),
        ];
        write_secret(&env, &merged(&self.before, &values)).map_err(|error| lost(&env, error))?;
        Ok(Written { env: env.display().to_string(), key: key.display().to_string() })
    }
}

/// The variables that a `.env` sets.
fn set_in(text: &str) -> BTreeMap<String, String> {
    dotenvy::from_read_iter(text.as_bytes()).flatten().filter(|(_, value)| !value.is_empty()).collect()
}

/// The text with these values: in the place of earlier ones, else at its end.
fn merged(before: &str, values: &[(&str, String)]) -> String {
    let names = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line);
        values.iter().any(|(name, _)| line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('=')))
    };
    let mut text: String = before.lines().filter(|line| !names(line)).flat_map(|line| [line, "\n"]).collect();
    if !text.is_empty() && !text.ends_with("\n\n") {
        text.push('\n');
    }
    text.push_str("# Written by `bisectd setup`.\n");
    for (name, value) in values {
        // In single quotes nothing means anything, to bisectd, to systemd and to a shell.
        text.push_str(&format!("{name}='{value}'\n"));
    }
    text
}

/// Written aside, then moved into place: whoever reads meets the old file or the new one.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let aside = PathBuf::from(name);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let written =
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&aside, path));
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stood_in_the_file_stays_and_what_is_new_takes_the_place_of_the_old() {
        let before = "# mine\nDATABASE_URL=postgres://a\nexport GITHUB_APP_ID=1\nGITHUB_APP_IDENTITY=x";
        let after = merged(before, &[("GITHUB_APP_ID", "7".into())]);
        assert_eq!(
            after,
            "# mine\nDATABASE_URL=postgres://a\nGITHUB_APP_IDENTITY=x\n\n# Written by `bisectd setup`.\nGITHUB_APP_ID='7'\n"
        );
        assert_eq!(set_in(&after)["GITHUB_APP_ID"], "7");
    }
}
