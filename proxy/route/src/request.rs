//! What route selection reads of a request.

use smallvec::SmallVec;

/// A request head, as the route table sees it; implemented by the proxy over its own buffers.
pub trait RequestView {
    /// `:method`.
    fn method(&self) -> &[u8];

    /// `:authority`, or the Host header.
    fn authority(&self) -> &[u8];

    /// `:path`: path and query, without a fragment.
    fn path(&self) -> &[u8];

    /// `:scheme`.
    fn scheme(&self) -> &[u8];

    /// The values of a header by its lower-case name, one for each line, in order. Not asked for pseudo-headers or `host`.
    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;
}

/// What a pseudo-header says, or `host`; `None` of the name of another header.
pub(crate) fn pseudo_header<'a>(request: &'a impl RequestView, name: &str) -> Option<&'a [u8]> {
    match name {
        ":method" => Some(request.method()),
        ":authority" | "host" => Some(request.authority()),
        ":path" => Some(request.path()),
        ":scheme" => Some(request.scheme()),
        _ => None,
    }
}

/// Scheme the client is believed to have used: `x-forwarded-proto`, which the connection manager sets, else `:scheme`.
pub(crate) fn forwarded_scheme(request: &impl RequestView) -> &[u8] {
    request.header("x-forwarded-proto").next().unwrap_or_else(|| request.scheme())
}

/// Calls `read` with `text` in ASCII lower case; copies only if there is something to change.
pub(crate) fn with_lower_case<T>(text: &[u8], read: impl FnOnce(&[u8]) -> T) -> T {
    if !text.iter().any(u8::is_ascii_uppercase) {
        return read(text);
    }
    let mut lower = SmallVec::<[u8; 256]>::from_slice(text);
    lower.make_ascii_lowercase();
    read(&lower)
}
