use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

const EXPORTS: &str = "export: [{hosts: ['*']}]\n";
const IMPORTS: &str = "import: [{hosts: ['*']}]\n";

async fn open(folder: &TempDir) -> anyhow::Result<ConfigFile> {
    let setting = Setting { has_control_plane: false, workers: 2 };
    ConfigFile::open(folder.path(), setting, Arc::new(ConfigCounters::new("overlay."))).await
}

async fn following(text: &str) -> (TempDir, ConfigFile) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), text).unwrap();
    let file = open(&folder).await.unwrap();
    (folder, file)
}

/// Looks once, so long after `begin`; whether something was judged.
async fn look(file: &mut ConfigFile, begin: Instant, after: Duration) -> bool {
    let content = read(&file.path).await;
    let is_settled = file.is_settled(content, begin + after);
    if is_settled {
        file.judge();
    }
    is_settled
}

fn exports(file: &ConfigFile) -> bool {
    !file.current.borrow().export.is_empty()
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[tokio::test]
async fn what_has_been_there_for_a_moment_is_in_force_and_what_is_being_written_is_not() {
    let (folder, mut file) = following("").await;
    let (path, begin) = (folder.path().join(FILE), Instant::now());
    std::fs::write(&path, EXPORTS).unwrap();
    assert!(!look(&mut file, begin, ms(0)).await);
    std::fs::write(&path, format!("{EXPORTS}import: [{{hosts: ['*'], edg")).unwrap();
    assert!(!look(&mut file, begin, ms(200)).await, "it has changed meanwhile");
    std::fs::write(&path, format!("{EXPORTS}{IMPORTS}")).unwrap();
    assert!(!look(&mut file, begin, ms(400)).await);
    assert!(look(&mut file, begin, ms(600)).await);
    assert!(exports(&file) && !file.current.borrow().import.is_empty());
    assert!(!look(&mut file, begin, ms(10_000)).await, "nothing is read twice");
    let counts = (file.counters.configuration_loaded.get(), file.counters.configuration_rejected.get());
    assert_eq!(counts, (1, 0), "a half-written file is no error");
}

#[tokio::test]
async fn a_file_that_is_gone_for_long_offers_and_takes_nothing() {
    let (folder, mut file) = following(EXPORTS).await;
    let (path, begin) = (folder.path().join(FILE), Instant::now());
    std::fs::remove_file(&path).unwrap();
    assert!(!look(&mut file, begin, ms(0)).await);
    assert!(!look(&mut file, begin, ms(2_000)).await);
    std::fs::write(&path, EXPORTS).unwrap();
    assert!(!look(&mut file, begin, ms(2_500)).await);
    std::fs::write(&path, " \n").unwrap();
    assert!(!look(&mut file, begin, ms(3_000)).await && !look(&mut file, begin, ms(5_999)).await);
    assert!(exports(&file));
    assert!(look(&mut file, begin, ms(6_000)).await && !exports(&file));
}

#[tokio::test]
async fn what_is_wrong_is_named_and_what_was_in_force_stays() {
    let (folder, mut file) = following(EXPORTS).await;
    let (path, current) = (folder.path().join(FILE), file.current());
    let mut begin = Instant::now();
    for (wrong, field) in [
        ("exports: []", "exports"),
        ("export: [{}]", "export[0]"),
        ("terminate: {}", "terminate"),
        ("importAddresses: 127.99.0.0/16", "importAddresses: cannot change while the edge runs"),
    ] {
        std::fs::write(&path, wrong).unwrap();
        assert!(!look(&mut file, begin, ms(0)).await && look(&mut file, begin, ms(200)).await, "{wrong}");
        let problem = file.problem.borrow().clone().unwrap();
        assert!(problem.starts_with(&format!("{}: ", path.display())) && problem.contains(field), "{problem}");
        assert!(exports(&file), "{wrong}");
        begin += ms(1_000);
    }
    std::fs::write(&path, b"export: \xff").unwrap();
    assert!(!look(&mut file, begin, ms(0)).await && look(&mut file, begin, ms(200)).await);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(!look(&mut file, begin, ms(400)).await && look(&mut file, begin, ms(600)).await);
    assert!(file.problem.borrow().as_ref().unwrap().contains("not a regular file"));
    assert_eq!(file.counters.configuration_rejected.get(), 6);

    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, EXPORTS).unwrap();
    assert!(!look(&mut file, begin, ms(800)).await && look(&mut file, begin, ms(1_000)).await);
    assert_eq!(*file.problem.borrow(), None);
    assert!(!current.has_changed().unwrap(), "it is what was in force");
}

/// As Kubernetes replaces the files of a ConfigMap: `edge.yaml` leads to `..data/edge.yaml`, and `..data` is turned to another folder.
#[tokio::test]
async fn a_link_that_is_turned_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let version = |name: &str, text: &str| {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join(FILE), text).unwrap();
        symlink(name, folder.path().join("..new")).unwrap();
        std::fs::rename(folder.path().join("..new"), folder.path().join("..data")).unwrap();
    };
    version("..1", IMPORTS);
    symlink(Path::new("..data").join(FILE), folder.path().join(FILE)).unwrap();
    let mut file = open(&folder).await.unwrap();
    let mut current = file.current();
    version("..2", EXPORTS);
    let begin = Instant::now();
    assert!(!look(&mut file, begin, ms(0)).await && look(&mut file, begin, ms(200)).await);
    assert!(current.has_changed().unwrap() && !current.borrow_and_update().export.is_empty());
}

#[tokio::test]
async fn without_a_file_nothing_is_selected_and_a_bad_one_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(**open(&folder).await.unwrap().current.borrow(), EdgeConfig::default());
    std::fs::write(folder.path().join(FILE), "uplinks: [wan0]").unwrap();
    let error = open(&folder).await.unwrap_err().to_string();
    assert!(error.contains(FILE) && error.contains("uplinks[0]"), "{error}");
}
