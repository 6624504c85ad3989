//! A request as the route table sees it.

use h1::RequestHead;
use route::RequestView;

/// See [`RequestView`].
pub(super) struct View<'a> {
    pub(super) head: &'a RequestHead,
    pub(super) scheme: &'static str,
}

impl RequestView for View<'_> {
    fn method(&self) -> &[u8] {
        self.head.method.as_str().as_bytes()
    }

    fn authority(&self) -> &[u8] {
        self.head.authority()
    }

    fn path(&self) -> &[u8] {
        self.head.path_and_query()
    }

    fn scheme(&self) -> &[u8] {
        self.scheme.as_bytes()
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.head.fields().find_all(name.as_bytes())
    }
}
