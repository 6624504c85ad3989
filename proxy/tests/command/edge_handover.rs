//! What goes on while a process of an edge takes over from another one, and one of the two dies.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::datagrams::Client;
use super::edge_restart::Site;
use super::gateway::{Gateway, eventually, folder};
use super::gateway_yaml;
use super::restart::has_taken_over;
use super::restart::load::Stream;

/// A client of a UDP service that asks all the time.
struct Flow {
    over: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Flow {
    fn start(client: Client, letter: u8) -> Self {
        let (over, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (ends, counts) = (over.clone(), answers.clone());
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                if let Some(answered) = client.letter() {
                    assert_eq!(answered, letter);
                    counts.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { over, answers, thread }
    }

    /// Waits until there were more answers: some datagrams may be lost, and only those.
    fn goes_on(&self) {
        let before = self.answers.load(Ordering::Relaxed);
        eventually("answers", || self.answers.load(Ordering::Relaxed) >= before + 20);
    }

    fn finish(self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

#[test]
fn flows_of_datagrams_go_on_when_a_process_takes_over() {
    let site = Site::new();
    let mut old = site.start(2);
    site.answers(&old, &site.clients());
    let flows = site.clients().map(|(client, letter)| Flow::start(client, letter));
    flows.iter().for_each(Flow::goes_on);
    for workers in [1, 2] {
        let new = site.restart(&old, workers);
        new.eventually("it has taken over", || has_taken_over(&new));
        flows.iter().for_each(Flow::goes_on);
        assert!(old.wait().success(), "{}", old.log());
        flows.iter().for_each(Flow::goes_on);
        old = new;
    }
    flows.into_iter().for_each(Flow::finish);
}

/// A copy of the folder with a port that somebody else has: whoever serves it is not ready, and does not take over.
fn lacking(site: &Site) -> (tempfile::TempDir, TcpListener) {
    let (other, taken) = (folder(&[]), TcpListener::bind("127.0.0.1:0").unwrap());
    for entry in std::fs::read_dir(site.config.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), other.path().join(entry.file_name())).unwrap();
    }
    let gateway = gateway_yaml(taken.local_addr().unwrap().port()).replace("name: web,", "name: taken,");
    std::fs::write(other.path().join("taken.yaml"), gateway).unwrap();
    (other, taken)
}

/// The connections of a process that has died end, and everything else goes on.
fn survives(site: &Site, new: &Gateway, clients: &[(Client, u8)], streams: Vec<Stream>) {
    streams.into_iter().for_each(Stream::closes);
    site.answers(new, clients);
    new.eventually("it answers for the edge", || site.links() > 0);
}

#[test]
fn an_old_process_that_dies_before_it_has_handed_over_is_replaced_at_once() {
    let site = Site::new();
    let (mut old, clients) = (site.start(2), site.clients());
    site.answers(&old, &clients);
    let (folder, _taken) = lacking(&site);
    let new = site.restart_with(&old, 2, folder.path());
    new.eventually("it waits", || new.log().contains("taking over"));
    let streams = [site.incoming, site.outgoing].map(Stream::web_socket);
    old.signal("KILL");
    old.wait();
    let complaint = format!("process {} ended before this one was ready; serving without it", old.pid());
    new.eventually("a line", || new.log().contains(&complaint));
    survives(&site, &new, &clients, streams.into());
}

#[test]
fn an_old_process_that_dies_while_it_drains_takes_nothing_else_with_it() {
    let site = Site::new();
    let (mut old, clients) = (site.start(2), site.clients());
    site.answers(&old, &clients);
    let mut streams = [site.incoming, site.outgoing].map(Stream::web_socket);
    let begun = Instant::now();
    let new = site.restart(&old, 2);
    new.eventually("it has taken over", || has_taken_over(&new));
    assert!(streams.iter_mut().all(|stream| stream.lives(begun)), "{}", old.log());
    old.signal("KILL");
    old.wait();
    new.eventually("a line", || {
        new.log().contains(&format!("process {}, from which this one took over, has ended", old.pid()))
    });
    survives(&site, &new, &clients, streams.into());
}

#[test]
fn a_new_process_that_dies_when_it_has_taken_over_leaves_the_edge_to_the_next_one() {
    let site = Site::new();
    let (mut old, clients) = (site.start(2), site.clients());
    site.answers(&old, &clients);
    let mut streams = [site.incoming, site.outgoing].map(Stream::web_socket);
    let begun = Instant::now();
    let mut new = site.restart(&old, 2);
    new.eventually("it has taken over", || has_taken_over(&new));
    let of_new = [site.incoming, site.outgoing].map(Stream::web_socket);
    new.signal("KILL");
    new.wait();
    assert!(streams.iter_mut().all(|stream| stream.lives(begun)), "{}", old.log());
    let third = site.restart(&new, 2);
    survives(&site, &third, &clients, of_new.into());
    assert!(old.wait().success(), "{}", old.log());
    survives(&site, &third, &clients, streams.into());
}
