//! The units are sound, and as closed as they can be.

use super::{output, read, repository};
use std::{path::Path, process::Command};

/// The services, and the most that systemd may find exposed of each, in tenths.
const SERVICES: [(&str, &str); 5] = [
    ("bisectd", "20"),
    ("bisectd-migrate", "20"),
    ("bisectd-backup", "20"),
    ("bisectd-prune", "20"),
    // It sets up a firewall, as root.
    ("bisectd-egress", "30"),
];

/// Copies the units to a folder, with the programs that they start where they are now.
fn laid_out(folder: &Path) -> Vec<String> {
    let programs = env!("CARGO_BIN_EXE_bisectd");
    let mut units = Vec::new();
    for entry in std::fs::read_dir(repository("systemd")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".service") || name.ends_with(".timer") {
            let text = read(&format!("systemd/{name}"))
                .replace("/usr/lib/bisect-bot/egress-rules.sh", repository("docker/egress-rules.sh").to_str().unwrap())
                .replace("/usr/lib/bisect-bot/", &format!("{}/", repository("systemd").display()))
                .replace("/usr/bin/bisectd", programs);
            std::fs::write(folder.join(&name), text).unwrap();
            units.push(folder.join(name).to_str().unwrap().to_owned());
        }
    }
    // Docker's own is not there where dockerd runs without systemd.
    std::fs::write(folder.join("docker.service"), "[Service]\nExecStart=/bin/true\n").unwrap();
    units
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let units = laid_out(folder.path());
    assert_eq!(units.len(), SERVICES.len() + 2, "{units:?}");
    let said =
        output(Command::new("systemd-analyze").args(["verify", "--man=no", "--recursive-errors=no"]).args(&units));
    assert_eq!(said, "", "systemd-analyze verify warns");
}

#[test]
fn the_units_are_closed() {
    for (service, most) in SERVICES {
        let unit = repository(&format!("systemd/{service}.service"));
        let threshold = format!("--threshold={most}");
        let mut analyze = Command::new("systemd-analyze");
        let said = output(analyze.args(["security", "--offline=true", "--no-pager", &threshold]).arg(unit));
        assert!(said.contains("Overall exposure level"), "{said}");
    }
}

#[test]
fn a_stop_may_take_longer_than_jobs_are_given() {
    let unit = read("systemd/bisectd.service");
    let stop: u64 = value(&unit, "TimeoutStopSec").parse().unwrap();
    let grace = bisectd::config::VARIABLES.iter().find(|it| it.name == "SHUTDOWN_GRACE_SECONDS").unwrap();
    assert!(stop >= grace.default.parse::<u64>().unwrap() + 20, "TimeoutStopSec={stop}");
    assert_eq!((value(&unit, "Type"), value(&unit, "Restart")), ("notify", "always"));
}

#[test]
fn the_user_and_its_groups_are_made() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("etc")).unwrap();
    let root = format!("--root={}", folder.path().display());
    output(Command::new("systemd-sysusers").arg(&root).arg(repository("systemd/bisectd.sysusers")));
    let etc = |name: &str| std::fs::read_to_string(folder.path().join("etc").join(name)).unwrap();
    assert!(etc("passwd").lines().any(|line| line.starts_with("bisectd:")), "{}", etc("passwd"));
    assert!(
        etc("group").lines().any(|line| line.starts_with("docker:") && line.ends_with(":bisectd")),
        "{}",
        etc("group")
    );
    output(Command::new("systemd-tmpfiles").args(["--create", &root]).arg(repository("systemd/bisectd.tmpfiles")));
    assert!(folder.path().join("opt/bisect-bot/backups").is_dir());
}

fn value<'a>(unit: &'a str, name: &str) -> &'a str {
    unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap()
}
