use super::*;

const NORMALIZE: PathOptions =
    PathOptions { normalize: true, merge_slashes: false, escaped_slashes: EscapedSlashes::Keep };
const MERGE: PathOptions = PathOptions { merge_slashes: true, ..NORMALIZE };
const DECODE_AND_MERGE: PathOptions = PathOptions { escaped_slashes: EscapedSlashes::UnescapeAndForward, ..MERGE };

fn run(path: &str, options: &PathOptions) -> Result<(PathOutcome, String), PathError> {
    let mut out = b"left over".to_vec();
    let outcome = normalize(path.as_bytes(), options, &mut out)?;
    Ok(match outcome {
        PathOutcome::Unchanged => (outcome, path.to_owned()),
        _ => (outcome, String::from_utf8(out).unwrap()),
    })
}

#[track_caller]
fn becomes(options: &PathOptions, cases: &[(&str, &str)]) {
    for (before, after) in cases {
        let outcome = if before == after { PathOutcome::Unchanged } else { PathOutcome::Changed };
        assert_eq!(run(before, options), Ok((outcome, (*after).to_owned())), "{before}");
    }
}

#[test]
fn dot_segments_are_resolved() {
    becomes(
        &NORMALIZE,
        &[
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/.", "/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/a/b/../../../c", "/c"),
            ("/a//../b", "/a/b"),
            ("/a/...", "/a/..."),
            ("/a/.b/..c/d.", "/a/.b/..c/d."),
            ("/a../b", "/a../b"),
            ("/.../", "/.../"),
        ],
    );
}

#[test]
fn escaped_and_hidden_dots_are_dots() {
    becomes(
        &NORMALIZE,
        &[
            ("/a/%2e/b", "/a/b"),
            ("/a/%2E%2e/b", "/b"),
            ("/a/.%2e", "/"),
            ("/a/%2e.", "/"),
            ("/x%2ey", "/x.y"),
            ("/a/..;/b", "/b"),
            ("/a/..;x=1;y/b", "/b"),
            ("/a/.;x/b", "/a/b"),
            ("/a/..;", "/"),
            ("/a/%2e%2e;/b", "/b"),
            ("/a/..b;/c", "/a/..b;/c"),
            ("/a;x/../b", "/b"),
            ("/a/;../b", "/a/;../b"),
        ],
    );
}

#[test]
fn backslashes_are_slashes() {
    becomes(
        &NORMALIZE,
        &[("/a\\b", "/a/b"), ("/a\\..\\b", "/b"), ("/\\", "//"), ("/a/..\\b", "/b"), ("/a\\..;\\b", "/b")],
    );
}

#[test]
fn unreserved_bytes_are_decoded_others_kept() {
    becomes(
        &NORMALIZE,
        &[
            ("/%41%7a%30%2D%5f%7e", "/Az0-_~"),
            ("/%2f%2F%5c%5C", "/%2f%2F%5c%5C"),
            ("/%20%21%3b%C3%A9", "/%20%21%3b%C3%A9"),
            ("/%7f%0a%0D", "/%7f%0a%0D"),
            ("/%", "/%"),
            ("/%z", "/%z"),
            ("/%zz", "/%zz"),
            ("/%4", "/%4"),
            ("/a%", "/a%"),
        ],
    );
}

#[test]
fn bytes_no_path_holds_are_encoded() {
    becomes(&NORMALIZE, &[("/|^{}<>\"`", "/%7C%5E%7B%7D%3C%3E%22%60"), ("/[]'!$&()*+,;=:@~", "/[]'!$&()*+,;=:@~")]);
}

#[test]
fn decoding_makes_no_new_escape() {
    becomes(
        &NORMALIZE,
        &[
            ("/%%41", "/%A"),
            ("/%%340", "/%2540"),
            ("/%%34%30", "/%2540"),
            ("/%3%30", "/%2530"),
            ("/%%3a", "/%%3a"),
            ("/%%2e%2e", "/%.."),
            ("/%%320", "/%2520"),
            ("/%%41%5A", "/%AZ"),
        ],
    );
    for hard in ["/%%34%30", "/%%340", "/%3%30", "/%%%34%30", "/%%32%35%34%30"] {
        let (_, once) = run(hard, &NORMALIZE).unwrap();
        assert_eq!(run(&once, &NORMALIZE), Ok((PathOutcome::Unchanged, once.clone())), "{hard}");
    }
}

#[test]
fn the_query_stays() {
    becomes(
        &NORMALIZE,
        &[("/a/../b?x=/../%41|", "/b?x=/../%41|"), ("/a?%00", "/a?%00"), ("/?/./", "/?/./"), ("/a/..?", "/?")],
    );
    becomes(&MERGE, &[("//a?b//c", "/a?b//c")]);
    becomes(&DECODE_AND_MERGE, &[("/a?b%2Fc", "/a?b%2Fc")]);
}

#[test]
fn slashes_are_kept_unless_merged() {
    becomes(&NORMALIZE, &[("//", "//"), ("//a///b//", "//a///b//")]);
    becomes(
        &MERGE,
        &[
            ("//a///b//", "/a/b/"),
            ("/a//../b", "/a/b"),
            ("///", "//"),
            ("//", "//"),
            ("/", "/"),
            ("/a%2F%2Fb", "/a%2F%2Fb"),
        ],
    );
    let merge_only = PathOptions { normalize: false, ..MERGE };
    becomes(&merge_only, &[("//a//../b", "/a/../b"), ("//\\//", "/\\/")]);
}

#[test]
fn escaped_slashes_follow_their_action() {
    becomes(
        &DECODE_AND_MERGE,
        &[
            ("/%2F", "//"),
            ("/a%2fb", "/a/b"),
            ("/a%5Cb", "/a/b"),
            ("/a%2F..%2Fb", "/b"),
            ("/%252F", "/%252F"),
            ("/a%2F%2Fb", "/a/b"),
        ],
    );
    let unescape_only = PathOptions { normalize: false, merge_slashes: false, ..DECODE_AND_MERGE };
    becomes(&unescape_only, &[("/a%5Cb%2F../c", "/a\\b/../c"), ("/%2", "/%2")]);
    let reject = PathOptions { escaped_slashes: EscapedSlashes::Reject, ..NORMALIZE };
    for path in ["/a%2Fb", "/%2f", "/%5c", "/x%5C?y"] {
        assert_eq!(run(path, &reject), Err(PathError::EscapedSlash), "{path}");
    }
    assert_eq!(run("/a?b%2Fc", &reject), Ok((PathOutcome::Unchanged, "/a?b%2Fc".into())));
    let redirect = PathOptions { escaped_slashes: EscapedSlashes::UnescapeAndRedirect, ..MERGE };
    assert_eq!(run("/a%2f%2Fb?c%2F", &redirect), Ok((PathOutcome::Redirect, "/a/b?c%2F".into())));
    assert_eq!(run("/a/./b", &redirect), Ok((PathOutcome::Changed, "/a/b".into())));
}

#[test]
fn nul_is_refused_whatever_the_options() {
    for options in [PathOptions::default(), NORMALIZE, DECODE_AND_MERGE] {
        for path in ["/%00", "/a%00b", "/%%00", "/a/%00/../b"] {
            assert_eq!(run(path, &options), Err(PathError::Nul), "{path}");
        }
    }
}

#[test]
fn without_options_nothing_changes() {
    let nothing = PathOptions::default();
    for path in ["/a/../b", "//", "/%41", "/\\", "*", "", "/|", "/a%2Fb"] {
        assert_eq!(run(path, &nothing), Ok((PathOutcome::Unchanged, path.to_owned())), "{path}");
    }
    assert_eq!(run("*", &DECODE_AND_MERGE), Ok((PathOutcome::Unchanged, "*".into())));
}

#[test]
fn split_cuts_at_the_first_question_mark() {
    assert_eq!(split(b"/a?b?c"), (&b"/a"[..], Some(&b"b?c"[..])));
    assert_eq!(split(b"/a?"), (&b"/a"[..], Some(&b""[..])));
    assert_eq!(split(b"/a"), (&b"/a"[..], None));
}
