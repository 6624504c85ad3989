//! Measuring the memory of one test.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::wait::eventually;

/// Set in a process that runs one test alone.
const ALONE: &str = "SELVEDGE_TEST_ALONE";

/// Runs a test, by its path, in a process of its own, so that the memory measured is its own; `true` in that process.
pub(crate) fn is_alone(test: &str) -> bool {
    is_alone_with(test, &[])
}

/// The same, and what is freed in blocks of more than a few kilobytes goes back to the system at once, so that it is seen.
pub(crate) fn is_alone_and_frees_at_once(test: &str) -> bool {
    is_alone_with(test, &[("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=8192")])
}

fn is_alone_with(test: &str, environment: &[(&str, &str)]) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(ALONE, "1").envs(environment.iter().copied());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    false
}

/// Resident memory of this process, bytes.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Waits until a number does not change any more.
pub(crate) async fn settles(number: &AtomicU64) -> u64 {
    let (mut last, mut unchanged) = (0, 0);
    eventually("it settles", async || {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = number.load(Ordering::Relaxed);
        unchanged = if now == last { unchanged + 1 } else { 0 };
        last = now;
        unchanged == 20
    })
    .await;
    last
}
