//! Secrets that have arrived, whoever served them.

use std::sync::Arc;

use hashbrown::HashMap;
use xds_model::secret::SecretContent;
use xds_model::tls::SecretReference;

use crate::tls::Secrets;

/// Content by server and name.
#[derive(Debug, Default)]
pub(super) struct SecretStore {
    contents: HashMap<SecretReference, Arc<SecretContent>>,
}

impl SecretStore {
    /// Takes over content; false if it is what was there before.
    pub(super) fn insert(&mut self, reference: SecretReference, content: SecretContent) -> bool {
        if self.contents.get(&reference).is_some_and(|known| **known == content) {
            return false;
        }
        self.contents.insert(reference, Arc::new(content));
        true
    }

    /// Forgets a secret; false if it was not there.
    pub(super) fn remove(&mut self, reference: &SecretReference) -> bool {
        self.contents.remove(reference).is_some()
    }

    /// All of them, for the admin server.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&SecretReference, &Arc<SecretContent>)> {
        self.contents.iter()
    }
}

impl Secrets for SecretStore {
    fn secret(&self, reference: &SecretReference) -> Option<Arc<SecretContent>> {
        self.contents.get(reference).cloned()
    }
}
