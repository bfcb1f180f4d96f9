//! What `docker/test-tools.sh` fetched.

use std::path::PathBuf;

/// A file of the test tools; a test fails without it.
pub fn test_tool(path: &str) -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    let tools = folder("BISECT_TEST_TOOLS").or_else(|| Some(cache()?.join("bisect-bot/test-tools")));
    let file = tools.expect("HOME is set").join(path);
    assert!(file.exists(), "{} is missing: docker/setup.sh --tests fetches it", file.display());
    file
}
