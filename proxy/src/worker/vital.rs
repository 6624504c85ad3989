//! What the process cannot do without: a worker's timers, its writing, its accepting; configuration. Without one of them it would seem to
//! live and serve nobody, or what nobody configured any more.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

/// Status of the process after a panic in what it cannot do without (`EX_SOFTWARE` of `sysexits.h`).
const SOFTWARE_ERROR: i32 = 70;

/// Runs `task`, which may end. A panic in it ends the process: whoever started it starts it again, whole.
pub(crate) async fn vital(what: &str, task: impl Future<Output = ()>) {
    let mut task = pin!(task);
    poll_fn(|context| {
        // What a panic leaves half-changed is never seen.
        let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(context)));
        polled.unwrap_or_else(|_| end_process(what, "it panicked"))
    })
    .await;
}

/// Runs `task`, which must go on until it is aborted: that it ends, ends the process, as a panic does.
pub(crate) async fn endless(what: &str, task: impl Future<Output = ()>) {
    vital(what, task).await;
    end_process(what, "it has ended")
}

/// Ends the process because a thread has lost `what`.
pub(super) fn end_process(what: &str, reason: &str) -> ! {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    tracing::error!(thread = name, "cannot go on without its {what}: {reason}; the process ends");
    std::process::exit(SOFTWARE_ERROR)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Says to a copy of the tests that it is to lose something.
    const ENDS: &str = "SELVEDGE_TEST_TASK_ENDS";

    #[tokio::test]
    async fn the_end_of_what_must_not_end_is_that_of_the_process() {
        if std::env::var_os(ENDS).is_some() {
            vital("task that may end", async {}).await;
            eprintln!("goes on");
            return endless("task that may not", async {}).await;
        }
        let this = "worker::vital::tests::the_end_of_what_must_not_end_is_that_of_the_process";
        let mut copy = Command::new(std::env::current_exe().unwrap());
        let ended = copy.args([this, "--exact", "--nocapture"]).env(ENDS, "1").output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(70), "{said}");
        assert!(said.contains("goes on"), "{said}");
    }
}
