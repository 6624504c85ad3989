//! What a hub cannot do without. Each of it goes on for as long as the hub runs: where one ends, or panics, the hub ends and says which, and whoever started it
//! starts it again, whole.

use hashbrown::HashMap;
use tokio::task::{Id, JoinSet};

use super::HubError;

/// Tasks that go on for ever, by name.
#[derive(Debug, Default)]
pub(super) struct Vital {
    tasks: JoinSet<HubError>,
    names: HashMap<Id, &'static str>,
}

impl Vital {
    /// Runs a task on this thread.
    pub(super) fn run(&mut self, name: &'static str, task: impl Future<Output = ()> + 'static) {
        self.run_fallible(name, async {
            task.await;
            Ok(())
        });
    }

    /// As [`Self::run`]; the task may say why it has ended.
    pub(super) fn run_fallible(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), HubError>> + 'static,
    ) {
        let running = self.tasks.spawn_local(async move { task.await.err().unwrap_or(HubError::Ended(name)) });
        self.names.insert(running.id(), name);
    }

    /// Waits until one has ended; why.
    pub(super) async fn ended(&mut self) -> HubError {
        match self.tasks.join_next().await {
            None => std::future::pending().await,
            Some(Ok(error)) => error,
            Some(Err(error)) => HubError::Panicked(self.names.get(&error.id()).copied().unwrap_or("a task")),
        }
    }

    /// Ends all.
    pub(super) async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_or_panics_is_named() {
        let test = async {
            let mut vital = Vital::default();
            vital.run("waiting", std::future::pending());
            vital.run("counting", async {});
            assert_eq!(vital.ended().await.to_string(), "counting has ended");
            vital.run("dividing", async { assert_eq!(1 + 1, 3, "a test") });
            assert_eq!(vital.ended().await.to_string(), "dividing has panicked");
            vital.run_fallible("reading", async { Err(HubError::NotJoined) });
            assert!(matches!(vital.ended().await, HubError::NotJoined));
        };
        LocalSet::new().run_until(test).await;
    }
}
