//! Two processes that are the same edge, because the folder of one was copied.

use overlay::catalogue::keep_name;
use overlay::folder::Folder;
use tokio::task::{LocalSet, spawn_local};

use crate::announcements::unix_now;
use crate::catalogue::Member;
use crate::kit::{Signer, edge, hub};

const MONTH: u64 = 30 * 24 * 60 * 60;

#[tokio::test(start_paused = true)]
async fn an_edge_is_heard_again_after_a_copy_of_it_that_began_later_has_ended() {
    let test = async {
        let signer = Signer::new();
        let (h1, h2) = (Member::new(&signer, &hub("h1"), 1), Member::new(&signer, &hub("h2"), 1));
        let [a, b] = ["a", "b"].map(|name| Member::new(&signer, &edge(name), 1));
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path().join("state")).unwrap();
        spawn_local(keep_name(a.directory.clone(), folder.clone()));
        let _wires = (a.wire(&h1), b.wire(&h1), h1.wire(&h2));
        a.offers(&["a.global"]);
        b.knows(&[("a", &["a.global"])]).await;
        assert!(!a.node.has_rival());

        // At the same hub; and at another one, with a clock that is ahead.
        for (hub, epoch) in [(&h1, 7), (&h2, unix_now() + MONTH)] {
            let copy = Member::new(&signer, &edge("a"), epoch);
            let wire = copy.wire(hub);
            copy.offers(&["copy.global"]);
            b.knows(&[("a", &["copy.global"])]).await;
            wire.cut();
            b.knows(&[("a", &["a.global"])]).await;
            assert!(a.node.has_rival() && folder.next_epoch().unwrap() > epoch + 1, "{epoch}");
        }
    };
    LocalSet::new().run_until(test).await;
}
