use super::*;

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn names(root: &Path) -> Vec<String> {
    let problems = Problems::default();
    let found = files(root, &problems);
    assert!(problems.into_sorted().is_empty());
    found.iter().map(|path| relative(root, path).to_string()).collect()
}

#[test]
fn files_are_found_in_folders_and_sorted() {
    let root = tempfile::tempdir().unwrap();
    for file in ["b.yaml", "a/z.yml", "a/b/c.json", "notes.txt", ".hidden.yaml", ".git/config.yaml"] {
        write(root.path(), file, "");
    }
    assert_eq!(names(root.path()), ["a/b/c.json", "a/z.yml", "b.yaml"]);
}

#[test]
fn links_of_a_mounted_config_map_are_followed_once() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "..2026_01/a.yaml", "");
    std::os::unix::fs::symlink("..2026_01", root.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/a.yaml", root.path().join("a.yaml")).unwrap();
    assert_eq!(names(root.path()), ["a.yaml"]);
}

#[test]
fn a_loop_of_links_ends() {
    let root = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(".", root.path().join("again")).unwrap();
    let problems = Problems::default();
    files(root.path(), &problems);
    let said = problems.into_sorted();
    assert!(said[0].message.starts_with("is nested deeper than"), "{said:?}");
}

#[test]
fn big_files_are_refused() {
    let root = tempfile::tempdir().unwrap();
    File::create(root.path().join("big.yaml")).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    let problems = Problems::default();
    folder(root.path(), &problems);
    assert_eq!(problems.into_sorted()[0].to_string(), "big.yaml: is bigger than 16 MiB");
}

#[test]
fn a_file_that_grows_while_it_is_read_is_bounded() {
    assert_eq!(read_at_most(io::repeat(b'#'), 1000).unwrap(), None);
    assert_eq!(read_at_most(&b"1234"[..], 4).unwrap().unwrap(), b"1234");
}

#[test]
fn many_big_files_are_refused_where_they_become_too_much() {
    let root = tempfile::tempdir().unwrap();
    let size = MAX_FILE_BYTES - 100;
    for number in 1..=6 {
        let mut text = format!("# {number}\n").into_bytes();
        text.resize(usize::try_from(size).unwrap(), b'#');
        fs::write(root.path().join(format!("{number}.yaml")), text).unwrap();
    }
    let problems = Problems::default();
    folder(root.path(), &problems);
    let said: Vec<_> = problems.into_sorted().iter().map(ToString::to_string).collect();
    assert_eq!(said, ["5.yaml: with this the folder has more than 64 MiB, aliases resolved"]);
}

#[test]
fn a_folder_that_cannot_be_listed_to_its_end_is_refused() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a.yaml", "");
    let first = fs::read_dir(root.path()).unwrap();
    let entries = first.chain([Err(io::Error::other("the disk is broken"))]);
    let (problems, mut found) = (Problems::default(), Vec::new());
    sort_out(root.path(), root.path(), 0, entries, &mut found, &problems);
    let said = problems.into_sorted();
    assert!(said[0].message.contains("the disk is broken"), "{said:?}");
}

#[test]
fn what_is_no_file_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("a.yaml")).unwrap();
    let problems = Problems::default();
    folder(root.path(), &problems);
    assert_eq!(problems.into_sorted()[0].to_string(), "a.yaml: is not a file");
}
