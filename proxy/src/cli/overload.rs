//! Arguments of `selvedge run` about overload.

use std::num::NonZeroU32;

use crate::http::MinimumRate;
use crate::overload::{ConnectionLimitSettings, Monitor, OverloadManagerSettings, OverloadSettings};

#[derive(Debug, Default, clap::Args)]
pub(super) struct OverloadArguments {
    /// Connections of clients, of all listeners together; further ones are closed. At least 1; no limit if not given.
    #[arg(long, value_name = "N")]
    max_connections: Option<NonZeroU32>,

    /// Connections of clients on each listener; further ones are closed. At least 1; no limit if not given.
    #[arg(long, value_name = "N")]
    max_connections_per_listener: Option<NonZeroU32>,

    /// Connections of one source (an IPv4 address, an IPv6 network of 64 bits); further ones are closed. At least 1; no limit if not given.
    #[arg(long, value_name = "N")]
    max_connections_per_source: Option<NonZeroU32>,

    /// Bytes a second that a client must send of a request's body, and take of an answer's, while it is waited for; slower requests
    /// end. Not for gRPC and upgraded connections. No limit if not given.
    #[arg(long, value_name = "BYTES")]
    minimum_body_rate: Option<NonZeroU32>,

    /// Resident memory, bytes: at 90 % connections end with their next answer, at 95 % requests are refused, at 98 % nothing
    /// is accepted. The limit of the control group if not given.
    #[arg(long, value_name = "BYTES")]
    max_heap_size_bytes: Option<u64>,
}

impl OverloadArguments {
    pub(super) fn settings(&self) -> OverloadSettings {
        OverloadSettings {
            connections: ConnectionLimitSettings {
                global: self.max_connections.map(NonZeroU32::get),
                listener: self.max_connections_per_listener.map(NonZeroU32::get),
                source: self.max_connections_per_source.map(NonZeroU32::get),
                ..ConnectionLimitSettings::default()
            },
            minimum_rate: self.minimum_body_rate.map(MinimumRate::per_second),
            manager: self.max_heap_size_bytes.map_or_else(OverloadManagerSettings::default, |max_heap_size_bytes| {
                OverloadManagerSettings::watching(Monitor::FixedHeap { max_heap_size_bytes })
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        overload: OverloadArguments,
    }

    #[test]
    fn a_limit_that_would_let_nobody_in_is_refused_by_name() {
        for name in ["--max-connections", "--max-connections-per-listener", "--max-connections-per-source"] {
            let error = Command::try_parse_from(["run", name, "0"]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("invalid value '0'"), "{error}");
            let command = Command::try_parse_from(["run", name, "1"]).unwrap();
            let limits = command.overload.settings().connections;
            assert_eq!([limits.global, limits.listener, limits.source].into_iter().flatten().sum::<u32>(), 1);
        }
    }
}
