//! A damaged corpus says so, in one line that names the file.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::corpus::{LIST, read};

const SEED: &str = "seeds/hpack/hello";
/// Of "hello".
const CHECKSUM: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn corpus() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("seeds/hpack")).unwrap();
    fs::write(root.path().join(SEED), "hello").unwrap();
    fs::write(root.path().join(LIST), format!("{CHECKSUM}  {SEED}\n")).unwrap();
    root
}

/// Damages a corpus and checks the words about it.
fn says(damage: impl FnOnce(&Path), file: &str, words: &str) {
    let root = corpus();
    damage(root.path());
    let error = read(root.path()).unwrap_err();
    assert!(!error.contains('\n'), "{error}");
    let begin = format!("{}", root.path().join(file).display());
    assert!(error.starts_with(&begin) && error.contains(words), "{error}");
}

#[test]
fn a_whole_corpus_is_read() {
    let root = corpus();
    let seeds = read(root.path()).unwrap();
    let [seed] = seeds.as_slice() else { panic!("{seeds:?}") };
    assert_eq!((seed.target.as_str(), seed.content.as_slice()), ("hpack", &b"hello"[..]));
}

#[test]
fn a_seed_that_was_cut_off() {
    says(|root| fs::write(root.join(SEED), "hel").unwrap(), SEED, "not the seed that seeds.sha256 lists");
}

#[test]
fn a_seed_that_is_missing() {
    says(|root| fs::remove_file(root.join(SEED)).unwrap(), SEED, "No such file");
}

#[test]
fn a_folder_instead_of_a_seed() {
    let damage = |root: &Path| {
        fs::remove_file(root.join(SEED)).unwrap();
        fs::create_dir(root.join(SEED)).unwrap();
    };
    says(damage, SEED, "directory");
}

#[test]
fn a_seed_that_is_not_listed() {
    let unknown = "seeds/hpack/unknown";
    says(|root| fs::write(root.join(unknown), "x").unwrap(), unknown, "seeds.sha256 does not list it");
}

#[test]
fn a_file_among_the_folders_of_seeds() {
    says(|root| fs::write(root.join("seeds/stray"), "x").unwrap(), "seeds/stray", "Not a directory");
}

#[test]
fn a_list_that_is_missing_or_not_a_list() {
    says(|root| fs::remove_file(root.join(LIST)).unwrap(), LIST, "No such file");
    says(|root| fs::write(root.join(LIST), "<html>\n").unwrap(), LIST, ":1: not a checksum and a seed");
    says(|root| fs::write(root.join(LIST), [0xff]).unwrap(), LIST, "UTF-8");
}
