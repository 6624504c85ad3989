//! What the process cannot do without: a worker's timers, its writing, its accepting; configuration. Without one of them it would seem to
//! live and serve nobody, or what nobody configured any more.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

/// Status of the process after a panic in what it cannot do without (`EX_SOFTWARE` of `sysexits.h`).
const SOFTWARE_ERROR: i32 = 70;

/// Runs `task`. A panic in it ends the process: whoever started it starts it again, whole.
pub(crate) async fn vital(what: &str, task: impl Future<Output = ()>) {
    let mut task = pin!(task);
    poll_fn(|context| {
        // What a panic leaves half-changed is never seen.
        let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(context)));
        polled.unwrap_or_else(|_| end_process(what, "it panicked"))
    })
    .await;
}

/// Ends the process because a thread has lost `what`.
pub(super) fn end_process(what: &str, reason: &str) -> ! {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    tracing::error!(thread = name, "cannot go on without its {what}: {reason}; the process ends");
    std::process::exit(SOFTWARE_ERROR)
}
