//! The playground's sample has the regression where it says, as plain git finds it.

use github_lookalike::sample;
use std::process::Command;

#[test]
fn git_bisect_finds_the_planted_commit() {
    let folder = tempfile::tempdir().unwrap();
    let culprit = sample::make(folder.path()).unwrap();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        // Versions of one second: a remembered compilation would be taken for the next one's.
        command.current_dir(folder.path()).env("PYTHONDONTWRITEBYTECODE", "1").args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    git(&["bisect", "start", "main", "v1.0"]);
    let said = git(&["bisect", "run", "python3", "tests/test_price.py"]);
    assert!(said.contains(&format!("{culprit} is the first bad commit")), "{said}");
}
