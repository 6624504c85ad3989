//! The hash of a request, where its cluster balances by it, and cookies that make the next requests of a client equal to it.

use h1::Header;
use route::Forward;

use super::Exchange;
use crate::http::view::View;

impl Exchange<'_> {
    /// Hashes the request as it is sent to the upstream: what the route changes counts, as in Envoy.
    pub(super) fn hash_request(&mut self, forward: &Forward) {
        let facts = &self.downstream.connection.admission.facts;
        let view = View { head: &self.memory.request, scheme: self.scheme.as_str() };
        let mut cookies = Vec::new();
        let hash = route::hash(&forward.hash_policies, &view, self.client.ip(), |cookie| {
            // As in Envoy: requests of one connection that come at once get the same.
            let value = route::cookie_value(&format!("{}{}", facts.remote, facts.local));
            cookies.push(route::set_cookie(cookie, &value));
            value
        });
        self.memory.outcome.hash = hash;
        self.memory.outcome.cookies = cookies;
    }

    /// Gives the client its cookies.
    pub(super) fn set_cookies(&mut self) {
        for cookie in std::mem::take(&mut self.memory.outcome.cookies) {
            // What cannot stand in a cookie was refused with the configuration.
            let _ = self.memory.response.fields_mut().append_known(Header::SetCookie, cookie.as_bytes());
        }
    }
}
