//! Files of the Kubernetes downward API: one `key="value"` per line, the value quoted as Go quotes strings.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use super::NodeError;

/// The entries of a file; none if it does not exist.
pub(super) fn read(path: &Path) -> Result<Map<String, Value>, NodeError> {
    let failed = |reason: String| NodeError::File { path: path.to_owned(), reason };
    match fs::read_to_string(path) {
        Ok(content) => parse(&content).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn parse(content: &str) -> Result<Map<String, Value>, String> {
    let mut entries = Map::new();
    for (index, line) in content.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let (key, quoted) = line.split_once('=').ok_or_else(|| format!("line {}: no '='", index + 1))?;
        let value = unquote(quoted).ok_or_else(|| format!("line {}: {quoted} is not a quoted text", index + 1))?;
        entries.insert(key.to_owned(), Value::from(value));
    }
    Ok(entries)
}

/// Go's `strconv.Unquote` for double quotes.
fn unquote(quoted: &str) -> Option<String> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        match rest.next()? {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            't' => bytes.push(b'\t'),
            'n' => bytes.push(b'\n'),
            'v' => bytes.push(11),
            'f' => bytes.push(12),
            'r' => bytes.push(b'\r'),
            'x' => bytes.push(u8::try_from(hexadecimal(&mut rest, 2)?).ok()?),
            'u' => bytes.extend(char::from_u32(hexadecimal(&mut rest, 4)?)?.to_string().bytes()),
            'U' => bytes.extend(char::from_u32(hexadecimal(&mut rest, 8)?)?.to_string().bytes()),
            literal @ ('"' | '\\') => bytes.push(literal as u8),
            _ => return None,
        }
    }
    String::from_utf8(bytes).ok()
}

fn hexadecimal(digits: &mut impl Iterator<Item = char>, count: usize) -> Option<u32> {
    (0..count).try_fold(0_u32, |value, _| Some(value << 4 | digits.next()?.to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_unquoted() {
        let entries = parse("app=\"web\"\n\nnote=\"a \\\"b\\\"\\n\\u00e9\\x41 = \u{1f980}\"\n").unwrap();
        assert_eq!(entries["app"], "web");
        assert_eq!(entries["note"], "a \"b\"\n\u{e9}A = \u{1f980}");
    }

    #[test]
    fn a_bad_line_is_named() {
        for (content, expected) in
            [("a=\"1\"\nb\n", "line 2: no '='"), ("a=1", "line 1"), ("a=\"\\q\"", "line 1"), ("a=\"", "line 1")]
        {
            let reason = parse(content).unwrap_err();
            assert!(reason.contains(expected), "{content:?}: {reason}");
        }
    }
}
