//! What peers may cause in the log.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use overlay::folder::Folder;
use overlay::link::code;
use overlay::transport;
use overlay_wire::hello::Hello;
use tokio::task::LocalSet;
use tokio::time::{Instant, timeout};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::kit::edge;
use crate::site::{LONG, Site, eventually, join_folder};

/// The lines of a thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Log {
    fn with(&self, text: &str) -> Vec<String> {
        self.0.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
    }
}

#[tokio::test]
async fn an_edge_that_closes_links_again_and_again_writes_few_lines_and_nobody_elses() {
    const LINKS: u64 = 30;
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let test = async {
        let site = Site::found().await;
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path().join("state")).unwrap();
        join_folder(&folder, &site.token(edge("m")).await).await;
        let identity = folder.identity(folder.trust().unwrap()).unwrap();
        let begun = Instant::now();
        for _ in 0..LINKS {
            let hello = Hello { shard: 0 }.to_bytes();
            let dialled = transport::dial(&identity, site.hub.address(), None, hello, |_| true).await;
            let (_, link, driver) = dialled.unwrap();
            link.close(code::DONE, &"\n2026 ERROR it was somebody else".repeat(8));
            driver.run().await;
        }
        eventually("a line", async || !log.with("the link has ended").is_empty()).await;
        let (lines, seconds) = (log.with("the link has ended"), begun.elapsed().as_secs());
        assert!(lines.len() as u64 <= seconds + 1, "{} in {seconds} s", lines.len());
        for line in lines {
            assert!(!line.contains('\n') && line.contains("somebody else") && line.chars().count() < 300, "{line}");
        }
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}
