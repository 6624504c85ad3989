//! Heads as one line of text, so that a table of cases reads well.

use selvedge_h1::{Expectation, Fields, Limits, RequestError, RequestHead, ResponseError, ResponseHead, Version};

/// What a parser made of a message: a line of text, or an error.
pub(crate) type Outcome<E> = Result<Option<(usize, String)>, E>;

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `GET /path @authority None keep | name=value | name=value`
pub(crate) fn describe_request(head: &RequestHead) -> String {
    let mut line =
        format!("{} {} @{} {:?}", head.method.as_str(), text(head.path_and_query()), text(head.authority()), head.body);
    line += if head.keep_alive { " keep" } else { " close" };
    if head.version != Version::Http11 {
        line += &format!(" {}", head.version.as_str());
    }
    if let Some(scheme) = head.scheme {
        line += &format!(" scheme={}", scheme.as_str());
    }
    if let Some(protocol) = head.upgrade() {
        line += &format!(" upgrade={}", text(protocol));
    }
    for (set, word) in [(head.expect_continue, " expect"), (head.had_fragment, " fragment")] {
        line += if set { word } else { "" };
    }
    line + &describe_fields(head.fields())
}

/// `200 Fixed(5) keep | name=value`
pub(crate) fn describe_response(head: &ResponseHead) -> String {
    let mut line = format!("{} {:?}", head.status, head.body);
    line += if head.keep_alive { " keep" } else { " close" };
    if head.tunnel {
        line += " tunnel";
    }
    if let Some(protocol) = head.upgrade() {
        line += &format!(" upgrade={}", text(protocol));
    }
    if let Some(length) = head.content_length {
        line += &format!(" length={length}");
    }
    line + &describe_fields(head.fields())
}

pub(crate) fn describe_fields(fields: &Fields) -> String {
    fields.iter().map(|field| format!(" | {}={}", text(field.name), text(field.value))).collect()
}

pub(crate) fn parse_request(input: &[u8], limits: &Limits) -> Outcome<RequestError> {
    let mut head = RequestHead::new();
    let consumed = head.parse(input, limits)?;
    Ok(consumed.map(|consumed| (consumed, describe_request(&head))))
}

pub(crate) fn parse_response(input: &[u8], expectation: Expectation, limits: &Limits) -> Outcome<ResponseError> {
    let mut head = ResponseHead::new();
    let consumed = head.parse(input, expectation, limits)?;
    Ok(consumed.map(|consumed| (consumed, describe_response(&head))))
}

/// A small generator of repeatable numbers (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}
