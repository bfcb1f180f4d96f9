//! Images that differ from one that is there in a line of their configuration.

use std::process::Command;

/// A tag of its own; it goes with this value.
pub struct TestImage {
    pub name: String,
}

impl TestImage {
    /// `base` with `change` (`ENV X=y`, `VOLUME /data`), named after the process and `part`.
    pub fn new(part: &str, base: &str, change: &str) -> Self {
        let image = Self { name: format!("bisect-test-{part}:{}", std::process::id()) };
        image.becomes(base, change);
        image
    }

    /// The tag moves to another image.
    pub fn becomes(&self, base: &str, change: &str) {
        let script = "id=$(docker create \"$1\" true) && docker commit -c \"$2\" \"$id\" \"$3\" && docker rm \"$id\"";
        run(&["sh", "-c", script, "sh", base, change, &self.name]);
    }

    /// Removes an image that no tag means any more.
    pub fn remove(id: &str) {
        run(&["docker", "image", "rm", "-f", id]);
    }

    /// What the tag means now.
    pub fn id(&self) -> String {
        run(&["docker", "image", "inspect", "-f", "{{.Id}}", &self.name]).trim().to_owned()
    }
}

impl Drop for TestImage {
    fn drop(&mut self) {
        drop(Command::new("docker").args(["image", "rm", "-f", &self.name]).output());
    }
}

fn run(command: &[&str]) -> String {
    let ran = Command::new(command[0]).args(&command[1..]).output().unwrap();
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}
