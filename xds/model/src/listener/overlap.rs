//! Whether two filter chains would take the same connections, which Envoy refuses as well.

use std::collections::HashMap;

use ipnet::IpNet;

use super::FilterChainMatch;

/// Two filter chains that both ask for the same value on every level, so that nothing decides between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Position of one of them.
    pub first: usize,
    /// Position of the other.
    pub second: usize,
}

/// The levels with many values, of which each is looked up: a listener may have thousands of chains, told apart by server name.
type Place<'m> = (Option<u16>, Option<IpNet>, Option<&'m str>);

/// The first two chains that overlap, if any do. One chain may say the same thing twice.
#[must_use]
pub fn first_overlap<'m>(matches: impl IntoIterator<Item = &'m FilterChainMatch>) -> Option<Overlap> {
    let mut places: HashMap<Place<'m>, Vec<(usize, &'m FilterChainMatch)>> = HashMap::new();
    for (second, chain) in matches.into_iter().enumerate() {
        for place in places_of(chain) {
            let known = places.entry(place).or_default();
            let overlapping = known.iter().find(|(first, other)| *first != second && overlap_below(chain, other));
            if let Some(&(first, _)) = overlapping {
                return Some(Overlap { first, second });
            }
            known.push((second, chain));
        }
    }
    None
}

fn places_of(chain: &FilterChainMatch) -> impl Iterator<Item = Place<'_>> {
    or_any(&chain.destination_ranges).flat_map(move |range| {
        let names = or_any(&chain.server_names);
        names.map(move |name| (chain.destination_port, range.copied(), name.map(String::as_str)))
    })
}

/// Whether the levels below the server name have a value in common.
fn overlap_below(one: &FilterChainMatch, other: &FilterChainMatch) -> bool {
    one.transport_protocol == other.transport_protocol
        && have_common(&one.application_protocols, &other.application_protocols)
        && have_common(&one.source_ranges, &other.source_ranges)
}

/// Whether two lists, where an empty one is the value "any", have a value in common.
fn have_common<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    (one.is_empty() && other.is_empty()) || one.iter().any(|value| other.contains(value))
}

fn or_any<T>(values: &[T]) -> impl Iterator<Item = Option<&T>> {
    values.iter().map(Some).chain(values.is_empty().then_some(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(names: &[&str], protocols: &[&str], sources: &[&str]) -> FilterChainMatch {
        let strings = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        FilterChainMatch {
            server_names: strings(names),
            application_protocols: strings(protocols),
            source_ranges: sources.iter().map(|range| range.parse().unwrap()).collect(),
            ..FilterChainMatch::default()
        }
    }

    #[test]
    fn equal_and_overlapping_matches_are_found() {
        let port = |port| FilterChainMatch { destination_port: Some(port), ..FilterChainMatch::default() };
        let range = |range: &str| FilterChainMatch {
            destination_ranges: vec![range.parse().unwrap()],
            ..FilterChainMatch::default()
        };
        let overlapping = [
            [chain(&[], &[], &[]), chain(&[], &[], &[])],
            [chain(&["a.com", "b.com"], &[], &[]), chain(&["c.com", "b.com"], &[], &[])],
            [chain(&[], &["h2", "a"], &[]), chain(&[], &["b", "h2"], &[])],
            [chain(&[], &[], &["fd00::/8", "10.0.0.0/8"]), chain(&[], &[], &["10.0.0.0/8"])],
            [port(1), port(1)],
            [range("10.0.0.0/8"), range("10.0.0.0/8")],
        ];
        for chains in overlapping {
            assert_eq!(first_overlap(&chains), Some(Overlap { first: 0, second: 1 }), "{chains:?}");
        }
        let apart = [
            [chain(&["a.com"], &[], &[]), chain(&["*.com"], &[], &[])],
            [chain(&[], &["h2"], &[]), chain(&[], &[], &[])],
            [chain(&[], &[], &["10.0.0.0/8"]), chain(&[], &[], &["10.0.0.0/9"])],
            [port(1), port(2)],
            [range("10.0.0.0/8"), range("10.0.0.0/9")],
        ];
        for chains in apart {
            assert_eq!(first_overlap(&chains), None, "{chains:?}");
        }
        assert_eq!(first_overlap(&[chain(&["a.com", "a.com"], &[], &[])]), None);
    }
}
