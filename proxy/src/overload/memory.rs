//! How much memory is in use, as the kernel tells it.

use std::io;
use std::path::{Path, PathBuf};

/// Limits from here on are how version 1 of control groups writes that there is none.
const NO_LIMIT: u64 = 1 << 60;

/// The files that tell it.
#[derive(Clone, Debug)]
pub struct MemoryFiles {
    statm: PathBuf,
    page_size: u64,
    groups: Vec<Group>,
}

/// A control group that we are in.
#[derive(Clone, Debug)]
struct Group {
    folder: PathBuf,
    names: &'static Names,
}

/// What the files of a version of control groups are called, and the entries of its `memory.stat`.
#[derive(Debug)]
struct Names {
    limit: &'static str,
    usage: &'static str,
    file: &'static str,
    shmem: &'static str,
    /// Of version 2 alone.
    slab: Option<&'static str>,
}

const VERSION_1: Names = Names {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    file: "total_cache",
    shmem: "total_shmem",
    slab: None,
};
const VERSION_2: Names = Names {
    limit: "memory.max",
    usage: "memory.current",
    file: "file",
    shmem: "shmem",
    slab: Some("slab_reclaimable"),
};

impl MemoryFiles {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self::below(Path::new("/"))
    }

    /// Those of this process where `root` is the root of the file system.
    pub fn below(root: &Path) -> Self {
        let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        Self {
            statm: root.join("proc/self/statm"),
            page_size: rustix::param::page_size() as u64,
            groups: groups.lines().flat_map(|line| groups_of(root, line)).collect(),
        }
    }

    /// Bytes of this process that are resident.
    pub(super) fn resident(&self) -> io::Result<u64> {
        let text = std::fs::read_to_string(&self.statm)?;
        let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
        Ok(pages.ok_or(io::ErrorKind::InvalidData)?.saturating_mul(self.page_size))
    }

    /// The share of its limit that our control group uses, or the one above it that is closest to its limit; nothing if none
    /// has a limit. `most` is a limit of our own for the innermost.
    pub(super) fn cgroup_pressure(&self, most: Option<u64>) -> io::Result<Option<f64>> {
        let mut highest: Option<f64> = None;
        let mut most = most;
        for group in &self.groups {
            let own = group.limit()?;
            let Some(limit) = own.into_iter().chain(most.take()).min() else { continue };
            let pressure = group.in_use()? as f64 / limit.max(1) as f64;
            highest = Some(highest.map_or(pressure, |highest| highest.max(pressure)));
        }
        Ok(highest)
    }
}

/// The groups of a line of `/proc/self/cgroup` that count memory, the innermost first. In a container the path may be that on the
/// host while the file system shows only what is below it: what is not there is left out.
fn groups_of(root: &Path, line: &str) -> Vec<Group> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { return Vec::new() };
    let (mount, names) = match controllers {
        "" => ("sys/fs/cgroup", &VERSION_2),
        controllers if controllers.split(',').any(|name| name == "memory") => ("sys/fs/cgroup/memory", &VERSION_1),
        _ => return Vec::new(),
    };
    let mount = root.join(mount);
    let inside = Path::new(path.trim_start_matches('/'));
    let folders = inside.ancestors().map(|path| mount.join(path));
    folders.map(|folder| Group { folder, names }).filter(|group| group.folder.join(names.usage).exists()).collect()
}

impl Group {
    fn limit(&self) -> io::Result<Option<u64>> {
        let text = match std::fs::read_to_string(self.folder.join(self.names.limit)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        match text.trim() {
            "max" => Ok(None),
            number => Ok(Some(parse(number)?).filter(|limit| *limit < NO_LIMIT)),
        }
    }

    /// Bytes that the kernel cannot take back: all but the cache of files, and what it remembers of the file system. Memory that is
    /// shared counts as a file's, and stays.
    fn in_use(&self) -> io::Result<u64> {
        let usage = parse(std::fs::read_to_string(self.folder.join(self.names.usage))?.trim())?;
        let stat = std::fs::read_to_string(self.folder.join("memory.stat"))?;
        let entry = |name: &str| {
            stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<u64>().ok()).unwrap_or(0)
        };
        let cache = entry(self.names.file).saturating_sub(entry(self.names.shmem));
        let slab = self.names.slab.map_or(0, entry);
        Ok(usage.saturating_sub(cache).saturating_sub(slab))
    }
}

fn parse(number: &str) -> io::Result<u64> {
    number.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn files(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        root
    }

    fn pressure(root: &TempDir, most: Option<u64>) -> Option<f64> {
        MemoryFiles::below(root.path()).cgroup_pressure(most).unwrap()
    }

    #[test]
    fn this_process_uses_some() {
        let resident = MemoryFiles::of_process().resident().unwrap();
        assert!(resident > 1 << 20, "{resident}");
    }

    #[test]
    fn in_a_container_what_the_kernel_can_take_back_does_not_count_but_shared_memory_does() {
        let root = files(&[
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "1000\n"),
            ("sys/fs/cgroup/memory.current", "950\n"),
            (
                "sys/fs/cgroup/memory.stat",
                "anon 300\nfile 500\nkernel 150\nshmem 100\nfile_mapped 7\nslab_reclaimable 50\n",
            ),
        ]);
        assert_eq!(pressure(&root, None), Some(0.5));
        assert_eq!(pressure(&root, Some(5000)), Some(0.5));
        assert_eq!(pressure(&root, Some(625)), Some(0.8));
    }

    #[test]
    fn the_group_closest_to_its_limit_counts() {
        let root = files(&[
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/memory.current", "10\n"),
            ("sys/fs/cgroup/a/b/memory.stat", "file 0\n"),
            ("sys/fs/cgroup/a/memory.max", "100\n"),
            ("sys/fs/cgroup/a/memory.current", "40\n"),
            ("sys/fs/cgroup/a/memory.stat", "file 0\n"),
        ]);
        assert_eq!(pressure(&root, None), Some(0.4));
        assert_eq!(pressure(&root, Some(20)), Some(0.5), "a limit of our own is that of the innermost");
    }

    #[test]
    fn version_1_and_paths_of_the_host() {
        let root = files(&[
            ("proc/self/cgroup", "5:devices:/x\n4:memory:/kubepods/pod/container\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "200\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "150\n"),
            ("sys/fs/cgroup/memory/memory.stat", "cache 1\ntotal_cache 60\ntotal_shmem 10\n"),
        ]);
        assert_eq!(pressure(&root, None), Some(0.5));
    }

    #[test]
    fn without_a_limit_there_is_no_pressure() {
        let unlimited = files(&[
            ("proc/self/cgroup", "4:memory:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "150\n"),
            ("sys/fs/cgroup/memory/memory.stat", ""),
        ]);
        assert_eq!(pressure(&unlimited, None), None);
        assert_eq!(pressure(&files(&[]), None), None);
        assert_eq!(pressure(&files(&[]), Some(1)), None, "nothing is known of the use");
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let root = files(&[
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "lots\n"),
            ("sys/fs/cgroup/memory.current", "900\n"),
        ]);
        assert!(MemoryFiles::below(root.path()).cgroup_pressure(None).is_err());
    }
}
