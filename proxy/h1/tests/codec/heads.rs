//! Looking at fields and changing them.

use selvedge_h1::{
    EscapedSlashes, FieldError, Fields, Header, HeaderSet, InvalidTarget, Limits, MAX_FIELDS, PathError, PathOptions,
    PathOutcome, RequestHead,
};

use crate::support::{describe_fields, text};

fn fields(list: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in list {
        fields.append(name.as_bytes(), value.as_bytes()).unwrap();
    }
    fields
}

#[test]
fn lookups_see_live_fields_only() {
    let mut fields = fields(&[("cookie", "a"), ("x-own", "1"), ("cookie", "b"), ("x-own", "2"), ("x-owl", "3")]);
    assert_eq!(fields.get(Header::Cookie), Some(&b"a"[..]));
    assert_eq!(fields.find(b"x-own"), Some(&b"1"[..]));
    assert_eq!(fields.get_all(Header::Cookie).count(), 2);
    assert_eq!(fields.find_all(b"x-own").map(text).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(fields.find(b"cookie"), Some(&b"a"[..]));
    assert_eq!(fields.find(b"cookies"), None);
    assert_eq!(fields.get(Header::Other), Some(&b"1"[..]));
    assert_eq!(fields.len(), 5);

    assert!(fields.remove(Header::Cookie));
    assert!(!fields.remove(Header::Cookie));
    assert!(!fields.contains(Header::Cookie) && fields.get(Header::Cookie).is_none());
    assert!(fields.remove_name(b"x-own"));
    assert!(!fields.remove_name(b"x-own"));
    assert_eq!(describe_fields(&fields), " | x-owl=3");
    assert_eq!((fields.len(), fields.is_empty(), fields.wire_length()), (1, false, "x-owl: 3\r\n".len()));
}

#[test]
fn joined_values() {
    let fields = fields(&[("a", "1"), ("b", "2"), ("a", "3"), ("a", "")]);
    let mut scratch = b"old".to_vec();
    assert_eq!(fields.joined(b"a", &mut scratch), Some(&b"1,3,"[..]));
    assert_eq!(fields.joined(b"b", &mut scratch), Some(&b"2"[..]));
    assert_eq!(fields.joined(b"c", &mut scratch), None);
}

#[test]
fn sets_are_removed_at_once() {
    const SET: HeaderSet = HeaderSet::of(&[Header::XEnvoyInternal, Header::Cookie]);
    let mut fields = fields(&[("x-envoy-internal", "a"), ("cookie", "b"), ("accept", "c"), ("x-other", "d")]);
    assert!(fields.contains_any(SET));
    fields.remove_all(SET);
    assert!(!fields.contains_any(SET));
    assert_eq!(describe_fields(&fields), " | accept=c | x-other=d");
    assert!(fields.remove_if(|field| field.name.starts_with(b"x-")));
    assert_eq!(describe_fields(&fields), " | accept=c");
    assert!(!fields.remove_if(|_| false));
    assert!(fields.contains(Header::Accept));
}

#[test]
fn setting_replaces_all() {
    let mut fields = fields(&[("accept", "1"), ("x", "2"), ("accept", "3")]);
    fields.set(b"accept", b"4").unwrap();
    fields.set_known(Header::Server, b"5").unwrap();
    fields.set(b"x", b"6").unwrap();
    assert_eq!(describe_fields(&fields), " | accept=4 | server=5 | x=6");
    assert_eq!(fields.get(Header::Accept), Some(&b"4"[..]));
}

#[test]
fn lists_grow() {
    let mut fields = fields(&[("x-forwarded-for", "1"), ("via", "v"), ("x-forwarded-for", "2")]);
    fields.extend_list(Header::XForwardedFor, b",", b"3").unwrap();
    assert_eq!(describe_fields(&fields), " | via=v | x-forwarded-for=1,2,3");
    fields.extend_list(Header::XForwardedFor, b",", b"4").unwrap();
    assert_eq!(fields.get(Header::XForwardedFor), Some(&b"1,2,3,4"[..]));
    fields.extend_list(Header::Forwarded, b", ", b"for=x").unwrap();
    assert_eq!(fields.get(Header::Forwarded), Some(&b"for=x"[..]));
    assert_eq!(fields.extend_list(Header::Via, b",", b"\r\n"), Err(FieldError::Value));
    assert_eq!(fields.get(Header::Via), Some(&b"v"[..]));
}

#[test]
fn nothing_is_injected() {
    let mut fields = fields(&[("a", "b")]);
    for (name, value, error) in [
        ("x", "a\r\nevil: b", FieldError::Value),
        ("x", "a\nb", FieldError::Value),
        ("x", "\0", FieldError::Value),
        ("x", "0123456789abcdef\u{7f}", FieldError::Value),
        ("x y", "a", FieldError::Name),
        ("x:", "a", FieldError::Name),
        ("X-Upper", "a", FieldError::Name),
        ("Accept", "a", FieldError::Name),
        ("", "a", FieldError::Name),
        ("x\r\n", "a", FieldError::Name),
    ] {
        assert_eq!(fields.append(name.as_bytes(), value.as_bytes()), Err(error), "{name:?} {value:?}");
    }
    assert_eq!(fields.append_known(Header::Server, b"a\rb"), Err(FieldError::Value));
    assert_eq!(fields.append_known(Header::Other, b"a"), Err(FieldError::Name));
    assert_eq!(fields.append_value(Header::Server, |value| value.put(b"\x01")), Err(FieldError::Value));
    assert_eq!(describe_fields(&fields), " | a=b");
    assert!(!fields.contains(Header::Server));
    let mut head = RequestHead::new();
    for path in ["/a b", "/a\r\n", "/\u{e9}", "/a#b", "/\0"] {
        assert_eq!(head.set_path(path.as_bytes()), Err(InvalidTarget), "{path:?}");
    }
    for authority in ["a b", "a\r\n", "a/b", "\u{e9}"] {
        assert_eq!(head.set_authority(authority.as_bytes()), Err(InvalidTarget), "{authority:?}");
    }
    assert!(head.set_path(b"").is_ok());
}

#[test]
fn the_table_is_bounded() {
    let mut fields = Fields::new();
    for number in 0..MAX_FIELDS {
        fields.append_value(Header::SetCookie, |value| value.put_number(number as u64)).unwrap();
    }
    assert_eq!(fields.append(b"x", b"y"), Err(FieldError::Full));
    assert_eq!(fields.extend_list(Header::SetCookie, b",", b"y"), Err(FieldError::Full));
    assert_eq!(fields.get_all(Header::SetCookie).last(), Some(&b"255"[..]));
    assert_eq!(fields.len(), MAX_FIELDS);
}

#[test]
fn a_cleared_head_remembers_nothing() {
    let input =
        b"GET /a#x HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\nUpgrade: x\r\nExpect: 100-continue\r\n\r\n";
    let plain = b"GET /b HTTP/1.1\r\nHost: b\r\n\r\n";
    let mut head = RequestHead::new();
    head.parse(input, &Limits::DEFAULT).unwrap().unwrap();
    assert!(head.upgrade().is_some() && !head.keep_alive && head.expect_continue && head.had_fragment);
    head.clear();
    head.parse(plain, &Limits::DEFAULT).unwrap().unwrap();
    assert!(head.upgrade().is_none() && head.keep_alive && !head.expect_continue && !head.had_fragment);
    assert_eq!((head.path_and_query(), head.authority(), head.fields().len()), (&b"/b"[..], &b"b"[..], 0));
    head.clear();
    let _ = head.parse(b"GET /c HTTP/1.1\r\nHost: c\r\nbad line\r\n", &Limits::DEFAULT).unwrap_err();
    assert_eq!(
        (text(head.path_and_query()), text(head.authority())),
        ("/c".into(), "c".into()),
        "readable for the log"
    );
}

#[test]
fn paths_are_normalised_in_place() {
    let normalize = PathOptions { normalize: true, merge_slashes: true, escaped_slashes: EscapedSlashes::Keep };
    let run = |target: &str, options: &PathOptions| {
        let mut head = RequestHead::new();
        let input = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        head.parse(input.as_bytes(), &Limits::DEFAULT).unwrap().unwrap();
        let outcome = head.normalize_path(options);
        assert_eq!(text(head.original_path_and_query()), target.split('#').next().unwrap());
        (outcome, text(head.path_and_query()))
    };
    assert_eq!(run("/a/../b?c", &normalize), (Ok(PathOutcome::Changed), "/b?c".into()));
    assert_eq!(run("/a//b", &normalize), (Ok(PathOutcome::Changed), "/a/b".into()));
    assert_eq!(run("/a/b.css?c=%41", &normalize), (Ok(PathOutcome::Unchanged), "/a/b.css?c=%41".into()));
    assert_eq!(run("/a%41|", &normalize), (Ok(PathOutcome::Changed), "/aA%7C".into()));
    assert_eq!(run("/a/./b#c", &normalize), (Ok(PathOutcome::Changed), "/a/b".into()));
    assert_eq!(run("/%00", &PathOptions::default()).0, Err(PathError::Nul));
    assert_eq!(run("/a/../b", &PathOptions::default()), (Ok(PathOutcome::Unchanged), "/a/../b".into()));
    let redirect = PathOptions { escaped_slashes: EscapedSlashes::UnescapeAndRedirect, ..normalize };
    assert_eq!(run("/a%2Fb?c", &redirect), (Ok(PathOutcome::Redirect), "/a/b?c".into()));
}
