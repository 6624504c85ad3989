//! Announcements that were not taken for a while, because a clock was wrong or there was no room, are known again although nothing in them changes.

use std::time::Duration;

use overlay::identity::Current;
use overlay::node::Limits;
use overlay_wire::catalogue;
use tokio::io::AsyncWriteExt as _;
use tokio::task::LocalSet;
use tokio::time::sleep;

use crate::announcements::{begin, message, message_of, sign};
use crate::catalogue::Member;
use crate::kit::{Signer, edge, hub};
use crate::player::{everything_is_done, play};
use crate::told_again::refusal;

/// That what an edge has announced is so still.
fn confirmation(identity: &Current, sequence: u64, beat: u64) -> Vec<u8> {
    let payload = format!(r#"{{"epoch":1,"sequence":{sequence},"beat":{beat}}}"#).into_bytes();
    let signature = identity.borrow().sign("selvedge confirmation 1", &payload).unwrap();
    message_of(2, &(payload, signature))
}

#[tokio::test(start_paused = true)]
async fn what_was_not_confirmed_for_a_while_is_known_again_when_it_is() {
    let test = async {
        let signer = Signer::new();
        let b = Member::new(&signer, &edge("b"), 1);
        let identity = signer.identity(&edge("m"));
        let link = play(&b.node, hub("h"));
        let mut stream = begin(&link).await;
        stream.write_all(&message(&sign(&identity, 1))).await.unwrap();
        for beat in [1, 2] {
            b.knows(&[("m", &["m.global"])]).await;
            sleep(Duration::from_secs(78)).await;
            b.knows(&[]).await;
            stream.write_all(&confirmation(&identity, 1, beat)).await.unwrap();
        }
        b.knows(&[("m", &["m.global"])]).await;
        // What was heard before proves nothing.
        sleep(Duration::from_secs(78)).await;
        stream.write_all(&confirmation(&identity, 1, 2)).await.unwrap();
        everything_is_done().await;
        b.knows(&[]).await;
        assert!(link.end().is_none());

        // It was forgotten: all is to be told again, but not all the time.
        sleep(Duration::from_secs(700)).await;
        stream.write_all(&confirmation(&identity, 1, 3)).await.unwrap();
        let reason = refusal(link.ended().await);
        assert!(reason.starts_with("what m announces is not known here"), "{reason}");
        let link = play(&b.node, hub("h"));
        let mut stream = begin(&link).await;
        stream.write_all(&confirmation(&identity, 1, 4)).await.unwrap();
        everything_is_done().await;
        assert!(link.end().is_none());
        stream.write_all(&message(&sign(&identity, 1))).await.unwrap();
        b.knows(&[("m", &["m.global"])]).await;
    };
    LocalSet::new().run_until(test).await;
}

/// Three services have room in a tenant. An edge that has two of them adds one, which itself knows or not that there is no room for.
async fn keeps_what_it_has(own: Limits) {
    let signer = Signer::new();
    let catalogue = catalogue::Limits { services_per_tenant: 3, ..catalogue::Limits::default() };
    let full = || Limits { catalogue, ..Limits::default() };
    let knows_it_itself = own.catalogue == catalogue;
    let a = Member::limited(&signer, &edge("a"), own);
    let [b, greedy] = ["b", "greedy"].map(|name| Member::limited(&signer, &edge(name), full()));
    let h = Member::limited(&signer, &hub("h"), full());
    let _wires = (a.wire(&h), b.wire(&h), greedy.wire(&h));
    greedy.offers(&["greedy.global"]);
    a.offers(&["one.global", "two.global"]);
    let before: [(&str, &[&str]); 2] = [("a", &["one.global", "two.global"]), ("greedy", &["greedy.global"])];
    b.knows(&before).await;
    a.knows(&before).await;
    a.offers(&["one.global", "two.global", "three.global"]);
    sleep(Duration::from_secs(200)).await;
    b.knows(&before).await;
    h.knows(&before).await;
    assert_eq!(h.node.links().len(), 3);

    greedy.offers(&[]);
    let mut again = None;
    if !knows_it_itself {
        // It is asked to tell all again over another link.
        while h.node.links().iter().any(|(peer, _)| *peer == edge("a")) {
            sleep(Duration::from_secs(1)).await;
        }
        again = Some(a.wire(&h));
    }
    b.knows(&[("a", &["one.global", "two.global", "three.global"]), ("greedy", &[])]).await;
    drop(again);
}

#[tokio::test(start_paused = true)]
async fn an_edge_for_which_a_hub_has_no_more_room_keeps_what_it_has() {
    LocalSet::new().run_until(keeps_what_it_has(Limits::default())).await;
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_has_no_more_room_itself_keeps_what_it_has() {
    let catalogue = catalogue::Limits { services_per_tenant: 3, ..catalogue::Limits::default() };
    LocalSet::new().run_until(keeps_what_it_has(Limits { catalogue, ..Limits::default() })).await;
}
