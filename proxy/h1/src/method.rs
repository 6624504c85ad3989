//! Request methods.

macro_rules! methods {
    ($($variant:ident = $name:literal,)*) => {
        /// A request method that the HTTP/1 parser takes: those of Envoy's (Balsa's and http-parser's) list. Methods are
        /// case-sensitive; any other is refused.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "each variant is documented by its name on the wire")]
        pub enum Method {
            #[default]
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Method {
            /// Every method.
            pub const ALL: &'static [Method] = &[$(Method::$variant,)*];
            const NAMES: &'static [&'static str] = &[$($name,)*];

            /// The method called `name`, exactly.
            #[inline]
            pub fn from_name(name: &[u8]) -> Option<Method> {
                match name {
                    $(name if name == $name.as_bytes() => Some(Method::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

methods! {
    Get = "GET",
    Post = "POST",
    Put = "PUT",
    Head = "HEAD",
    Delete = "DELETE",
    Patch = "PATCH",
    Options = "OPTIONS",
    Connect = "CONNECT",
    Trace = "TRACE",
    Acl = "ACL",
    Bind = "BIND",
    Checkout = "CHECKOUT",
    Copy = "COPY",
    Link = "LINK",
    Lock = "LOCK",
    Merge = "MERGE",
    MkActivity = "MKACTIVITY",
    MkCalendar = "MKCALENDAR",
    MkCol = "MKCOL",
    Move = "MOVE",
    Notify = "NOTIFY",
    PropFind = "PROPFIND",
    PropPatch = "PROPPATCH",
    Purge = "PURGE",
    Rebind = "REBIND",
    Report = "REPORT",
    Search = "SEARCH",
    Source = "SOURCE",
    Subscribe = "SUBSCRIBE",
    Unbind = "UNBIND",
    Unlink = "UNLINK",
    Unlock = "UNLOCK",
    Unsubscribe = "UNSUBSCRIBE",
}

/// The longest method name and the space behind it.
pub(crate) const LONGEST: usize = 12;

impl Method {
    /// The name on the wire.
    #[inline]
    pub const fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Whether a request without a body says nothing about its length (as Envoy: the other methods say 0).
    #[inline]
    pub const fn usually_has_no_body(self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Delete | Method::Trace | Method::Connect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        for method in Method::ALL {
            let name = method.as_str();
            assert_eq!(Method::from_name(name.as_bytes()), Some(*method));
            assert_eq!(Method::from_name(name.to_ascii_lowercase().as_bytes()), None, "{name}");
            assert!(name.len() < LONGEST);
        }
        for name in ["QUERY", "", "GETT", "GE", "MSEARCH ", "FOO"] {
            assert_eq!(Method::from_name(name.as_bytes()), None, "{name}");
        }
    }
}
