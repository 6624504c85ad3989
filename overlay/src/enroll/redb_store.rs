//! The store of a single authority: a file.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use tokio::task::spawn_blocking;

use super::store::{Answer, Store, StoreError};

const VALUES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("values");

/// A file of values. Only one process has it open.
pub struct RedbStore {
    path: PathBuf,
    database: Arc<Reopened>,
}

/// A database that is opened again after the disk has failed it: the library does nothing more with one that could not be written once, although the disk may
/// have room again.
struct Reopened(RwLock<Option<Database>>);

impl RedbStore {
    /// Opens a file, or makes it. An empty one is what an interrupted start has left.
    ///
    /// # Errors
    /// It cannot be written, is not a store, or another process has it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // For its owner alone from the beginning.
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| failed(path, &error))?;
        // Of some damage the library panics.
        let database = catch_unwind(|| begin(path)).map_err(|_| damaged(path, &"it cannot be read"))?;
        let database =
            database.map_err(|error| if is_damage(&error) { damaged(path, &error) } else { failed(path, &error) })?;
        Ok(Self { path: path.into(), database: Arc::new(Reopened(RwLock::new(Some(database)))) })
    }

    /// Opens a file in which something was kept: it is never made anew.
    ///
    /// # Errors
    /// As [`Self::open`], and where it is missing or empty.
    pub fn open_existing(path: &Path) -> Result<Self, StoreError> {
        match std::fs::metadata(path) {
            Ok(found) if found.len() == 0 => Err(damaged(path, &"is empty, where the overlay was founded")),
            Ok(_) => Self::open(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(damaged(path, &"is missing, where the overlay was founded"))
            }
            Err(error) => Err(failed(path, &error)),
        }
    }

    /// Waiting for the disk is not for the thread that moves bytes.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (database, path) = (self.database.clone(), self.path.clone());
        let done = spawn_blocking(move || database.with(&path, work)).await;
        done.map_err(|error| failed(&self.path, &error))?.map_err(|error| failed(&self.path, &error))
    }
}

impl Reopened {
    fn with<T>(&self, path: &Path, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
        self.open(path)?;
        let opened = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // Somebody else's work may have failed meanwhile.
        let done = opened.as_ref().ok_or(redb::Error::PreviousIo).and_then(work);
        drop(opened);
        if let Err(redb::Error::Io(_) | redb::Error::PreviousIo) = &done {
            self.0.write().unwrap_or_else(PoisonError::into_inner).take();
        }
        done
    }

    /// What was written before is in the file, and nothing of what was not written as a whole.
    fn open(&self, path: &Path) -> Result<(), redb::Error> {
        if self.0.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let mut closed = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if closed.is_none() {
            // Never a new one in its place.
            *closed = Some(Database::open(path)?);
        }
        Ok(())
    }
}

/// Opens a file, and sees to it that a store in which nothing was written can be read.
fn begin(path: &Path) -> Result<Database, redb::Error> {
    let database = Database::create(path)?;
    let writing = database.begin_write()?;
    writing.open_table(VALUES)?;
    writing.commit()?;
    Ok(database)
}

fn is_damage(error: &redb::Error) -> bool {
    match error {
        redb::Error::DatabaseAlreadyOpen => false,
        redb::Error::Io(error) => matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof),
        _ => true,
    }
}

fn damaged(path: &Path, problem: &dyn fmt::Display) -> StoreError {
    failed(path, &format_args!("{problem}; restore the copy of it"))
}

fn failed(path: &Path, error: &dyn fmt::Display) -> StoreError {
    StoreError { store: path.display().to_string(), reason: error.to_string() }
}

impl Store for RedbStore {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        let key = key.to_owned();
        Box::pin(self.apart(move |database| {
            let table = database.begin_read()?.open_table(VALUES)?;
            Ok(table.get(key.as_str())?.map(|value| value.value().to_vec()))
        }))
    }

    fn swap<'a>(&'a self, key: &'a str, expected: Option<&'a [u8]>, new: Option<&'a [u8]>) -> Answer<'a, bool> {
        let (key, expected, new) = (key.to_owned(), expected.map(<[u8]>::to_vec), new.map(<[u8]>::to_vec));
        Box::pin(self.apart(move |database| {
            let writing = database.begin_write()?;
            {
                let mut table = writing.open_table(VALUES)?;
                if table.get(key.as_str())?.map(|value| value.value().to_vec()) != expected {
                    return Ok(false);
                }
                match &new {
                    Some(new) => table.insert(key.as_str(), new.as_slice())?,
                    None => table.remove(key.as_str())?,
                };
            }
            writing.commit()?;
            Ok(true)
        }))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<(String, Vec<u8>)>> {
        let prefix = prefix.to_owned();
        Box::pin(self.apart(move |database| {
            let table = database.begin_read()?.open_table(VALUES)?;
            let mut found = Vec::new();
            for entry in table.range(prefix.as_str()..)? {
                let (key, value) = entry?;
                if !key.value().starts_with(&prefix) {
                    break;
                }
                found.push((key.value().to_owned(), value.value().to_vec()));
            }
            Ok(found)
        }))
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedbStore").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_swapped_is_there_when_the_file_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        {
            let store = RedbStore::open(&path).unwrap();
            assert!(store.swap("a/1", None, Some(b"one")).await.unwrap());
            assert!(!store.swap("a/1", None, Some(b"two")).await.unwrap());
            assert!(!store.swap("a/1", Some(b"two"), Some(b"three")).await.unwrap());
            assert!(store.swap("a/2", None, Some(b"two")).await.unwrap());
            assert!(store.swap("b/1", None, Some(b"three")).await.unwrap());
            assert!(store.swap("a/2", Some(b"two"), None).await.unwrap());
            assert!(RedbStore::open(&path).unwrap_err().to_string().contains("store"), "it can be opened twice");
        }
        let store = RedbStore::open(&path).unwrap();
        assert_eq!(store.get("a/1").await.unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(store.list("a/").await.unwrap(), [("a/1".to_owned(), b"one".to_vec())]);
    }

    #[tokio::test]
    async fn of_many_who_swap_at_a_time_one_succeeds() {
        let directory = tempfile::tempdir().unwrap();
        let store = RedbStore::open(&directory.path().join("store")).unwrap();
        let mut succeeded = 0;
        for swapped in futures_of(&store).await {
            succeeded += usize::from(swapped);
        }
        assert_eq!(succeeded, 1);
    }

    async fn futures_of(store: &RedbStore) -> Vec<bool> {
        let swaps =
            [store.swap("k", None, Some(b"1")), store.swap("k", None, Some(b"2")), store.swap("k", None, Some(b"3"))];
        let [one, two, three] = swaps;
        let (one, two, three) = tokio::join!(one, two, three);
        vec![one.unwrap(), two.unwrap(), three.unwrap()]
    }

    #[test]
    fn a_file_that_is_no_store_is_named_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        drop(RedbStore::open(&path).unwrap());
        let good = std::fs::read(&path).unwrap();
        let mut zeroed = good.clone();
        zeroed[9..4096].fill(0);
        for content in [&b"short"[..], &vec![b'x'; 10_000], &good[..9], &good[..400], &good[..good.len() / 2], &zeroed]
        {
            std::fs::write(&path, content).unwrap();
            let error = RedbStore::open(&path).unwrap_err().to_string();
            assert!(error.starts_with(path.to_str().unwrap()) && error.ends_with("restore the copy of it"), "{error}");
            assert!(std::fs::read(&path).unwrap() == content, "it was changed");
        }
    }

    #[test]
    fn a_store_that_was_there_is_not_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let error = RedbStore::open_existing(&path).unwrap_err().to_string();
        assert!(error.contains("is missing") && error.ends_with("restore the copy of it"), "{error}");
        std::fs::write(&path, "").unwrap();
        let error = RedbStore::open_existing(&path).unwrap_err().to_string();
        assert!(error.contains("is empty") && error.ends_with("restore the copy of it"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }
}
