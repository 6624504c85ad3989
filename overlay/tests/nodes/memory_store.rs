//! A store that forgets everything: what an authority does does not depend on where it writes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::ready;

use overlay::enroll::{Answer, Store};

#[derive(Debug, Default)]
pub(crate) struct MemoryStore(pub(crate) RefCell<BTreeMap<String, Vec<u8>>>);

impl Store for MemoryStore {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        Box::pin(ready(Ok(self.0.borrow().get(key).cloned())))
    }

    fn swap<'a>(&'a self, key: &'a str, expected: Option<&'a [u8]>, new: Option<&'a [u8]>) -> Answer<'a, bool> {
        let mut values = self.0.borrow_mut();
        let is_expected = values.get(key).map(Vec::as_slice) == expected;
        if is_expected {
            match new {
                Some(new) => values.insert(key.to_owned(), new.to_vec()),
                None => values.remove(key),
            };
        }
        Box::pin(ready(Ok(is_expected)))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<(String, Vec<u8>)>> {
        let values = self.0.borrow();
        let found = values.iter().filter(|(key, _)| key.starts_with(prefix));
        Box::pin(ready(Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())))
    }
}
