//! What announcements that nobody takes, that never end, or of many edges together cost a hub.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use overlay::catalogue::OfferedService;
use overlay::identity::Current;
use overlay::link::Link;
use overlay::node::{Limits, Peer};
use overlay_wire::catalogue;
use overlay_wire::varint;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, timeout};

use crate::announcements::{begin, message, sign, sign_services};
use crate::catalogue::{Member, service};
use crate::kit::{Signer, edge, hub};
use crate::player::{linked, play};

const LONG: Duration = Duration::from_secs(600);

/// An announcement of about 200 KB.
fn long(identity: &Current, sequence: u64) -> Vec<u8> {
    let label = |at: usize| (format!("{at:02}"), "v".repeat(250));
    let services: Vec<_> = (0..12)
        .map(|at| OfferedService { labels: (0..60).map(label).collect(), ..service(&format!("s{at}.global")) })
        .collect();
    message(&sign_services(identity, sequence, services))
}

/// Takes what is told over a link.
fn take_all(link: &Link) {
    let link = link.clone();
    spawn_local(async move {
        while let Some(mut told) = link.accept().await {
            spawn_local(async move { tokio::io::copy(&mut told, &mut tokio::io::sink()).await });
        }
    });
}

/// Waits until a hub knows of a change of an edge.
async fn knows_change(h: &Member, edge: &str, sequence: u64) {
    let known = async {
        while h.sequence_of(edge) != sequence {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(LONG, known).await.is_ok(), "change {sequence} of {edge} is not known");
}

#[tokio::test(start_paused = true)]
async fn what_is_replaced_is_not_kept_without_bound_for_those_who_do_not_take_it() {
    let test = async {
        let signer = Signer::new();
        let room = catalogue::Limits {
            announced_per_tenant: 1 << 20,
            under_way_per_tenant: 1 << 19,
            ..catalogue::Limits::default()
        };
        let h = Member::limited(&signer, &hub("h"), Limits { catalogue: room, ..Limits::default() });
        let [a, b] = ["a", "b"].map(|name| Member::new(&signer, &edge(name), 1));
        let _wires = (a.wire(&h), b.wire(&h));
        let identity = signer.identity(&edge("m"));
        let link = play(&h.node, edge("m"));
        linked(&h.node, 3).await;
        let mut stream = begin(&link).await;
        let mut stuck = Vec::new();
        let begun = Instant::now();
        for sequence in 1..=8 {
            stream.write_all(&long(&identity, sequence)).await.unwrap();
            knows_change(&h, "m", sequence).await;
            // It takes nothing of what it is told.
            stuck.push(play(&h.node, edge("z")));
            linked(&h.node, 3 + stuck.len()).await;
            sleep(Duration::from_secs(1)).await;
        }
        // So much is under way that the next change waits.
        let next = long(&identity, 9);
        let writing = spawn_local(async move {
            stream.write_all(&next).await.unwrap();
            stream.write_all(&long(&identity, 10)).await.unwrap();
            stream
        });
        sleep(Duration::from_secs(5)).await;
        let delayed = h.sequence_of("m");
        assert!(delayed < 10 && begun.elapsed() < Duration::from_secs(30), "change {delayed} is known");
        // What others say is short.
        a.offers(&["a.global"]);
        let asked = Instant::now();
        while b.sequence_of("a") != 1 {
            sleep(Duration::from_millis(10)).await;
        }
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        // Who takes nothing is let go of.
        knows_change(&h, "m", 10).await;
        let _stream = writing.await.unwrap();
        sleep(Duration::from_secs(60)).await;
        linked(&h.node, 3).await;
        let counters = h.node.counters();
        assert_eq!((counters.announcements_not_taken.get(), counters.tenant_delayed.get() > 0), (8, true));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_never_end_are_few_and_given_up() {
    const LINKS: usize = 8;
    let test = async {
        let signer = Signer::new();
        let h = Member::new(&signer, &hub("h"), 1);
        let read = Rc::new(Cell::new(0));
        let mut ended = Vec::new();
        for at in 0..LINKS {
            let link = play(&h.node, edge("z"));
            linked(&h.node, at + 1).await;
            take_all(&link);
            let mut stream = begin(&link).await;
            let mut unfinished = Vec::new();
            varint::put(&mut unfinished, 1);
            varint::put(&mut unfinished, 1 << 20);
            unfinished.resize(1 << 20, 7);
            let read = read.clone();
            ended.push(spawn_local(async move {
                let taken = stream.write_all(&unfinished).await;
                read.set(read.get() + usize::from(taken.is_ok()));
                assert!(stream.read_u8().await.is_err());
                link
            }));
        }
        sleep(Duration::from_secs(20)).await;
        assert_eq!(read.get(), 2, "messages are being read");
        // Another one is heard meanwhile.
        let identity = signer.identity(&edge("m"));
        let link = play(&h.node, edge("m"));
        let mut stream = begin(&link).await;
        stream.write_all(&long(&identity, 1)).await.unwrap();
        timeout(Duration::from_secs(1), knows_change(&h, "m", 1)).await.unwrap();
        for one in ended {
            timeout(LONG, one).await.unwrap().unwrap();
        }
        assert_eq!(h.node.counters().announcements_refused.get(), LINKS as u64);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn many_edges_of_a_tenant_load_a_hub_so_much_and_others_are_heard() {
    const EDGES: u64 = 30;
    const EACH: u64 = 200;
    /// Of a tenant, at once and in each second.
    const RATE: [u64; 2] = [2_000, 100];
    let test = async {
        let signer = Signer::new();
        let h = Member::new(&signer, &hub("h"), 1);
        let other = |name: &str| Peer::Edge { name: name.into(), tenant: "other".into() };
        let [a, b, x, y] = [edge("a"), edge("b"), other("x"), other("y")].map(|peer| Member::new(&signer, &peer, 1));
        let _wires = (a.wire(&h), b.wire(&h), x.wire(&h), y.wire(&h));
        a.offers(&["a.global"]);
        x.offers(&["x.global"]);
        b.knows(&[("a", &["a.global"])]).await;
        y.knows(&[("x", &["x.global"])]).await;
        sleep(Duration::from_secs(30)).await;
        let hostile: Vec<_> = (0..EDGES).map(|number| format!("m{number}")).collect();
        let begun = Instant::now();
        for name in &hostile {
            let identity = signer.identity(&edge(name));
            let messages: Vec<u8> = (1..=EACH).flat_map(|sequence| message(&sign(&identity, sequence))).collect();
            let link = play(&h.node, edge(name));
            spawn_local(async move {
                take_all(&link);
                let mut stream = begin(&link).await;
                stream.write_all(&messages).await.unwrap();
                link.ended().await;
            });
        }
        let read = || hostile.iter().map(|name| h.sequence_of(name)).sum::<u64>();
        let counters = h.node.counters();
        let delayed = async {
            while counters.tenant_delayed.get() < EDGES || read() < RATE[0] {
                sleep(Duration::from_millis(100)).await;
            }
        };
        assert!(timeout(LONG, delayed).await.is_ok(), "nobody waits");
        let asked = Instant::now();
        a.offers(&["a.global", "more.global"]);
        while b.sequence_of("a") != 2 {
            sleep(Duration::from_millis(10)).await;
        }
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        let asked = Instant::now();
        x.offers(&["x.global", "more.global"]);
        y.knows(&[("x", &["x.global", "more.global"])]).await;
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        sleep(Duration::from_secs(5)).await;
        let most = RATE[0] + RATE[1] * (begun.elapsed().as_secs() + 1);
        assert!((RATE[0]..=most).contains(&read()), "{} were read in {:?}", read(), begun.elapsed());
        assert_eq!(counters.announcements_refused.get(), 0);
    };
    LocalSet::new().run_until(test).await;
}
