use crate::matcher::{FullRegex, REGEX_SIZE_LIMIT, StringMatcher, StringPattern};

fn matches(pattern: StringPattern, ignore_case: bool, value: &str) -> bool {
    StringMatcher { pattern, ignore_case }.matches(value.as_bytes())
}

#[test]
fn patterns() {
    use StringPattern::{Contains, Exact, Prefix, Suffix};
    let text = || "Ab".to_owned();
    let cases = [
        (Exact(text()), "Ab", "ab", "Abc"),
        (Prefix(text()), "Abc", "abc", "A"),
        (Suffix(text()), "cAb", "cab", "b"),
        (Contains(text()), "cAbc", "cabc", "cA"),
    ];
    for (pattern, hit, other_case, miss) in cases {
        assert!(matches(pattern.clone(), false, hit), "{pattern:?}");
        assert!(
            !matches(pattern.clone(), false, other_case) && matches(pattern.clone(), true, other_case),
            "{pattern:?}"
        );
        assert!(!matches(pattern.clone(), true, miss), "{pattern:?}");
    }
    assert!(matches(Contains(String::new()), false, ""));
}

#[test]
fn expressions_match_the_whole_value() {
    let regex = FullRegex::new("a|bc").unwrap();
    assert!(regex.is_match(b"a") && regex.is_match(b"bc"));
    assert!(!regex.is_match(b"ac") && !regex.is_match(b"xbc") && !regex.is_match(b"a\n"));
    assert_eq!(regex, FullRegex::new("a|bc").unwrap());
    assert_ne!(regex, FullRegex::new("a|bd").unwrap());
}

#[test]
fn expressions_are_bounded_and_cannot_leave_their_group() {
    assert!(FullRegex::new("a)|(?:b").is_err());
    assert!(FullRegex::new(&format!("(?:a{{1000}}){{{REGEX_SIZE_LIMIT}}}")).is_err());
}
