use super::*;
use crate::Options;

fn gateway(port: u16) -> String {
    let server = format!("{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ['*']}}");
    let kind = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: web}\n";
    format!("{kind}spec: {{servers: [{server}]}}\n")
}

/// A folder and the looks at it, at times that the test makes up.
struct Scene {
    folder: tempfile::TempDir,
    look: Look,
    now: Instant,
}

impl Scene {
    /// With one file that has been loaded.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), gateway(8080)).unwrap();
        Self::of(folder)
    }

    fn of(folder: tempfile::TempDir) -> Self {
        let look = Look::new(LocalControlPlane::new(folder.path(), Options::default()));
        let mut scene = Self { folder, look, now: Instant::now() };
        assert_eq!(listeners(&loaded(scene.check())), ["0.0.0.0_8080"], "the first state counts at once");
        scene
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.file(name), text).unwrap();
    }

    fn check(&mut self) -> Option<Event> {
        self.look.check(self.now)
    }

    /// A look after so many milliseconds.
    fn after(&mut self, milliseconds: u64) -> Option<Event> {
        self.now += Duration::from_millis(milliseconds);
        self.check()
    }

    /// What the second look makes of a change, after the first has waited; it comes soon.
    fn changed(&mut self) -> Option<Event> {
        assert_eq!(self.after(500), None, "the first look waits for a second");
        self.after(200)
    }
}

fn loaded(event: Option<Event>) -> Generated {
    match event {
        Some(Event::Loaded(generated)) => *generated,
        other => panic!("{other:?}"),
    }
}

fn listeners(generated: &Generated) -> Vec<&str> {
    generated.summary.listeners.iter().map(|listener| listener.name.as_str()).collect()
}

#[test]
fn a_change_is_seen_and_named() {
    let mut scene = Scene::new();
    let first = scene.look.control_plane.load().unwrap();
    assert_eq!(scene.changed(), None, "nothing changed");

    scene.write("b.yaml", gateway(9090).replace("web", "more"));
    let second = loaded(scene.changed());
    let changes = second.changes_since(Some(&first));
    let changed: Vec<_> = changes.changed.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(changed, ["0.0.0.0_9090", "http.9090"]);
    assert!(changes.removed.is_empty());

    fs::remove_file(scene.file("a.yaml")).unwrap();
    assert_eq!(scene.changed(), None, "it may be written again");
    let changes = loaded(scene.after(2800)).changes_since(Some(&second));
    assert!(changes.changed.is_empty(), "{changes:?}");
    let removed: Vec<_> = changes.removed.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(removed, ["0.0.0.0_8080", "http.8080"]);
}

#[test]
fn a_bad_folder_is_rejected_until_it_is_good_again() {
    let mut scene = Scene::new();
    scene.write("a.yaml", gateway(8080).replace("HTTP}", "SMTP}"));
    match scene.changed() {
        Some(Event::Rejected(problems)) => assert!(problems[0].to_string().starts_with("a.yaml:4: "), "{problems:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.after(500), None, "it is said once");
    scene.write("a.yaml", gateway(8081));
    assert_eq!(listeners(&loaded(scene.changed())), ["0.0.0.0_8081"]);
}

#[test]
fn a_file_that_is_being_written_is_left_until_it_is_whole() {
    let mut scene = Scene::new();
    scene.write("a.yaml", "");
    assert_eq!(scene.after(100), None);
    assert_eq!(scene.after(500), None, "an empty file is not believed yet");
    scene.write("a.yaml", "# the beginning");
    assert_eq!(scene.after(400), None);
    scene.write("a.yaml", gateway(8081));
    assert_eq!(listeners(&loaded(scene.changed())), ["0.0.0.0_8081"]);
}

#[test]
fn a_file_that_changes_all_the_time_does_not_keep_the_others_from_being_read() {
    let mut scene = Scene::new();
    scene.write("b.yaml", gateway(9090).replace("web", "more"));
    let mut read = Vec::new();
    for tenth in 0..70 {
        scene.write("busy.yaml", format!("# {tenth}"));
        read.extend(scene.after(100).map(|event| (tenth, listeners(&loaded(Some(event))).len())));
    }
    assert_eq!(read, [(30, 2)], "what the busy file comes to is always the same");
    assert!(scene.look.differs.is_some(), "it was read once more, and has changed since");
}

#[test]
fn a_file_that_is_empty_or_gone_for_long_is_believed() {
    for leave in [|path: &Path| fs::write(path, "").unwrap(), |path: &Path| fs::remove_file(path).unwrap()] {
        let mut scene = Scene::new();
        leave(&scene.file("a.yaml"));
        assert_eq!(scene.after(500), None);
        scene.write("b.yaml", gateway(9090).replace("web", "more"));
        assert_eq!(scene.after(500), None);
        assert_eq!(scene.after(2400), None, "the whole folder waits");
        assert_eq!(listeners(&loaded(scene.after(100))), ["0.0.0.0_9090"]);
        assert_eq!(scene.after(500), None);
    }
}

#[test]
fn each_file_has_its_own_time_to_come_back() {
    let mut scene = Scene::new();
    scene.write("b.yaml", gateway(9090).replace("web", "more"));
    loaded(scene.changed());
    fs::remove_file(scene.file("a.yaml")).unwrap();
    assert_eq!(scene.after(500), None);
    assert_eq!(scene.after(2000), None);
    scene.write("a.yaml", gateway(8080));
    fs::remove_file(scene.file("b.yaml")).unwrap();
    assert_eq!(scene.after(500), None);
    assert_eq!(scene.after(600), None, "b.yaml has been gone for less than the time");
    assert_eq!(listeners(&loaded(scene.after(2400))), ["0.0.0.0_8080"]);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_read_again() {
    let mut scene = Scene::new();
    let file = scene.file("a.yaml");
    fs::write(&file, "").unwrap();
    scene.write("b.yaml", gateway(9090).replace("web", "more"));
    assert_eq!(scene.after(500), None);
    scene.now += GONE_AFTER;
    let event = scene.look.check_with(scene.now, |control_plane| {
        let generated = control_plane.load();
        fs::write(&file, gateway(8081)).unwrap();
        generated
    });
    assert_eq!(event, None);
    assert_eq!(listeners(&loaded(scene.changed())), ["0.0.0.0_8081", "0.0.0.0_9090"]);
}

#[test]
fn files_replaced_by_renaming_are_seen() {
    let mut scene = Scene::new();
    scene.write("a.tmp", gateway(8081));
    assert_eq!(scene.changed(), None);
    fs::rename(scene.file("a.tmp"), scene.file("a.yaml")).unwrap();
    assert_eq!(listeners(&loaded(scene.changed())), ["0.0.0.0_8081"]);
}

#[test]
fn a_mounted_config_map_that_is_turned_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    for (name, port) in [("..one", 8080), ("..two", 8081)] {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join("a.yaml"), gateway(port)).unwrap();
    }
    std::os::unix::fs::symlink("..one", root.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
    let mut scene = Scene::of(folder);
    std::os::unix::fs::symlink("..two", root.join("..next")).unwrap();
    fs::rename(root.join("..next"), root.join("..data")).unwrap();
    assert_eq!(listeners(&loaded(scene.changed())), ["0.0.0.0_8081"]);
}

/// In the other tests no file is old enough to count as settled; here every file is at once.
#[test]
fn changes_of_settled_files_are_seen() {
    let mut scene = Scene::new();
    scene.look.unsettled_seconds = 0;
    assert_eq!(scene.after(500), None);
    scene.write("a.yaml", gateway(18080));
    assert!(matches!(scene.changed(), Some(Event::Loaded(_))), "another size");
    scene.write("new", gateway(18081));
    fs::rename(scene.file("new"), scene.file("a.yaml")).unwrap();
    assert!(matches!(scene.changed(), Some(Event::Loaded(_))), "another file of the same size");
    assert_eq!(scene.changed(), None);
}

#[test]
fn the_second_look_comes_soon_and_only_then() {
    let mut scene = Scene::new();
    assert_eq!((scene.after(500), scene.look.pause()), (None, INTERVAL));
    scene.write("a.yaml", gateway(18080));
    assert_eq!((scene.after(500), scene.look.pause()), (None, SETTLED_AFTER));
    scene.write("a.yaml", gateway(8081));
    assert_eq!((scene.after(200), scene.look.pause()), (None, SETTLED_AFTER), "it goes on changing");
    assert_eq!(listeners(&loaded(scene.after(200))), ["0.0.0.0_8081"]);
    assert_eq!(scene.look.pause(), INTERVAL);
}
