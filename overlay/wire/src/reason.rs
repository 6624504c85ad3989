//! Why the other side has ended or refused something, in words. They go to logs, whose lines nobody else is to write.

/// In characters.
const LONGEST: usize = 200;

/// What came as a reason: the beginning of it, on one line and without quotes that could end those of a log.
pub(crate) fn harmless(reason: &str) -> String {
    reason.chars().take(LONGEST).map(replaced).collect()
}

fn replaced(character: char) -> char {
    match character {
        '"' => '\'',
        '\'' | '\\' => character,
        // Control characters, and others that are not seen.
        _ if character.escape_debug().count() > 1 => '?',
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_short_and_on_one_line() {
        assert_eq!(harmless("no hello in 5s: it's späť \\"), "no hello in 5s: it's späť \\");
        assert_eq!(harmless("a\r\n[2026] \"GET /\x1b[0m\u{202e}\u{2028}"), "a??[2026] 'GET /?[0m??");
        assert_eq!(harmless(&"ä".repeat(1000)), "ä".repeat(LONGEST));
    }
}
