//! Envoy's response flags: what went wrong with a request or a connection, and whose fault it was.

use std::ops::{BitOr, BitOrAssign};

/// A set of response flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResponseFlags(u32);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $short:literal $long:literal,)*) => {
        impl ResponseFlags {
            /// Nothing went wrong.
            pub const NONE: Self = Self(0);
            flags!(@constants 0u32; $($(#[$doc])* $name,)*);
            const NAMES: &'static [(Self, &'static str, &'static str)] = &[$((Self::$name, $short, $long),)*];
        }
    };
    (@constants $bit:expr; $(#[$doc:meta])* $name:ident, $($rest:tt)*) => {
        $(#[$doc])*
        pub const $name: Self = Self(1 << $bit);
        flags!(@constants $bit + 1; $($rest)*);
    };
    (@constants $bit:expr;) => {};
}

// In the order in which Envoy writes them (`envoy/stream_info/stream_info.h`).
flags! {
    /// No endpoint of the cluster may be used.
    NO_HEALTHY_UPSTREAM = "UH" "NoHealthyUpstream",
    /// The upstream took too long.
    UPSTREAM_REQUEST_TIMEOUT = "UT" "UpstreamRequestTimeout",
    /// We reset the stream.
    LOCAL_RESET = "LR" "LocalReset",
    /// The upstream reset the stream.
    UPSTREAM_REMOTE_RESET = "UR" "UpstreamRemoteReset",
    /// Connecting to the upstream failed.
    UPSTREAM_CONNECTION_FAILURE = "UF" "UpstreamConnectionFailure",
    /// The upstream closed the connection.
    UPSTREAM_CONNECTION_TERMINATION = "UC" "UpstreamConnectionTermination",
    /// A circuit breaker is open.
    UPSTREAM_OVERFLOW = "UO" "UpstreamOverflow",
    /// No route, or no filter chain, takes it.
    NO_ROUTE_FOUND = "NR" "NoRouteFound",
    /// The client closed the connection.
    DOWNSTREAM_CONNECTION_TERMINATION = "DC" "DownstreamConnectionTermination",
    /// All retries were used.
    UPSTREAM_RETRY_LIMIT_EXCEEDED = "URX" "UpstreamRetryLimitExceeded",
    /// The stream was silent for too long.
    STREAM_IDLE_TIMEOUT = "SI" "StreamIdleTimeout",
    /// The client broke the protocol.
    DOWNSTREAM_PROTOCOL_ERROR = "DPE" "DownstreamProtocolError",
    /// A filter that comes by discovery has no configuration.
    NO_FILTER_CONFIG_FOUND = "NFCF" "NoFilterConfigFound",
    /// The connection or the stream reached its longest life.
    DURATION_TIMEOUT = "DT" "DurationTimeout",
    /// The upstream broke the protocol.
    UPSTREAM_PROTOCOL_ERROR = "UPE" "UpstreamProtocolError",
    /// The route's cluster does not exist.
    NO_CLUSTER_FOUND = "NC" "NoClusterFound",
    /// We are overloaded.
    OVERLOAD_MANAGER = "OM" "OverloadManagerTerminated",
    /// The client reset its stream.
    DOWNSTREAM_REMOTE_RESET = "DR" "DownstreamRemoteReset",
}

impl ResponseFlags {
    /// Whether none is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether any of `other` is set.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The flag with this short name, if it is one that we know.
    pub fn from_short(short: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, name, _)| *name == short).map(|(flag, ..)| *flag)
    }

    /// Appends the short names.
    pub fn put(self, of_request: bool, out: &mut Vec<u8>) {
        self.put_names(of_request, |(_, short, _)| short, out);
    }

    /// Appends the long names.
    pub fn put_long(self, of_request: bool, out: &mut Vec<u8>) {
        self.put_names(of_request, |(.., long)| long, out);
    }

    /// Comma-separated. Envoy writes them in the order in which they were set: for a request the end of its retries comes before the
    /// failure of the last one, for a connection after it.
    fn put_names(
        self,
        of_request: bool,
        name: fn(&(Self, &'static str, &'static str)) -> &'static str,
        out: &mut Vec<u8>,
    ) {
        let last_retry = Self::UPSTREAM_RETRY_LIMIT_EXCEEDED;
        let is_first = |flag: Self| of_request && flag == last_retry;
        let set = || Self::NAMES.iter().filter(|(flag, ..)| self.intersects(*flag));
        let ordered = set().filter(|(flag, ..)| is_first(*flag)).chain(set().filter(|(flag, ..)| !is_first(*flag)));
        for (index, flag) in ordered.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name(flag).as_bytes());
        }
    }
}

impl BitOr for ResponseFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for ResponseFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_written_in_envoys_order() {
        let mut out = Vec::new();
        let flags = ResponseFlags::UPSTREAM_RETRY_LIMIT_EXCEEDED | ResponseFlags::UPSTREAM_CONNECTION_FAILURE;
        flags.put(false, &mut out);
        out.push(b' ');
        flags.put(true, &mut out);
        assert_eq!(out, b"UF,URX URX,UF");
        out.clear();
        flags.put_long(true, &mut out);
        assert_eq!(out, b"UpstreamRetryLimitExceeded,UpstreamConnectionFailure");
        assert_eq!(ResponseFlags::from_short("DPE"), Some(ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR));
    }
}
