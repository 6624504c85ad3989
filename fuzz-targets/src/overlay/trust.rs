//! What the authority says, and tokens: what is read is written again the same, and nobody is believed whom nobody knows.

use overlay::enroll::Token;
use overlay::identity::{SignedTrust, Trust};

/// Reads a statement, or else a token.
pub fn run(input: &[u8]) -> bool {
    let token = std::str::from_utf8(input).ok().and_then(|text| Token::parse(text).ok());
    if let Some(token) = &token {
        assert!(Token::parse(&token.to_text()).as_ref() == Ok(token), "another token");
    }
    let Some(statement) = SignedTrust::from_bytes(input) else { return token.is_some() };
    assert_eq!(SignedTrust::from_bytes(&statement.to_bytes()).as_ref(), Some(&statement));
    assert!(Trust::default().take(&statement).is_err(), "who believes nobody believes {statement:?}");
    true
}
