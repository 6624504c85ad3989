//! Configurations of HTTP filters that come as resources of their own (ECDS).

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use xds_model::http::{ExtensionConfig, HttpFilter};

/// What has arrived, by name.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    known: HashMap<String, Arc<ExtensionConfig>>,
    reloads: BTreeMap<String, u64>,
}

impl Extensions {
    /// Takes over a new version.
    pub(super) fn insert(&mut self, config: Arc<ExtensionConfig>) {
        *self.reloads.entry(config.name.clone()).or_default() += 1;
        self.known.insert(config.name.clone(), config);
    }

    /// Forgets one that is gone.
    pub(super) fn remove(&mut self, name: &str) {
        self.known.remove(name);
        self.reloads.remove(name);
    }

    /// How often each was taken over, for the admin server.
    pub(super) fn reloads(&self) -> &BTreeMap<String, u64> {
        &self.reloads
    }

    /// The filters of a connection manager with the configurations that serve now. [`HttpFilter::Discovered`] stays where none
    /// does; filters that have nothing to do are left out.
    pub(super) fn resolve(&self, filters: &[HttpFilter]) -> Vec<HttpFilter> {
        let resolve = |filter: &HttpFilter| {
            let HttpFilter::Discovered(discovered) = filter else { return Some(filter.clone()) };
            let known = self.known.get(&discovered.name).map(|known| &known.config);
            match discovered.serving(known) {
                Some(config) => config.filter.clone(),
                None => {
                    let name = &discovered.name;
                    tracing::warn!(
                        "there is no configuration of HTTP filter {name:?}: its requests are answered with 500"
                    );
                    Some(filter.clone())
                }
            }
        };
        filters.iter().filter_map(resolve).collect()
    }
}

#[cfg(test)]
mod tests {
    use xds_model::http::{DiscoveredFilter, TypedFilter};

    use super::*;

    fn filter(type_name: &str, filter: Option<HttpFilter>) -> TypedFilter {
        TypedFilter { type_name: type_name.to_owned(), filter }
    }

    #[test]
    fn what_was_discovered_goes_before_the_default_and_nothing_stays_as_it_is() {
        let discovered = DiscoveredFilter {
            name: "x".to_owned(),
            types: vec!["deny".to_owned(), "nothing".to_owned()],
            default: None,
            warming: None,
        };
        let with_default =
            DiscoveredFilter { default: Some(filter("deny", Some(HttpFilter::DenyAll))), ..discovered.clone() };
        let resolve = |extensions: &Extensions, filter: &DiscoveredFilter| {
            extensions.resolve(&[HttpFilter::MetadataExchange, HttpFilter::Discovered(Box::new(filter.clone()))])
        };
        let mut extensions = Extensions::default();
        let mut take = |type_name: &str, content: Option<HttpFilter>| {
            let config = filter(type_name, content);
            extensions.insert(Arc::new(ExtensionConfig { name: "x".to_owned(), config, is_confidential: false }));
            (resolve(&extensions, &discovered), resolve(&extensions, &with_default))
        };
        let denied = vec![HttpFilter::MetadataExchange, HttpFilter::DenyAll];
        let missing = vec![HttpFilter::MetadataExchange, HttpFilter::Discovered(Box::new(discovered.clone()))];
        assert_eq!(take("nothing", None), (vec![HttpFilter::MetadataExchange], vec![HttpFilter::MetadataExchange]));
        assert_eq!(take("deny", Some(HttpFilter::DenyAll)), (denied.clone(), denied.clone()));
        assert_eq!(take("another", None), (missing.clone(), denied.clone()), "a type that the listener does not want");
        assert_eq!(extensions.reloads()["x"], 3);
        extensions.remove("x");
        assert_eq!((resolve(&extensions, &discovered), resolve(&extensions, &with_default)), (missing, denied));
        assert!(extensions.reloads().is_empty());
    }
}
