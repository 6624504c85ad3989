//! An index over the paths of many routes that keeps their order: the first route that matches is found without trying all.
//!
//! The literal paths are sorted. Every literal that is a prefix of a request's path is an ancestor, in the "is a prefix of" tree, of
//! the last literal that sorts at or before that path; so one binary search and a walk up the tree finds all candidates.

use crate::route::Route;

/// Hosts with fewer routes are searched one by one, which is as fast.
pub(crate) const MINIMUM_ROUTES: usize = 16;

const ROOT: u32 = u32::MAX;

/// Positions are those of the routes in their virtual host.
#[derive(Debug, PartialEq)]
pub(crate) struct PathIndex {
    nodes: Box<[Node]>,
    /// Routes of all nodes, each node's in order.
    by_literal: Box<[u32]>,
    /// Routes without a literal path, in order.
    others: Box<[u32]>,
}

/// One literal.
#[derive(Debug, PartialEq)]
struct Node {
    /// A route that has it.
    example: u32,
    /// The node of its longest proper prefix.
    parent: u32,
    /// Its routes in `by_literal`.
    start: u32,
    end: u32,
}

impl PathIndex {
    pub(crate) fn new(routes: &[Route]) -> Self {
        let mut literals: Vec<(&[u8], u32)> = Vec::with_capacity(routes.len());
        let mut others = Vec::new();
        for (position, route) in (0u32..).zip(routes) {
            match route.path.literal() {
                Some(literal) => literals.push((literal, position)),
                None => others.push(position),
            }
        }
        literals.sort_unstable();
        Self {
            nodes: build_nodes(&literals).into_boxed_slice(),
            by_literal: literals.iter().map(|(_, position)| *position).collect(),
            others: others.into_boxed_slice(),
        }
    }

    /// The first route for which `matches` holds; it is asked only about routes whose literal the path starts with.
    pub(crate) fn find(&self, routes: &[Route], path: &[u8], matches: impl Fn(&Route) -> bool) -> Option<u32> {
        let literal = |node: &Node| routes.get(node.example as usize).and_then(|route| route.path.literal());
        let after = self.nodes.partition_point(|node| literal(node).is_some_and(|literal| literal <= path));
        let mut best = u32::MAX;
        let mut next = after.checked_sub(1);
        while let Some(node) = next.and_then(|position| self.nodes.get(position)) {
            if literal(node).is_some_and(|literal| path.starts_with(literal)) {
                let positions = self.by_literal.get(node.start as usize..node.end as usize).unwrap_or_default();
                best = first_before(best, positions, routes, &matches);
            }
            next = (node.parent != ROOT).then_some(node.parent as usize);
        }
        best = first_before(best, &self.others, routes, &matches);
        (best != u32::MAX).then_some(best)
    }
}

/// The first of the ascending `positions` that is below `best` and matches; else `best`.
fn first_before(best: u32, positions: &[u32], routes: &[Route], matches: &impl Fn(&Route) -> bool) -> u32 {
    let earlier = positions.iter().copied().take_while(|position| *position < best);
    earlier.into_iter().find(|position| routes.get(*position as usize).is_some_and(matches)).unwrap_or(best)
}

fn build_nodes(literals: &[(&[u8], u32)]) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut open: Vec<(u32, &[u8])> = Vec::new();
    let mut start = 0u32;
    for group in literals.chunk_by(|left, right| left.0 == right.0) {
        let Some((literal, example)) = group.first().copied() else { continue };
        while open.last().is_some_and(|(_, prefix)| !literal.starts_with(prefix)) {
            open.pop();
        }
        let end = start + group.len() as u32;
        let parent = open.last().map_or(ROOT, |(node, _)| *node);
        open.push((nodes.len() as u32, literal));
        nodes.push(Node { example, parent, start, end });
        start = end;
    }
    nodes
}
