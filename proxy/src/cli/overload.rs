//! Arguments of `selvedge run` about overload.

use crate::overload::{ConnectionLimitSettings, Monitor, OverloadManagerSettings, OverloadSettings};

#[derive(Debug, Default, clap::Args)]
pub(super) struct OverloadArguments {
    /// Connections of clients, of all listeners together; further ones are closed. No limit if not given.
    #[arg(long, value_name = "N")]
    max_connections: Option<u32>,

    /// Connections of clients on each listener; further ones are closed. No limit if not given.
    #[arg(long, value_name = "N")]
    max_connections_per_listener: Option<u32>,

    /// Connections of one source (an IPv4 address, an IPv6 network of 64 bits); further ones are closed. No limit if not given.
    #[arg(long, value_name = "N")]
    max_connections_per_source: Option<u32>,

    /// Resident memory, bytes: at 90 % connections end with their next answer, at 95 % requests are refused, at 98 % nothing
    /// is accepted. The limit of the control group if not given.
    #[arg(long, value_name = "BYTES")]
    max_heap_size_bytes: Option<u64>,
}

impl OverloadArguments {
    pub(super) fn settings(&self) -> OverloadSettings {
        OverloadSettings {
            connections: ConnectionLimitSettings {
                global: self.max_connections,
                listener: self.max_connections_per_listener,
                source: self.max_connections_per_source,
                ..ConnectionLimitSettings::default()
            },
            manager: self.max_heap_size_bytes.map_or_else(OverloadManagerSettings::default, |max_heap_size_bytes| {
                OverloadManagerSettings::watching(Monitor::FixedHeap { max_heap_size_bytes })
            }),
        }
    }
}
