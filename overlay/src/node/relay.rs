//! What a hub does with a leg that is for another edge: it opens one there, and passes bytes on until either ends. It reads nothing but the first frame.

use std::rc::Rc;

use overlay_wire::leg::{self, LegFrame, Open, RefuseCode};
use overlay_wire::mux::Urgency;

use super::counters::count;
use super::transit::Onward;
use super::{LinkId, Node, Peer, pass};
use crate::link::{Link, LinkStream};

impl Node {
    pub(super) async fn relay(self: Rc<Self>, peer: &Peer, open: Open, near: LinkStream, rest: Vec<u8>) {
        let passage = match self.transit.enter(&open.from, &open.tenant, &self.limits) {
            Ok(passage) => passage,
            Err(who) => {
                count(&self.counters.legs_refused);
                return self.refuse(near, RefuseCode::Overloaded, &format!("too many legs of {who}"));
            }
        };
        let far = match self.open_onward(peer, &open) {
            Ok(far) => far,
            Err((why, reason)) => return self.refuse(near, why, &reason),
        };
        let mut first = Vec::new();
        leg::put(&mut first, &LegFrame::Open(open));
        first.extend_from_slice(&rest);
        if !near.charge(passage.held()) || !far.charge(passage.held()) || passage.held().left() < first.len() {
            count(&self.counters.legs_given_up);
            return self.refuse(near, RefuseCode::Overloaded, "too much is on its way");
        }
        count(&self.counters.legs_relayed);
        near.want_datagrams();
        far.want_datagrams();
        far.try_write(&first);
        // Whichever way it ends, both are let go of, and both edges hear of it.
        let _ = pass::both(&near, &far, &self.counters).await;
        if near.is_overrun() || far.is_overrun() {
            count(&self.counters.legs_given_up);
            tracing::debug!(peer = peer.name(), tenant = passage.tenant(), "a leg is given up: too much is on its way");
        }
    }

    /// Where a leg goes on.
    fn open_onward(&self, peer: &Peer, open: &Open) -> Result<LinkStream, (RefuseCode, String)> {
        let direct = self.links.direct(open);
        let is_between_hubs = direct.is_none();
        let Some((id, link)) = direct.or_else(|| self.by_another_hub(peer, open)) else {
            count(&self.counters.legs_without_link);
            let shard = open.to_shard.map(|shard| format!(", shard {shard}")).unwrap_or_default();
            return Err((RefuseCode::NoRoute, format!("no link to {}{shard}", open.to)));
        };
        let onward = Onward { link: id, streams_left: link.streams_left(), is_between_hubs };
        let opened = self.transit.go_on(&open.from, &open.tenant, onward).and_then(|places| {
            let far = link.try_open(Urgency::default()).ok().flatten().ok_or("the link takes no more")?;
            far.drop_with_place(places);
            Ok(far)
        });
        opened.map_err(|reason| {
            count(&self.counters.legs_refused);
            (RefuseCode::Overloaded, reason)
        })
    }

    /// The hub that an edge is linked to. What comes from a hub goes to none: two that are wrong about each other would send it to and fro.
    fn by_another_hub(&self, peer: &Peer, open: &Open) -> Option<(LinkId, Link)> {
        if matches!(peer, Peer::Hub { .. }) {
            return None;
        }
        let ways = self.ways.borrow();
        // That there is an edge of another tenant is nobody's business.
        let way = ways.get(&open.to).filter(|way| way.tenant == open.tenant)?;
        self.links.to_hub(&way.hub)
    }
}
