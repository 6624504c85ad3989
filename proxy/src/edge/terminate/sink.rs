//! Keeps what control serves equal to what there should be.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use xds_client::{Event, Resource, ResourceType};

use super::super::import::Import;
use super::resources::{Settings, resources};

/// What is referred to comes first.
const ORDER: [ResourceType; 3] = [ResourceType::Cluster, ResourceType::Route, ResourceType::Listener];

type Key = (usize, String);

/// The entrances of an edge.
#[derive(Debug)]
pub(in crate::edge) struct Entrances {
    events: mpsc::Sender<Vec<Event>>,
    served: BTreeMap<Key, Resource>,
}

impl Entrances {
    /// None yet.
    pub(in crate::edge) fn new(events: mpsc::Sender<Vec<Event>>) -> Self {
        Self { events, served: BTreeMap::new() }
    }

    /// Makes control serve those for what is imported, and no others; none without settings.
    pub(in crate::edge) async fn serve(&mut self, imports: &[Import], settings: Option<&Settings<'_>>) {
        let wanted = settings.map_or_else(Vec::new, |settings| resources(imports, settings));
        let wanted = wanted.into_iter().filter_map(|resource| Some((key(&resource)?, resource))).collect();
        let batch = changes(&self.served, &wanted);
        // Control is gone only if the process ends.
        if !batch.is_empty() && self.events.send(batch).await.is_ok() {
            self.served = wanted;
        }
    }
}

fn key(resource: &Resource) -> Option<Key> {
    let position = ORDER.iter().position(|kind| *kind == resource.kind())?;
    Some((position, resource.name().to_owned()))
}

/// What is new or different, and then what is gone, in the opposite order.
fn changes(served: &BTreeMap<Key, Resource>, wanted: &BTreeMap<Key, Resource>) -> Vec<Event> {
    let changed = wanted.iter().filter(|(key, resource)| served.get(*key) != Some(resource));
    let gone = served.keys().rev().filter(|key| !wanted.contains_key(*key));
    let removals = gone.filter_map(|(position, name)| {
        let kind = *ORDER.get(*position)?;
        Some(Event::Remove { kind, name: Arc::from(name.as_str()) })
    });
    changed.map(|(_, resource)| Event::Upsert(resource.clone())).chain(removals).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use overlay::catalogue::{Port, Protocol};
    use xds_model::listener::{Entrance, Listener};

    use super::super::super::import::ImportedEndpoint;
    use super::super::config::Terminate;
    use super::*;

    /// A service at these last numbers of addresses.
    fn import(host: &str, target: u16, edges: &[u8]) -> Import {
        let endpoint = |last: &u8| ImportedEndpoint {
            edge: format!("edge-{last}"),
            address: Ipv4Addr::new(127, 0, 2, *last),
            locality: String::new(),
            weight: 1,
        };
        Import {
            host: host.to_owned(),
            namespace: "shop".to_owned(),
            ports: vec![(Port { number: 80, name: "http".to_owned(), protocol: Protocol::Http }, target)],
            endpoints: edges.iter().map(endpoint).collect(),
            merges_with_local: false,
        }
    }

    fn entrances() -> (Entrances, mpsc::Receiver<Vec<Event>>) {
        let (events, received) = mpsc::channel(8);
        (Entrances::new(events), received)
    }

    const TERMINATE: Terminate = Terminate { files: None };

    fn settings(trust_domain: &str) -> Settings<'_> {
        Settings { terminate: &TERMINATE, trust_domain }
    }

    /// In words: `+` or `-`, kind and name.
    fn words(batch: &[Event]) -> Vec<String> {
        let word = |event: &Event| match event {
            Event::Upsert(resource) => format!("+{:?} {}", resource.kind(), resource.name()),
            Event::Remove { kind, name } => format!("-{kind:?} {name}"),
            other => format!("{other:?}"),
        };
        batch.iter().map(word).collect()
    }

    fn listeners(batch: &[Event]) -> Vec<Arc<Listener>> {
        let listener = |event: &Event| match event {
            Event::Upsert(Resource::Listener(listener)) => Some(listener.clone()),
            _ => None,
        };
        batch.iter().filter_map(listener).collect()
    }

    #[tokio::test]
    async fn what_is_imported_can_be_reached_at_its_addresses_and_nowhere_else() {
        let (mut entrances, mut received) = entrances();
        entrances.serve(&[import("X.global", 20_001, &[1, 2])], Some(&settings("cluster.local"))).await;
        let batch = received.recv().await.unwrap();
        let listeners = listeners(&batch);
        let addresses: Vec<String> = listeners.iter().map(|listener| listener.address.to_string()).collect();
        assert_eq!(addresses, ["127.0.2.1:15008", "127.0.2.1:20001", "127.0.2.2:15008", "127.0.2.2:20001"]);
        assert_eq!(listeners[0].entrance, Some(Entrance::Hbone));
        assert_eq!(listeners[1].entrance, Some(Entrance::Service { host: "x.global".to_owned(), port: 80 }));
        for listener in &listeners {
            let tls = listener.filter_chains[0].tls.as_ref().unwrap();
            assert!(tls.require_client_certificate && listener.tls_inspector, "{}", listener.name);
            assert_eq!(tls.validation.as_ref().unwrap().subject_alt_names.len(), 1);
        }
    }

    #[tokio::test]
    async fn only_what_differs_is_told_and_what_is_referred_to_comes_first_and_goes_last() {
        let (mut entrances, mut received) = entrances();
        let settings = settings("cluster.local");
        let (first, second) = (import("x.global", 20_001, &[1]), import("y.global", 20_002, &[1]));
        entrances.serve(std::slice::from_ref(&first), Some(&settings)).await;
        let expected = [
            "+Cluster overlay|80|edge-1|x.global",
            "+Route overlay|127.0.2.1",
            "+Listener overlay|127.0.2.1:15008",
            "+Listener overlay|127.0.2.1:20001",
        ];
        assert_eq!(words(&received.recv().await.unwrap()), expected);

        entrances.serve(std::slice::from_ref(&first), Some(&settings)).await;
        entrances.serve(&[first, second.clone()], Some(&settings)).await;
        let expected =
            ["+Cluster overlay|80|edge-1|y.global", "+Route overlay|127.0.2.1", "+Listener overlay|127.0.2.1:20002"];
        assert_eq!(words(&received.recv().await.unwrap()), expected);

        entrances.serve(std::slice::from_ref(&second), Some(&settings)).await;
        let expected =
            ["+Route overlay|127.0.2.1", "-Listener overlay|127.0.2.1:20001", "-Cluster overlay|80|edge-1|x.global"];
        assert_eq!(words(&received.recv().await.unwrap()), expected);

        entrances.serve(std::slice::from_ref(&second), Some(&self::settings("mesh.example"))).await;
        let batch = received.recv().await.unwrap();
        assert_eq!(words(&batch), ["+Listener overlay|127.0.2.1:15008", "+Listener overlay|127.0.2.1:20002"]);

        entrances.serve(&[second], None).await;
        let removed = words(&received.recv().await.unwrap());
        assert!(removed.len() == 4 && removed.iter().all(|word| word.starts_with('-')), "{removed:?}");
    }
}
