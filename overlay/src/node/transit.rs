//! What passes through a hub: how much of each edge and each tenant, in all and on each link.

use std::rc::Rc;

use overlay_wire::budget::Budget;

use super::LinkId;
use super::limits::Limits;
use super::parts::{Part, Parts};
use super::tally::{Place, Tally};

/// Of the streams of a link an edge leaves so many for each that it gets.
const LEFT_FOR_EACH: usize = 4;

/// All legs on their way through, and their bytes.
#[derive(Debug)]
pub(super) struct Transit {
    edges: Rc<Tally<String>>,
    tenants: Rc<Tally<String>>,
    edges_on_links: Rc<Tally<(LinkId, String)>>,
    tenants_on_links: Rc<Tally<(LinkId, String)>>,
    held_by_tenants: Parts,
    held_by_edges: Parts,
}

/// The place of one leg, until it is dropped.
#[derive(Debug)]
pub(super) struct Passage {
    edge: Part,
    tenant: Part,
    _places: [Place<String>; 2],
}

/// A link that a leg is to go on over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Onward {
    pub(super) link: LinkId,
    /// Streams that there is room for.
    pub(super) streams_left: usize,
    /// Tenants meet there.
    pub(super) is_between_hubs: bool,
}

/// The places of one leg on the link that it goes on over, until they are dropped.
pub(super) type PlacesOnward = [Place<(LinkId, String)>; 2];

impl Transit {
    pub(super) fn new(limits: &Limits) -> Self {
        let held = Budget::new(limits.held);
        Self {
            edges: Rc::default(),
            tenants: Rc::default(),
            edges_on_links: Rc::default(),
            tenants_on_links: Rc::default(),
            held_by_tenants: Parts::fair(held.clone(), limits.held_per_tenant),
            held_by_edges: Parts::fair(held, limits.held_per_edge),
        }
    }

    /// Lets a leg of an edge of a tenant in.
    ///
    /// # Errors
    /// Who has too many already.
    pub(super) fn enter(&self, edge: &str, tenant: &str, limits: &Limits) -> Result<Passage, String> {
        let of_edge = self.edges.take(edge.to_owned(), limits.legs_per_edge);
        let of_edge = of_edge.ok_or_else(|| format!("edge {edge}"))?;
        let of_tenant = self.tenants.take(tenant.to_owned(), limits.legs_per_tenant);
        let of_tenant = of_tenant.ok_or_else(|| format!("tenant {tenant}"))?;
        let held_by_tenant = self.held_by_tenants.of(tenant);
        let held = self.held_by_edges.within(held_by_tenant.budget(), &full_name(edge, tenant));
        Ok(Passage { edge: held, tenant: held_by_tenant, _places: [of_edge, of_tenant] })
    }

    /// Lets a leg of an edge of a tenant go on over a link. An edge leaves four times as many streams as it has, and between hubs a tenant as many as it has: so
    /// however many take all they can get, there are some for the next one.
    ///
    /// # Errors
    /// Who has too many there already.
    pub(super) fn go_on(&self, edge: &str, tenant: &str, onward: Onward) -> Result<PlacesOnward, String> {
        let Onward { link, streams_left, is_between_hubs } = onward;
        let (edge, tenant) = ((link, full_name(edge, tenant)), (link, tenant.to_owned()));
        let of_others = if is_between_hubs { self.tenants_on_links.count(&tenant) } else { 0 };
        let left = streams_left.saturating_sub(of_others);
        let too_many = |who: &str| format!("too many legs of {who} on this link");
        let of_edge = self.edges_on_links.take(edge.clone(), left.div_ceil(LEFT_FOR_EACH));
        let of_edge = of_edge.ok_or_else(|| too_many(&edge.1))?;
        let of_tenant = self.tenants_on_links.take(tenant.clone(), usize::MAX);
        Ok([of_edge, of_tenant.ok_or_else(|| too_many(&tenant.1))?])
    }

    /// Bytes on their way through.
    pub(super) fn held(&self) -> &Budget {
        self.held_by_tenants.whole()
    }
}

/// Hubs say of others' edges what those are called, and whose they are.
fn full_name(edge: &str, tenant: &str) -> String {
    format!("{tenant}/{edge}")
}

impl Passage {
    /// Whose leg it is.
    pub(super) fn tenant(&self) -> &str {
        self.tenant.owner()
    }

    /// What its bytes are taken of.
    pub(super) fn held(&self) -> &Budget {
        self.edge.budget()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_are_counted_by_edge_and_by_tenant() {
        let limits = Limits { legs_per_edge: 2, legs_per_tenant: 3, ..Limits::default() };
        let transit = Transit::new(&limits);
        let enter = |edge, tenant| transit.enter(edge, tenant, &limits);
        let legs = [enter("a", "acme"), enter("a", "acme"), enter("b", "acme")].map(Result::unwrap);
        assert_eq!(enter("a", "acme").unwrap_err(), "edge a");
        assert_eq!(enter("b", "acme").unwrap_err(), "tenant acme");
        let other = enter("x", "other").unwrap();
        assert_eq!((legs[0].tenant(), other.tenant()), ("acme", "other"));
        drop(legs);
        assert!(enter("a", "acme").is_ok());
    }

    const STREAMS: usize = 1024;

    /// Takes all that an edge can get of a link on which others have these places.
    fn fill(
        transit: &Transit,
        edge: &str,
        tenant: &str,
        is_between_hubs: bool,
        taken: &mut Vec<PlacesOnward>,
    ) -> usize {
        let before = taken.len();
        let onward = |taken: usize| Onward { link: LinkId::NONE, streams_left: STREAMS - taken, is_between_hubs };
        while taken.len() < STREAMS
            && let Ok(places) = transit.go_on(edge, tenant, onward(taken.len()))
        {
            taken.push(places);
        }
        taken.len() - before
    }

    #[test]
    fn edges_that_take_all_they_can_of_a_link_leave_some_for_the_next_one() {
        let transit = Transit::new(&Limits::default());
        let mut taken = Vec::new();
        let mut fill = |edge: &str| fill(&transit, edge, "acme", false, &mut taken);
        assert_eq!(fill("m"), 205);
        let others: Vec<usize> = (0..7).map(|number| fill(&format!("m{number}"))).collect();
        assert!(others.iter().all(|count| (32..205).contains(count)), "{others:?}");
        assert!(fill("a") >= 32);
        taken.clear();
        let left = [&transit.edges_on_links, &transit.tenants_on_links].map(|tally| tally.is_empty());
        assert_eq!(left, [true, true]);
    }

    #[test]
    fn however_many_edges_a_tenant_has_it_leaves_half_of_a_link_between_hubs() {
        let transit = Transit::new(&Limits::default());
        let mut taken = Vec::new();
        let of_tenant: usize =
            (0..100).map(|number| fill(&transit, &format!("m{number}"), "acme", true, &mut taken)).sum();
        assert_eq!(of_tenant, STREAMS / 2);
        assert!(fill(&transit, "x", "other", true, &mut taken) >= STREAMS / 16);
        let elsewhere = Onward { link: LinkId::NONE, streams_left: STREAMS, is_between_hubs: false };
        assert!(transit.go_on("a", "acme", elsewhere).is_ok());
    }
}
