//! What a parser accepts at most.

/// Bounds and switches of head parsing. The defaults are those Envoy runs with behind istiod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, start line and empty line included (Envoy `max_request_headers_kb`).
    pub max_head_bytes: usize,
    /// Fields of a head (Envoy `max_headers_count`); above 200 it has no effect.
    pub max_headers: usize,
    /// Whether HTTP/1.0 requests are taken (Envoy `Http1ProtocolOptions.accept_http_10`); otherwise they get 426.
    pub accept_http_10: bool,
    /// What to do about `_` in a request field name (Envoy `headers_with_underscores_action`).
    pub underscores: Underscores,
}

impl Limits {
    /// The defaults, as a constant.
    pub const DEFAULT: Limits =
        Limits { max_head_bytes: 60 << 10, max_headers: 100, accept_http_10: false, underscores: Underscores::Allow };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}

/// What happens to request fields with `_` in their name, which some servers take for `-`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// They pass.
    #[default]
    Allow,
    /// The request is refused.
    Reject,
    /// The field is dropped.
    Drop,
}
