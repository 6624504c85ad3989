//! Every file of `fuzz/seeds` through the target that its folder names: what a fuzzer found once stays found.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod corpus;
mod damaged;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use selvedge_fuzz_targets::{TARGETS, Target};

use crate::corpus::Seed;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

#[test]
fn every_seed_passes_and_each_target_takes_a_third_of_its_seeds() -> Result<(), String> {
    let seeds = corpus::read(&fuzz())?;
    let wrong: Vec<String> = TARGETS.iter().flat_map(|(name, target)| run(name, *target, &seeds)).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join(", ")) }
}

/// What is wrong with a target or its seeds.
fn run(name: &str, target: Target, seeds: &[Seed]) -> Vec<String> {
    let (mut wrong, mut taken, mut all) = (Vec::new(), 0, 0);
    for seed in seeds.iter().filter(|seed| seed.target == name) {
        all += 1;
        match std::panic::catch_unwind(|| target(&seed.content)) {
            Ok(was_taken) => taken += usize::from(was_taken),
            Err(_) => wrong.push(format!("{name} does not pass {}", seed.path.display())),
        }
    }
    if taken == 0 || taken < all / 3 {
        wrong.push(format!("{name} takes {taken} of {all} seeds"));
    }
    wrong
}

#[test]
fn there_is_a_fuzzer_and_a_folder_of_seeds_for_each_target() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let stems = |folder: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(fuzz().join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(stems("seeds"), names);
    assert_eq!(stems("fuzz_targets"), names);
}
