//! How many connections of clients there may be: in all, on a listener, of one source.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use balance::{Limit, Permit};
use hashbrown::{DefaultHashBuilder, HashMap};

/// Sources are counted in so many tables, so that workers rarely wait for each other.
const TABLES: usize = 16;

/// The limits; `None` for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionLimitSettings {
    /// Of all listeners together.
    pub global: Option<u32>,
    /// Of each listener.
    pub listener: Option<u32>,
    /// Of single listeners, by name, instead of the one before.
    pub listeners: BTreeMap<String, u32>,
    /// Of one source: an address of IPv4, or a network of IPv6 of 64 bits, which is what one client has.
    pub source: Option<u32>,
}

/// The connections of the process, counted against their limits. What has no limit is not counted.
#[derive(Debug)]
pub struct ConnectionLimits {
    settings: ConnectionLimitSettings,
    global: Limit,
    /// Of those that are exempt from it.
    none: Limit,
    /// By name. A listener that comes back counts on with the connections that it left.
    listeners: Mutex<HashMap<String, Limit>>,
    sources: Option<Arc<Sources>>,
}

/// A connection's place among all and on its listener; given back when this is dropped.
#[derive(Debug)]
pub struct Place {
    _global: Permit,
    _listener: Permit,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// That of the listener.
    Listener,
    /// That of all together.
    Global,
}

impl ConnectionLimits {
    pub(super) fn new(settings: &ConnectionLimitSettings) -> Self {
        Self {
            global: Limit::new(settings.global.unwrap_or(u32::MAX)),
            none: Limit::new(u32::MAX),
            listeners: Mutex::default(),
            sources: settings.source.map(|maximum| Arc::new(Sources::new(maximum))),
            settings: settings.clone(),
        }
    }

    /// What the limits are.
    pub fn settings(&self) -> &ConnectionLimitSettings {
        &self.settings
    }

    /// The limit of a listener; the same for all workers.
    pub fn listener(&self, name: &str) -> Limit {
        let Some(maximum) = self.settings.listeners.get(name).copied().or(self.settings.listener) else {
            return Limit::new(u32::MAX);
        };
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|known, limit| known == name || limit.is_shared());
        listeners.entry_ref(name).or_insert_with(|| Limit::new(maximum)).clone()
    }

    /// A place for one more connection of a listener; `counts_globally` unless the listener is exempt from the limit of all.
    ///
    /// # Errors
    /// There are enough.
    pub fn admit(&self, listener: &Limit, counts_globally: bool) -> Result<Place, Full> {
        let global = if counts_globally { &self.global } else { &self.none };
        Ok(Place {
            _listener: listener.acquire().ok_or(Full::Listener)?,
            _global: global.acquire().ok_or(Full::Global)?,
        })
    }

    /// The right to one more connection of this source; `None` if it has enough. Nothing is counted where there is no limit.
    pub fn admit_source(&self, source: IpAddr) -> Option<SourcePermit> {
        match &self.sources {
            None => Some(SourcePermit(None)),
            Some(sources) => sources.acquire(source),
        }
    }
}

/// One connection of a source; given back when this is dropped.
///
/// Boxed: where there is no limit, as by default, a connection has no room for it.
#[derive(Debug)]
pub struct SourcePermit(Option<Box<(Arc<Sources>, IpAddr)>>);

/// Connections by source.
#[derive(Debug)]
struct Sources {
    maximum: u32,
    hasher: DefaultHashBuilder,
    tables: [Mutex<HashMap<IpAddr, u32>>; TABLES],
}

impl Sources {
    fn new(maximum: u32) -> Self {
        Self { maximum, hasher: DefaultHashBuilder::default(), tables: Default::default() }
    }

    fn acquire(self: &Arc<Self>, source: IpAddr) -> Option<SourcePermit> {
        let network = network(source);
        let is_admitted = self.with_table(network, |table| {
            let open = table.entry(network).or_default();
            let is_admitted = *open < self.maximum;
            *open += u32::from(is_admitted);
            is_admitted
        });
        is_admitted.then(|| SourcePermit(Some(Box::new((self.clone(), network)))))
    }

    fn release(&self, network: IpAddr) {
        self.with_table(network, |table| {
            let Some(open) = table.get_mut(&network) else { return };
            *open = open.saturating_sub(1);
            if *open == 0 {
                table.remove(&network);
            }
            if table.len() < table.capacity() / 8 {
                table.shrink_to_fit();
            }
        });
    }

    fn with_table<T: Default>(&self, network: IpAddr, visit: impl FnOnce(&mut HashMap<IpAddr, u32>) -> T) -> T {
        let table = self.hasher.hash_one(network) as usize % TABLES;
        let Some(table) = self.tables.get(table) else { return T::default() };
        visit(&mut table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for SourcePermit {
    fn drop(&mut self) {
        if let Some((sources, network)) = self.0.as_deref() {
            sources.release(*network);
        }
    }
}

/// What counts as one source.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(settings: ConnectionLimitSettings) -> ConnectionLimits {
        ConnectionLimits::new(&settings)
    }

    #[test]
    fn the_limit_of_all_holds_over_listeners_but_not_for_exempt_ones() {
        let limits = limits(ConnectionLimitSettings { global: Some(2), ..ConnectionLimitSettings::default() });
        let (a, b) = (limits.listener("a"), limits.listener("b"));
        let first = limits.admit(&a, true).unwrap();
        let _second = limits.admit(&b, true).unwrap();
        assert_eq!(limits.admit(&a, true).unwrap_err(), Full::Global);
        let _exempt = limits.admit(&a, false).unwrap();
        drop(first);
        limits.admit(&a, true).unwrap();
    }

    #[test]
    fn a_listener_has_its_own_limit_or_that_of_each() {
        let limits = limits(ConnectionLimitSettings {
            listener: Some(1),
            listeners: [("b".to_owned(), 2)].into(),
            global: Some(3),
            ..ConnectionLimitSettings::default()
        });
        let held = limits.admit(&limits.listener("a"), true).unwrap();
        assert_eq!(limits.admit(&limits.listener("a"), true).unwrap_err(), Full::Listener, "the same for all workers");
        let _b = [(); 2].map(|()| limits.admit(&limits.listener("b"), true).unwrap());
        assert_eq!(limits.admit(&limits.listener("b"), true).unwrap_err(), Full::Listener);
        assert_eq!(limits.admit(&limits.listener("c"), true).unwrap_err(), Full::Global);
        drop(held);
        limits.admit(&limits.listener("c"), true).unwrap();
        assert!(limits.listeners.lock().unwrap().len() <= 2, "what nobody uses is forgotten");
    }

    #[test]
    fn a_source_is_an_address_or_a_network_of_64_bits() {
        let limits = limits(ConnectionLimitSettings { source: Some(1), ..ConnectionLimitSettings::default() });
        let admit = |text: &str| limits.admit_source(text.parse().unwrap());
        let first = admit("192.0.2.1").unwrap();
        assert!(admit("192.0.2.1").is_none() && admit("::ffff:192.0.2.1").is_none());
        let _other = admit("192.0.2.2").unwrap();
        let _sixth = admit("2001:db8:0:1::1").unwrap();
        assert!(admit("2001:db8:0:1:ffff::2").is_none());
        let _neighbour = admit("2001:db8:0:2::1").unwrap();
        drop(first);
        admit("192.0.2.1").unwrap();
    }

    #[test]
    fn sources_are_forgotten_with_their_last_connection() {
        let limits = limits(ConnectionLimitSettings { source: Some(9), ..ConnectionLimitSettings::default() });
        let many: Vec<_> = (0..1000u32).map(|n| limits.admit_source(IpAddr::V4(n.into())).unwrap()).collect();
        let sources = limits.sources.as_ref().unwrap();
        let known = || sources.tables.iter().map(|table| table.lock().unwrap().len()).sum::<usize>();
        assert_eq!(known(), 1000);
        drop(many);
        assert_eq!(known(), 0);
        assert!(sources.tables.iter().all(|table| table.lock().unwrap().capacity() < 32));
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let limits = limits(ConnectionLimitSettings::default());
        let listener = limits.listener("a");
        let _places: Vec<_> = (0..9).map(|_| limits.admit(&listener, true).unwrap()).collect();
        assert_eq!((limits.global.current(), listener.current()), (0, 0));
        assert!(limits.listeners.lock().unwrap().is_empty() && limits.sources.is_none());
        limits.admit_source([192, 0, 2, 1].into()).unwrap();
    }
}
