//! Messages of etcd's API (`etcdserverpb` in rpc.proto, `mvccpb` in kv.proto, version 3), as far as they are used: reading, and a change under a condition.
//! They are written here by hand because they are few: published clients need the compiler of protobuf on every machine that builds them.

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) range_end: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub(super) limit: i64,
    #[prost(int64, tag = "4")]
    pub(super) revision: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RangeResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
    #[prost(message, repeated, tag = "2")]
    pub(super) kvs: Vec<KeyValue>,
    #[prost(bool, tag = "3")]
    pub(super) more: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ResponseHeader {
    #[prost(int64, tag = "3")]
    pub(super) revision: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeyValue {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    pub(super) value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TxnRequest {
    #[prost(message, repeated, tag = "1")]
    compare: Vec<Compare>,
    #[prost(message, repeated, tag = "2")]
    success: Vec<RequestOp>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TxnResponse {
    #[prost(bool, tag = "2")]
    pub(super) succeeded: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Compare {
    #[prost(enumeration = "CompareTarget", tag = "2")]
    target: i32,
    #[prost(bytes = "vec", tag = "3")]
    key: Vec<u8>,
    #[prost(oneof = "TargetUnion", tags = "4, 7")]
    target_union: Option<TargetUnion>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum CompareTarget {
    Version = 0,
    Value = 3,
}

/// It must be equal, which is 0, the default of the field `result`.
#[derive(Clone, PartialEq, prost::Oneof)]
enum TargetUnion {
    #[prost(int64, tag = "4")]
    Version(i64),
    #[prost(bytes, tag = "7")]
    Value(Vec<u8>),
}

#[derive(Clone, PartialEq, prost::Message)]
struct RequestOp {
    #[prost(oneof = "Change", tags = "2, 3")]
    request: Option<Change>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Change {
    #[prost(message, tag = "2")]
    Put(PutRequest),
    #[prost(message, tag = "3")]
    DeleteRange(DeleteRangeRequest),
}

#[derive(Clone, PartialEq, prost::Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DeleteRangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

impl RangeRequest {
    /// Keys that begin so, so many at a time, in order.
    pub(super) fn of_prefix(prefix: Vec<u8>, limit: i64) -> Self {
        // The first key behind all of them. Ours are ASCII: the last byte can grow.
        let mut range_end = prefix.clone();
        if let Some(last) = range_end.last_mut() {
            *last += 1;
        }
        Self { key: prefix, range_end, limit, revision: 0 }
    }

    /// What to ask after the answer to this for those that follow; `None` if there are none. They are of the revision of the first answer: what is said with
    /// later answers is the revision of etcd at their time.
    pub(super) fn after(mut self, answer: &RangeResponse) -> Option<Self> {
        let last = answer.kvs.last().filter(|_| answer.more)?;
        self.key = [&last.key[..], &[0]].concat();
        if self.revision == 0 {
            self.revision = answer.header.as_ref().map_or(0, |header| header.revision);
        }
        Some(self)
    }
}

impl TxnRequest {
    /// Gives a key another value, or none, if it has the expected one, or none.
    pub(super) fn swap(key: Vec<u8>, expected: Option<&[u8]>, new: Option<&[u8]>) -> Self {
        // What is not there has version 0.
        let (target, target_union) = match expected {
            Some(expected) => (CompareTarget::Value, TargetUnion::Value(expected.to_vec())),
            None => (CompareTarget::Version, TargetUnion::Version(0)),
        };
        let compare = Compare { target: target.into(), key: key.clone(), target_union: Some(target_union) };
        let request = match new {
            Some(new) => Change::Put(PutRequest { key, value: new.to_vec() }),
            None => Change::DeleteRange(DeleteRangeRequest { key }),
        };
        Self { compare: vec![compare], success: vec![RequestOp { request: Some(request) }] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(key: &str, revision: i64, more: bool) -> RangeResponse {
        let kvs = vec![KeyValue { key: key.into(), value: Vec::new() }];
        RangeResponse { header: Some(ResponseHeader { revision }), kvs, more }
    }

    #[test]
    fn all_pages_are_of_one_revision() {
        let first = RangeRequest::of_prefix(b"token/".to_vec(), 1);
        let second = first.after(&answer("token/a", 7, true)).unwrap();
        assert_eq!((&second.key[..], &second.range_end[..], second.revision), (&b"token/a\0"[..], &b"token0"[..], 7));
        // Somebody has written meanwhile.
        let third = second.after(&answer("token/b", 9, true)).unwrap();
        assert_eq!((&third.key[..], third.revision), (&b"token/b\0"[..], 7));
        assert_eq!(third.clone().after(&answer("token/c", 9, false)), None);
        // There are more, and none is shown: it would be asked for ever.
        assert_eq!(third.after(&RangeResponse { more: true, ..RangeResponse::default() }), None);
    }
}
