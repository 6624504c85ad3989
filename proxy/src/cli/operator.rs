//! What the commands for a running hub or edge share: which node they are about, and how the process is asked.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use overlay::control::{self, Question, Reply};
use overlay::node::Peer;

use super::on_control;
use crate::bootstrap::parse_go_duration;

/// An edge or a hub, by name.
#[derive(Debug, clap::Args)]
pub(super) struct NodeArguments {
    /// Tenant of the edge.
    #[arg(long, value_name = "NAME", requires = "edge", required_unless_present = "hub")]
    tenant: Option<String>,

    /// Name of the edge.
    #[arg(long, value_name = "NAME", requires = "tenant")]
    edge: Option<String>,

    /// Name of a hub, in the place of an edge.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tenant", "edge"])]
    hub: Option<String>,
}

impl NodeArguments {
    pub(super) fn peer(self) -> anyhow::Result<Peer> {
        match (self.hub, self.tenant, self.edge) {
            (Some(name), ..) => Ok(Peer::Hub { name }),
            (None, Some(tenant), Some(name)) => Ok(Peer::Edge { name, tenant }),
            _ => bail!("an edge with its tenant is wanted, or a hub"),
        }
    }
}

/// `30m`, `24h`: a second or more.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = parse_go_duration(text).filter(|duration| *duration >= Duration::from_secs(1));
    duration.ok_or_else(|| "a duration of a second or more, such as 30m or 24h".to_owned())
}

/// A time as an operator reads it.
pub(super) fn in_words(seconds: u64) -> String {
    let minutes = seconds / 60;
    if seconds < 120 { format!("{seconds} s") } else { format!("{} h {} min", minutes / 60, minutes % 60) }
}

/// Asks the process that runs with a folder.
pub(super) fn ask(state: &Path, question: &Question) -> anyhow::Result<Reply> {
    on_control(async {
        let reply = control::ask(&control::socket_of(state), question).await;
        match reply.context("is a hub or an edge running with this folder?")? {
            Reply::Refused(reason) => bail!(reason),
            reply => Ok(reply),
        }
    })
}
