//! Resources of the control plane: whatever bytes they are, they are taken or refused, and the same every time. A route
//! table that is taken can be compiled or is refused, too.
//!
//! The first byte of an input chooses the type.

use bytes::Bytes;
use route::RouteTable;
use xds_api::type_url;
use xds_model::fate::Report;
use xds_model::resource::{Resource, decode};

/// In the order of the first byte.
pub const TYPES: [&str; 6] = [
    type_url::LISTENER,
    type_url::ROUTE,
    type_url::CLUSTER,
    type_url::ENDPOINTS,
    type_url::SECRET,
    type_url::EXTENSION,
];

/// Decodes one resource.
pub fn run(input: &[u8]) -> bool {
    let Some((kind, encoded)) = input.split_first() else { return false };
    let type_url = TYPES[usize::from(*kind) % TYPES.len()];
    let encoded = Bytes::copy_from_slice(encoded);
    let (mut report, mut again) = (Report::default(), Report::default());
    let decoded = decode(type_url, &encoded, &mut report);
    assert_eq!(decoded, decode(type_url, &encoded, &mut again));
    assert_eq!(report, again);
    match decoded {
        Ok(resource) => {
            check(&resource);
            true
        }
        Err(refusal) => {
            assert!(!refusal.reason.is_empty(), "{refusal:?}");
            false
        }
    }
}

fn check(resource: &Resource) {
    if let Resource::RouteConfiguration(configuration) = resource
        && let Ok(table) = RouteTable::compile(configuration)
    {
        assert_eq!(table.virtual_hosts().len(), configuration.virtual_hosts.len());
        let next = table.update(configuration).expect("what was compiled can be compiled again");
        assert!(next.continues(&table));
    }
}
