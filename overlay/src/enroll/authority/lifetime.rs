//! For how long certificates are good: never beyond their root, and the longest time ever is known to whoever replaces that.

use std::time::Duration;

use super::{Authority, AuthorityError, from_bytes, to_bytes};

/// The key of its record: the longest lifetime that certificates were signed with, in seconds.
const LONGEST: &str = "lifetime";

impl Authority {
    /// Keeps the lifetime of certificates that are about to be signed, if there was none so long.
    pub(super) async fn keep_lifetime(&self) -> Result<(), AuthorityError> {
        while !self.is_lifetime_kept.get() {
            let (stored, longest) = self.stored_lifetime().await?;
            let is_kept = longest.is_some_and(|longest| longest >= self.lifetime.as_secs());
            if is_kept || self.store.swap(LONGEST, stored.as_deref(), Some(&to_bytes(&self.lifetime.as_secs()))).await?
            {
                self.is_lifetime_kept.set(true);
            }
        }
        Ok(())
    }

    /// The longest that was ever signed with, or is to be.
    pub(super) async fn longest_lifetime(&self) -> Result<Duration, AuthorityError> {
        let (_, longest) = self.stored_lifetime().await?;
        Ok(self.lifetime.max(Duration::from_secs(longest.unwrap_or_default())))
    }

    async fn stored_lifetime(&self) -> Result<(Option<Vec<u8>>, Option<u64>), AuthorityError> {
        let stored = self.store.get(LONGEST).await?;
        let longest = stored.as_ref().map(|stored| from_bytes(LONGEST, stored)).transpose()?;
        Ok((stored, longest))
    }
}
