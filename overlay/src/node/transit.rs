//! What passes through a hub: how much of each edge and each tenant.

use std::rc::Rc;

use overlay_wire::budget::Budget;

use super::limits::Limits;
use super::parts::{Part, Parts};
use super::tally::{Place, Tally};

/// All legs on their way through, and their bytes.
#[derive(Debug)]
pub(super) struct Transit {
    edges: Rc<Tally<String>>,
    tenants: Rc<Tally<String>>,
    held_by_tenants: Rc<Parts>,
    held_by_edges: Rc<Parts>,
}

/// The place of one leg, until it is dropped.
#[derive(Debug)]
pub(super) struct Passage {
    edge: Part,
    tenant: Part,
    _places: [Place<String>; 2],
}

impl Transit {
    pub(super) fn new(limits: &Limits) -> Self {
        let held = Budget::new(limits.held);
        Self {
            edges: Rc::default(),
            tenants: Rc::default(),
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
        // Hubs say of others' edges what those are called, and whose they are.
        let held = self.held_by_edges.within(held_by_tenant.budget(), &format!("{tenant}/{edge}"));
        Ok(Passage { edge: held, tenant: held_by_tenant, _places: [of_edge, of_tenant] })
    }

    /// Bytes on their way through.
    pub(super) fn held(&self) -> &Budget {
        self.held_by_tenants.whole()
    }
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
}
