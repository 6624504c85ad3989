use std::time::Duration;

use overlay::catalogue::OfferedService;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::writer::SELDOM;
use super::*;

/// An edge whose file is written by a task.
struct Site {
    folder: tempfile::TempDir,
    memory: Memory,
    file: MemoryFile,
    config: Arc<EdgeConfig>,
    writer: JoinHandle<()>,
}

impl Site {
    fn new(config: &str) -> Self {
        Self::of(tempfile::tempdir().unwrap(), config)
    }

    fn of(folder: tempfile::TempDir, config: &str) -> Self {
        let (memory, writer, file) = Memory::open(folder.path(), "here");
        let config = Arc::new(EdgeConfig::parse(config).unwrap());
        Self { folder, memory, file, config, writer: tokio::spawn(writer.run()) }
    }

    fn hears(&mut self, edges: &KnownEdges) -> KnownEdges {
        self.memory.with(edges, &self.config)
    }

    fn written(&self) -> KnownEdges {
        read(&KnownFile::new(self.folder.path(), FILE)).unwrap().into()
    }

    /// After a death without a word.
    fn again(self, config: &str) -> Self {
        self.writer.abort();
        Self::of(self.folder, config)
    }
}

const ALL: &str = "import: [{hosts: ['*']}]";

fn service(host: &str) -> OfferedService {
    serde_json::from_value(serde_json::json!({"host": host, "namespace": "shop", "ports": []})).unwrap()
}

fn edge(name: &str, sequence: u64) -> (String, Arc<Announcement>) {
    let services = vec![service("ratings.global")];
    (name.to_owned(), Arc::new(Announcement { sequence, services, ..Announcement::default() }))
}

#[tokio::test(start_paused = true)]
async fn edges_of_before_are_known_until_it_is_clear_that_they_are_gone() {
    let both: KnownEdges = [edge("b", 1), edge("c", 1)].into();
    let mut before = Site::new(ALL);
    assert_eq!(before.hears(&both), both);
    before.file.write_now().await;

    let mut again = before.again(ALL);
    assert_eq!(again.hears(&KnownEdges::default()), both);
    let newer: KnownEdges = [edge("c", 2)].into();
    assert_eq!(*again.hears(&newer), [edge("c", 2), edge("b", 1)]);
    again.memory.fades().await;
    assert_eq!(again.hears(&newer), newer);
}

#[tokio::test]
async fn a_damaged_file_is_as_none() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), "[[1").unwrap();
    let mut site = Site::of(folder, ALL);
    assert_eq!(*site.hears(&KnownEdges::default()), []);
    let aside = std::fs::read_to_string(site.folder.path().join("known-edges.refused"));
    assert_eq!((aside.unwrap(), site.folder.path().join(FILE).exists()), ("[[1".to_owned(), false));
}

/// Changes every second for so long; how often the file became another one.
async fn written_while_it_changes(site: &mut Site, sequences: std::ops::Range<u64>) -> usize {
    let (mut times, mut before) = (0, site.written());
    for sequence in sequences {
        site.hears(&[edge("b", sequence)].into());
        sleep(Duration::from_secs(1)).await;
        let now = site.written();
        times += usize::from(now != before);
        before = now;
    }
    times
}

#[tokio::test(start_paused = true)]
async fn a_change_is_written_within_a_second_and_many_are_written_once_in_a_minute() {
    let mut site = Site::new(ALL);
    // Not of others, so that it does not put off the first that matters.
    site.hears(&[edge("here", 1)].into());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(*site.written(), []);
    assert_eq!(written_while_it_changes(&mut site, 1..2).await, 1);
    assert_eq!(written_while_it_changes(&mut site, 2..302).await, 5);
    sleep(SELDOM).await;
    assert_eq!(*site.written(), [edge("b", 301)]);
    sleep(SELDOM).await;
    assert_eq!(written_while_it_changes(&mut site, 302..303).await, 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_state_is_written_before_another_process_reads_it_and_never_after() {
    let mut site = Site::new(ALL);
    site.file.write_now().await;
    assert!(!site.folder.path().join(FILE).exists(), "nothing is known yet");
    for sequence in 1..3 {
        site.hears(&[edge("b", sequence)].into());
        site.file.write_now().await;
        assert_eq!(*site.written(), [edge("b", sequence)]);
    }
    site.hears(&[edge("b", 3)].into());
    site.memory.leave();
    site.file.write_now().await;
    sleep(2 * SELDOM).await;
    assert_eq!(*site.written(), [edge("b", 2)]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_tried_again() {
    let mut site = Site::new(ALL);
    let (folder, aside) = (site.folder.path().to_owned(), tempfile::tempdir().unwrap());
    std::fs::rename(&folder, aside.path().join("away")).unwrap();
    site.hears(&[edge("b", 1)].into());
    site.file.write_now().await;
    std::fs::rename(aside.path().join("away"), &folder).unwrap();
    sleep(SELDOM + Duration::from_secs(1)).await;
    assert_eq!(*site.written(), [edge("b", 1)]);
}

#[tokio::test(start_paused = true)]
async fn only_what_somebody_takes_is_written_and_where_edges_are_dialled() {
    let datagrams = "datagrams: [{host: dns.global, port: 53, listen: '127.0.0.1:5353', edges: [c]}]";
    let mut site = Site::new(&format!("import: [{{hosts: ['*.shop.global']}}]\n{datagrams}"));
    let edge = |name: &str, hosts: &[&str], addresses: &[&str]| {
        let services = hosts.iter().map(|host| service(host)).collect();
        let addresses = addresses.iter().map(|&address| address.to_owned()).collect();
        (name.to_owned(), Arc::new(Announcement { epoch: 3, services, addresses, ..Announcement::default() }))
    };
    let heard = [
        edge("b", &["ratings.shop.global", "ledger.bank.global", "dns.global"], &[]),
        edge("c", &["dns.global", "ledger.bank.global"], &[]),
        edge("d", &["ledger.bank.global"], &["d.test:15443"]),
        edge("e", &["ledger.bank.global"], &[]),
        edge("here", &["ratings.shop.global"], &[]),
    ];
    assert_eq!(site.hears(&heard.clone().into())[..], heard);
    site.file.write_now().await;
    let needed =
        [edge("b", &["ratings.shop.global"], &[]), edge("c", &["dns.global"], &[]), edge("d", &[], &["d.test:15443"])];
    assert_eq!(*site.written(), needed);
}
