//! A new root takes the place of the old one.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use overlay::control::{Question, Reply};
use overlay::enroll::{join, renew};
use overlay::node::Node;
use overlay::transport;
use overlay_wire::call::{Call, Outcome, Transport};
use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::sleep;

use crate::kit::{edge, hub};
use crate::site::{JoinedEdge, Site, eventually};

fn call() -> Call {
    Call { host: "ratings.shop.global".into(), port: 9080, caller: String::new(), transport: Transport::Bytes }
}

/// Answers calls with what they say.
fn echo(mut calls: mpsc::Receiver<overlay::tunnel::Incoming>) {
    spawn_local(async move {
        while let Some(incoming) = calls.recv().await {
            spawn_local(async move {
                let (mut reader, mut writer) = split(incoming.answer(Outcome::Connected, "").await.unwrap());
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
}

fn renewing(edge: JoinedEdge) -> JoinedEdge {
    spawn_local(renew::keep(edge.folder.clone(), edge.identity.clone()));
    edge
}

fn links_total(node: &Rc<Node>) -> u64 {
    node.counters().links_total.get()
}

fn roots(edge: &JoinedEdge) -> Vec<CertificateDer<'static>> {
    edge.identity.borrow().trust().roots()
}

/// Handshakes of an edge with a hub that it is not linked to, whatever certificates both have by then. The task ends when one fails.
fn dial_all_the_time(edge: &JoinedEdge, site: &Site) -> (JoinHandle<()>, Rc<Cell<u32>>) {
    let (identity, hello, address) = (edge.identity.subscribe(), edge.node.hello(), site.hub.address());
    let dialled = Rc::new(Cell::new(0));
    let counted = dialled.clone();
    let task = spawn_local(async move {
        loop {
            let current = identity.borrow().clone();
            drop(transport::dial(&current, address, None, hello.clone(), |_| true).await.unwrap());
            counted.set(counted.get() + 1);
            sleep(Duration::from_millis(100)).await;
        }
    });
    (task, dialled)
}

#[tokio::test]
async fn a_new_root_takes_over_and_no_link_is_lost_and_no_call_fails() {
    let test = async {
        let site = Site::found_with(|options| options.certificate_lifetime = Some(Duration::from_secs(6))).await;
        let other = site.join("h2").await;
        let near = renewing(JoinedEdge::new(&site.token(edge("a")).await, site.hub.address()).await);
        let mut far = renewing(JoinedEdge::new(&site.token(edge("b")).await, other.hub.address()).await);
        echo(far.calls.take().unwrap());
        eventually("all is known everywhere", async || near.knows() == ["a", "b"] && far.knows() == ["a", "b"]).await;
        let old = roots(&near);
        // A token of before is good until the new root signs.
        let early = site.token(edge("early")).await;

        let (calls, failed) = (Rc::new(Cell::new(0_u32)), Rc::new(Cell::new(0_u32)));
        let (tunnels, counted) = (near.tunnels.clone(), (calls.clone(), failed.clone()));
        let calling = spawn_local(async move {
            loop {
                let called = async {
                    let mut stream = tunnels.connect("b", 0, &call()).await.map_err(std::io::Error::other)?;
                    stream.write_all(b"x").await?;
                    stream.read_u8().await
                };
                match called.await {
                    Ok(b'x') => counted.0.set(counted.0.get() + 1),
                    wrong => {
                        eprintln!("a call: {wrong:?}");
                        counted.1.set(counted.1.get() + 1);
                    }
                }
                sleep(Duration::from_millis(10)).await;
            }
        });
        let mut long = near.tunnels.connect("b", 0, &call()).await.unwrap();

        let dialling = [dial_all_the_time(&near, &other), dial_all_the_time(&far, &site)];
        assert!(matches!(site.hub.answer(Question::Rotate).await, Reply::Rotating(_)));
        let Reply::Refused(again) = site.hub.answer(Question::Rotate).await else { panic!("it begins twice") };
        assert!(again.contains("a new root takes the place of the old one already"), "{again}");
        eventually("both are believed", async || roots(&near).len() == 2 && roots(&far).len() == 2).await;
        assert!(site.status().await.rotation.unwrap().signs_in_seconds > 0);
        join(&early, &KeyPair::generate().unwrap().serialize_pem()).await.unwrap();
        let middle = site.token(edge("c")).await;
        assert_eq!(middle.pins.len(), 2);

        let new = roots(&near).pop().unwrap();
        eventually("the old one is gone", async || {
            roots(&near) == [new.clone()] && roots(&far) == [new.clone()] && site.status().await.rotation.is_none()
        })
        .await;
        assert!(old != [new.clone()]);
        let seen = calls.get();
        eventually("more calls", async || calls.get() > seen + 20).await;
        calling.abort();
        long.write_all(b"y").await.unwrap();
        assert_eq!(long.read_u8().await.unwrap(), b'y');
        eprintln!("{} calls, {} failed", calls.get(), failed.get());
        assert_eq!(failed.get(), 0);
        for (task, dialled) in dialling {
            assert!(!task.is_finished() && dialled.get() > 50, "dialled {} times", dialled.get());
            task.abort();
        }
        assert_eq!((links_total(&near.node), links_total(&far.node)), (1, 1));
        assert!(site.is_linked(&hub("h2")).await && other.is_linked(&edge("b")).await);

        // Who comes now needs the new one alone, with a token of any time since it was believed.
        for token in [middle, site.token(edge("d")).await] {
            let joined = JoinedEdge::new(&token, site.hub.address()).await;
            assert_eq!(roots(&joined), std::slice::from_ref(&new));
            eventually("the link", async || joined.node.links().len() == 1).await;
        }
        // And so do hubs that start again.
        let (site, other) = (site.start_again().await, other.start_again().await);
        eventually("the links", async || {
            site.is_linked(&edge("a")).await && other.is_linked(&edge("b")).await && site.is_linked(&hub("h2")).await
        })
        .await;
    };
    LocalSet::new().run_until(test).await;
}
