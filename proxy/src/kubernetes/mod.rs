//! The API server of Kubernetes: whom to ask, objects that are followed, and what went wrong in words.

mod follow;

use std::path::Path;

use anyhow::{Context as _, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};

#[cfg(test)]
pub(crate) use self::follow::Followed;
pub(crate) use self::follow::{Key, Objects, follow};

/// A client by a kubeconfig, or by what Kubernetes gives every pod. Nobody is called yet.
///
/// # Errors
/// The file cannot be read or is none; without one: this is not a pod, or it has no token.
pub(crate) async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    let config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).with_context(|| format!("--kubeconfig {}", path.display()))?;
            let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
            config.with_context(|| format!("--kubeconfig {}", path.display()))?
        }
        None => match Config::incluster() {
            Ok(config) => config,
            Err(error) => bail!("no API server of Kubernetes: {error}; outside of a pod, give --kubeconfig"),
        },
    };
    Ok(Client::try_from(config)?)
}

/// A kind of Istio's networking API.
pub(crate) fn istio_kind(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("networking.istio.io", "v1", kind))
}

/// What went wrong, in words. A refusal of the API server names verb and resource itself: `serviceentries.networking.istio.io is
/// forbidden: User "…" cannot list resource …`.
pub(crate) fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.message.is_empty() => format!("{} {}", status.code, status.reason),
        kube::Error::Api(status) => status.message.clone(),
        other => with_sources(other),
    }
}

/// An error and what it comes from: its own words are seldom enough.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}
