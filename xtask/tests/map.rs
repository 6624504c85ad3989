//! What ARCHITECTURE.md names is there: files, by the end of their paths, and what it says is in one of them.

use std::path::{Path, PathBuf};

const MAP: &str = include_str!("../../ARCHITECTURE.md");

/// The text without its drawings, and the drawings, each in words.
fn parts() -> (String, String) {
    let (mut text, mut drawings) = (String::new(), String::new());
    for (at, part) in MAP.split("```").enumerate() {
        let into = if at % 2 == 0 { &mut text } else { &mut drawings };
        into.extend(part.split_whitespace().flat_map(|word| [word, " "]));
    }
    (text, drawings)
}

/// Every file under version control or about to be: what is built is left out.
fn files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let is_built = name == "target" || name == "node_modules" || name.to_string_lossy().starts_with('.');
        match entry.file_type()?.is_dir() {
            true if is_built => {}
            true => files(&path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`.
fn spelled_out(name: &str) -> Vec<String> {
    let Some((before, (inner, after))) =
        name.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    else {
        return vec![name.to_owned()];
    };
    inner.split(',').flat_map(|one| spelled_out(&format!("{before}{one}{after}"))).collect()
}

fn is_file(name: &str) -> bool {
    let is_path = |char: char| char.is_ascii_alphanumeric() || "_-/{},.".contains(char);
    [".rs", ".md", ".yaml"].iter().any(|end| name.ends_with(end)) && name.chars().all(is_path)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

struct Repository(Vec<PathBuf>);

impl Repository {
    fn read() -> std::io::Result<Self> {
        let mut found = Vec::new();
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut found)?;
        Ok(Self(found))
    }

    fn with_end(&self, end: &str) -> impl Iterator<Item = &PathBuf> {
        self.0.iter().filter(move |path| path.ends_with(end))
    }

    fn lacks(&self, name: &str) -> bool {
        spelled_out(name).iter().any(|name| self.with_end(name).next().is_none())
    }

    /// Whether any of the files that a name may mean has a word.
    fn says(&self, name: &str, word: &str) -> bool {
        let is_there = |path: &PathBuf| std::fs::read_to_string(path).is_ok_and(|text| text.contains(word));
        spelled_out(name).iter().any(|name| self.with_end(name).any(is_there))
    }
}

/// Files of which the map says that other programs write or read them: none of the repository.
const OF_OTHERS: [&str; 1] = ["edge.yaml"];

#[test]
fn files_that_the_map_names_are_there() -> std::io::Result<()> {
    let (repository, (text, drawings)) = (Repository::read()?, parts());
    let in_text = text.split('`').skip(1).step_by(2);
    let in_drawings = drawings.split([' ', ',', ';', ':', '(', ')']);
    let named: Vec<_> = in_text.chain(in_drawings).filter(|name| is_file(name) && !OF_OTHERS.contains(name)).collect();
    let missing: Vec<_> = named.iter().filter(|name| repository.lacks(name)).collect();
    assert!(named.len() > 150 && missing.is_empty(), "{} names, of which are not there: {missing:?}", named.len());
    assert!(repository.lacks("edge/invented.rs") && repository.lacks("edge/{node,invented}.rs"));
    Ok(())
}

#[test]
fn what_the_map_says_is_in_a_file_is_in_it() -> std::io::Result<()> {
    let (repository, (text, _)) = (Repository::read()?, parts());
    // What is in backticks, and what follows each.
    let pieces: Vec<&str> = text.split('`').collect();
    let mut said = 0;
    for window in pieces[1..].windows(4).step_by(2) {
        let [first, between, second, after] = window else { continue };
        let (file, word) = match *between {
            // `file.rs` (`word`), and `file.rs`, `word`
            " (" | ", " if is_file(first) && is_name(second) && after.starts_with([')', ',', ':', ';', ' ']) => {
                (first, second)
            }
            // `word` in `file.rs`
            " in " if is_name(first) && is_file(second) => (second, first),
            _ => continue,
        };
        said += 1;
        assert!(repository.says(file, word), "there is no {word} in {file}");
    }
    assert!(said > 30, "{said}");
    assert!(!repository.says("edge/node.rs", "invented_word"));
    Ok(())
}
