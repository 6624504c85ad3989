//! Log lines as JSON objects.

use std::io::Write;

use xds_model::access_log::JsonValue;
use xds_model::format::{Format, Segment};

use super::Record;
use super::operator::{self, Missing, Written};

/// Appends an object with these fields.
pub(super) fn put_object(fields: &[(String, JsonValue)], record: &Record<'_>, omit_empty: bool, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut first = true;
    for (key, value) in fields {
        let mark = out.len();
        if !first {
            out.push(b',');
        }
        put_string(key.as_bytes(), out);
        out.push(b':');
        if put_value(value, record, omit_empty, out) {
            first = false;
        } else {
            out.truncate(mark);
        }
    }
    out.push(b'}');
}

/// `false` when there is nothing to write.
fn put_value(value: &JsonValue, record: &Record<'_>, omit_empty: bool, out: &mut Vec<u8>) -> bool {
    match value {
        JsonValue::Format(format) => return put_format(format, record, omit_empty, out),
        JsonValue::Object(fields) => put_object(fields, record, omit_empty, out),
        JsonValue::List(values) => {
            out.push(b'[');
            let mut first = true;
            for value in values {
                let mark = out.len();
                if !first {
                    out.push(b',');
                }
                if put_value(value, record, omit_empty, out) {
                    first = false;
                } else {
                    out.truncate(mark);
                }
            }
            out.push(b']');
        }
        // Writing to a vector cannot fail.
        JsonValue::Number(number) => drop(write!(out, "{number}")),
        JsonValue::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        JsonValue::Null => out.extend_from_slice(b"null"),
    }
    true
}

/// A single operator keeps its type; anything else is a string.
fn put_format(format: &Format, record: &Record<'_>, omit_empty: bool, out: &mut Vec<u8>) -> bool {
    let mark = out.len();
    out.push(b'"');
    if let [Segment::Operator(operator)] = format.segments.as_slice() {
        match operator::put(operator, record, out) {
            Written::Text => {}
            Written::Number => {
                out.remove(mark);
                return true;
            }
            Written::Missing => {
                out.truncate(mark);
                out.extend_from_slice(if omit_empty { b"" } else { b"null" });
                return !omit_empty;
            }
        }
    } else {
        let missing = if omit_empty { Missing::Nothing } else { Missing::Dash };
        operator::put_format(format, record, missing, out);
    }
    escape_from(mark + 1, out);
    out.push(b'"');
    true
}

fn put_string(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mark = out.len();
    out.extend_from_slice(value);
    escape_from(mark, out);
    out.push(b'"');
}

/// Escapes what was written from `mark` on; usually there is nothing to escape.
fn escape_from(mark: usize, out: &mut Vec<u8>) {
    let plain = |byte: &u8| matches!(byte, 0x20..=0x7e) && *byte != b'"' && *byte != b'\\';
    if out.get(mark..).is_none_or(|written| written.iter().all(plain)) {
        return;
    }
    let raw = out.split_off(mark);
    for character in String::from_utf8_lossy(&raw).chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            control if control < ' ' || control == '\u{7f}' => drop(write!(out, "\\u{:04x}", u32::from(control))),
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}
