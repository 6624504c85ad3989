//! Fields that concern one connection only (RFC 9110 7.6.1), as far as they depend on the rest of the head.
//!
//! Fields that are always of this kind are taken out while parsing (`Header::ends_at_this_hop`).

use crate::fields::Fields;
use crate::header_set::HeaderSet;
use crate::name::Header;
use crate::request::RequestError;
use crate::scan::list_elements;

/// Envoy refuses a `Connection` with this many elements.
const TOO_MANY_ELEMENTS: usize = 10;

/// Fields that a client cannot have taken out by naming them in `Connection`: those that say where a request comes from
/// or where it goes, those that delimit it, and those this proxy adds.
const PROTECTED: HeaderSet = HeaderSet::of(&[
    Header::Host,
    Header::ContentLength,
    Header::TransferEncoding,
    Header::XForwardedFor,
    Header::XForwardedProto,
    Header::XForwardedHost,
    Header::XForwardedPort,
    Header::XForwardedClientCert,
    Header::Forwarded,
    Header::XRequestId,
]);

/// Takes out the fields that `Connection` names.
#[cold]
pub(crate) fn remove_nominated(fields: &mut Fields) -> Result<(), RequestError> {
    let mut names = [[0u8; LONGEST_NOMINATION]; TOO_MANY_ELEMENTS];
    let mut lengths = [0usize; TOO_MANY_ELEMENTS];
    let mut count = 0;
    for span in fields.values_seen(Header::Connection) {
        for element in list_elements(fields.slice(span)) {
            let name = names.get_mut(count).filter(|_| count + 1 < TOO_MANY_ELEMENTS);
            let buffer =
                name.and_then(|name| name.get_mut(..element.len())).ok_or(RequestError::ConnectionNomination)?;
            buffer.copy_from_slice(element);
            buffer.make_ascii_lowercase();
            check_nomination(buffer)?;
            lengths[count] = element.len();
            count += 1;
        }
    }
    for (name, length) in names.iter().zip(lengths).take(count) {
        let name = name.get(..length).unwrap_or_default();
        // TE is hop-by-hop anyway, and reduced; its trailers element survives being named.
        if Header::from_name(name) != Header::Te {
            fields.remove_name(name);
        }
    }
    Ok(())
}

/// A longer name is refused; the fields it could mean are none that clients name.
const LONGEST_NOMINATION: usize = 64;

fn check_nomination(name: &[u8]) -> Result<(), RequestError> {
    let header = Header::from_name(name);
    let protected = PROTECTED.contains(header) || name.starts_with(b":") || name.starts_with(b"x-envoy-");
    if protected { Err(RequestError::ConnectionNomination) } else { Ok(()) }
}

/// Leaves of `TE` only `trailers`, as one field, or nothing.
#[cold]
pub(crate) fn reduce_te(fields: &mut Fields) {
    let mut values = fields.get_all(Header::Te);
    let (first, second) = (values.next(), values.next());
    if first == Some(b"trailers") && second.is_none() {
        return;
    }
    let trailers = first
        .into_iter()
        .chain(second)
        .chain(values)
        .flat_map(list_elements)
        .any(|element| element.eq_ignore_ascii_case(b"trailers"));
    fields.remove(Header::Te);
    if trailers {
        // The removed field left room in bytes; a head so full that there is no place for it goes without.
        let _ = fields.append_known(Header::Te, b"trailers");
    }
}
