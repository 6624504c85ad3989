//! Objects of one kind, as the API server has them now.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use futures_core::Stream;
use kube::Api;
use kube::api::Resource;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_objects};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_stream::StreamExt as _;

use super::{describe, with_sources};

/// How long the API server answers one request to watch, seconds. A connection that is dead without saying so is noticed that late.
const WATCH_TIMEOUT: u32 = 60;

/// Namespace and name of an object.
pub(crate) type Key = (String, String);

/// Objects of one kind; `None` until all of them were told for the first time.
pub(crate) type Followed<V> = Option<BTreeMap<Key, Arc<V>>>;

/// Where they are seen.
pub(crate) type Objects<V> = watch::Receiver<Followed<V>>;

/// Follows all objects of a kind, of which `keep` says what is kept, until nobody looks any more. While the API server is away, or
/// refuses, what was there last stays.
pub(crate) async fn follow<K, V>(
    api: Api<K>,
    kind: &'static str,
    keep: fn(K) -> Option<V>,
    seen: watch::Sender<Followed<V>>,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    V: PartialEq,
{
    let stream = watch_objects(api, watcher::Config::default().timeout(WATCH_TIMEOUT)).default_backoff();
    tokio::select! {
        () = take(stream, kind, keep, &seen) => {}
        () = seen.closed() => {}
    }
}

async fn take<K: Resource, V: PartialEq>(
    stream: impl Stream<Item = watcher::Result<Event<K>>>,
    kind: &str,
    keep: fn(K) -> Option<V>,
    seen: &watch::Sender<Followed<V>>,
) {
    let mut stream = std::pin::pin!(stream);
    // What is told from the beginning, until it is complete.
    let mut listed = BTreeMap::new();
    let mut failure = None;
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                // These say that they are asked for, not that they were told.
                if !matches!(event, Event::Init | Event::InitApply(_)) && failure.take().is_some() {
                    tracing::info!("Kubernetes: {kind} are followed again");
                }
                apply(event, keep, &mut listed, seen);
            }
            Err(error) => {
                let reason = explain(&error);
                // Once, not at every try.
                if failure.as_ref() != Some(&reason) {
                    tracing::warn!("Kubernetes: {kind} are not followed, what is known of them stays: {reason}");
                    failure = Some(reason);
                }
            }
        }
    }
}

fn apply<K: Resource, V: PartialEq>(
    event: Event<K>,
    keep: fn(K) -> Option<V>,
    listed: &mut BTreeMap<Key, Arc<V>>,
    seen: &watch::Sender<Followed<V>>,
) {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) => {
            let key = key(&object);
            if let Some(value) = keep(object) {
                listed.insert(key, Arc::new(value));
            }
        }
        Event::InitDone => {
            let complete = Some(std::mem::take(listed));
            seen.send_if_modified(|before| {
                let changed = *before != complete;
                *before = complete;
                changed
            });
        }
        Event::Apply(object) => {
            let key = key(&object);
            let value = keep(object);
            seen.send_if_modified(|objects| set(objects.get_or_insert_default(), key, value));
        }
        Event::Delete(object) => {
            seen.send_if_modified(|objects| set(objects.get_or_insert_default(), key(&object), None));
        }
    }
}

/// Whether that is a change.
fn set<V: PartialEq>(objects: &mut BTreeMap<Key, Arc<V>>, key: Key, value: Option<V>) -> bool {
    match value {
        Some(value) if objects.get(&key).is_some_and(|before| **before == value) => false,
        Some(value) => {
            objects.insert(key, Arc::new(value));
            true
        }
        None => objects.remove(&key).is_some(),
    }
}

fn key<K: Resource>(object: &K) -> Key {
    let meta = object.meta();
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

fn explain(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => describe(error),
        watcher::Error::WatchError(status) => status.message.clone(),
        watcher::Error::NoResourceVersion => with_sources(error),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use kube::core::Status;

    use super::*;

    fn service(name: &str, address: &str) -> Service {
        let mut service = Service::default();
        service.metadata.name = Some(name.to_owned());
        service.metadata.namespace = Some("shop".to_owned());
        service.spec.get_or_insert_default().cluster_ip = Some(address.to_owned());
        service
    }

    /// Its address, if there is one.
    fn keep(service: Service) -> Option<String> {
        service.spec?.cluster_ip.filter(|address| address != "None")
    }

    async fn tell(events: Vec<watcher::Result<Event<Service>>>, seen: &watch::Sender<Followed<String>>) -> Vec<String> {
        take(tokio_stream::iter(events), "services", keep, seen).await;
        let text = |((_, name), address): (&Key, &Arc<String>)| format!("{name} {address}");
        seen.borrow().iter().flatten().map(text).collect()
    }

    #[tokio::test]
    async fn objects_are_as_they_were_told_last_and_stay_when_nobody_answers() {
        let (seen, mut changes) = watch::channel(None);
        let beginning = vec![Ok(Event::Init), Ok(Event::InitApply(service("a", "10.0.0.1")))];
        assert_eq!(tell(beginning, &seen).await, Vec::<String>::new());
        assert!(changes.borrow_and_update().is_none(), "not all of them were told");

        let all = vec![
            Ok(Event::Init),
            Ok(Event::InitApply(service("a", "10.0.0.1"))),
            Ok(Event::InitApply(service("b", "10.0.0.2"))),
            Ok(Event::InitApply(service("headless", "None"))),
            Ok(Event::InitDone),
        ];
        assert_eq!(tell(all, &seen).await, ["a 10.0.0.1", "b 10.0.0.2"]);
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();

        let status = Status { code: 403, message: "services is forbidden".to_owned(), ..Status::default() };
        let refused = || watcher::Error::InitialListFailed(kube::Error::Api(status.clone().boxed()));
        assert_eq!(explain(&refused()), "services is forbidden");
        let away = vec![
            Err(refused()),
            Ok(Event::Init),
            Err(watcher::Error::NoResourceVersion),
            Ok(Event::Apply(service("a", "10.0.0.1"))),
        ];
        assert_eq!(tell(away, &seen).await, ["a 10.0.0.1", "b 10.0.0.2"]);
        assert!(!changes.has_changed().unwrap(), "nothing has changed");

        let later = vec![
            Ok(Event::Apply(service("c", "10.0.0.3"))),
            Ok(Event::Delete(service("a", "10.0.0.1"))),
            Ok(Event::Apply(service("b", "None"))),
        ];
        assert_eq!(tell(later, &seen).await, ["c 10.0.0.3"]);
        // Whoever begins anew has not heard what went meanwhile.
        assert_eq!(tell(vec![Ok(Event::Init), Ok(Event::InitDone)], &seen).await, Vec::<String>::new());
    }
}
