//! `selvedge hub`: a hub of an overlay.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use overlay::enroll::EtcdOptions;
use overlay::folder::Folder;
use overlay::hub::{Hub, HubOptions, StoreOptions};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use super::operator::duration;
use super::run::log_level;
use super::{descriptors, log, on_control};
use crate::admin::{self, Access, HubAdmin};
use crate::gateway::Signals;
use crate::restart::notify_ready;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Folder of the hub: its key and certificate and, of the hub that founds an overlay, the authority. Made if it is not there.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,

    /// Where edges and other hubs link.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,

    /// How edges reach this hub, for tokens; the address of `--listen` if not given.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    advertise: Option<String>,

    /// Name of the hub. Needed where an overlay is founded; a hub that joined has it from its token.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Name of the overlay. Needed where it is founded: by the first start with an empty folder.
    #[arg(long, value_name = "NAME")]
    overlay: Option<String>,

    /// Another hub to link to, beside those of the token that this one joined with; may be repeated. On the hub with the authority it is
    /// written into tokens, too.
    #[arg(long = "peer", value_name = "HOST:PORT", value_parser = host_and_port)]
    peers: Vec<String>,

    /// How long certificates are good that the authority of this hub signs (`24h` if not given; 5 s to 8760 h). They are renewed after half of it;
    /// who was off for longer joins again.
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    certificate_lifetime: Option<Duration>,

    #[command(flatten)]
    etcd: EtcdArguments,

    /// Where metrics are served (`/stats`, `/stats/prometheus`), readiness (`/healthz/ready`), and what is not as it should be (`/problems`), for
    /// example `127.0.0.1:15000`. Nowhere, if not given.
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,

    /// Log level: trace, debug, info, warn, error or off.
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = log_level)]
    log_level: String,
}

/// Where the authority is if it is not in the folder of one hub. The names are those of etcd's own tools.
#[derive(Debug, clap::Args)]
struct EtcdArguments {
    /// Members of etcd, as `https://host:port,...`: what the authority knows, its keys included, is there, and every hub that is started with
    /// this has the authority.
    #[arg(long, value_name = "URL,...", value_delimiter = ',')]
    etcd_endpoints: Vec<String>,

    /// Certificates of the authorities of etcd's members, PEM.
    #[arg(long, value_name = "FILE", requires = "etcd_endpoints")]
    etcd_cacert: Option<PathBuf>,

    /// Certificate that is shown to etcd, PEM.
    #[arg(long, value_name = "FILE", requires = "etcd_cacert", requires = "etcd_key")]
    etcd_cert: Option<PathBuf>,

    /// Its key, PEM.
    #[arg(long, value_name = "FILE", requires = "etcd_cert")]
    etcd_key: Option<PathBuf>,
}

impl EtcdArguments {
    fn store(self) -> StoreOptions {
        if self.etcd_endpoints.is_empty() {
            return StoreOptions::File;
        }
        let Self { etcd_endpoints: endpoints, etcd_cacert: cacert, etcd_cert: cert, etcd_key: key } = self;
        StoreOptions::Etcd(EtcdOptions { endpoints, cacert, cert, key })
    }
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    log::start(&arguments.log_level, false);
    descriptors::raise_limit();
    let Arguments {
        state,
        listen,
        advertise,
        name,
        overlay,
        peers,
        certificate_lifetime,
        etcd,
        admin: admin_address,
        ..
    } = arguments;
    on_control(LocalSet::new().run_until(async move {
        let mut signals = Signals::catch()?;
        let folder = Folder::open(state)?;
        let store = etcd.store();
        let options = HubOptions { folder, name, overlay, listen, advertise, peers, certificate_lifetime, store };
        let hub = Hub::start(options).await?;
        if let Some(address) = admin_address {
            let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
            let pages =
                HubAdmin { shards: hub.shards(), identity: hub.identity(), failed_command: hub.failed_command() };
            tokio::task::spawn(admin::serve(listener, Access::Metrics, Arc::new(pages)));
        }
        let authority = if hub.has_authority() { ", with the authority" } else { "" };
        tracing::info!("listening on {}{authority}", hub.address());
        notify_ready();
        hub.run(signals.next()).await?;
        Ok(ExitCode::SUCCESS)
    }))
}

/// Shorter ones would be renewed all the time. Much longer ones make a new root, which takes two lifetimes, a matter of years.
fn lifetime(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_secs(5)..=Duration::from_hours(24 * 365);
    let is_good = |lifetime: &Duration| bounds.contains(lifetime);
    duration(text).ok().filter(is_good).ok_or_else(|| "a duration from 5s to 8760h".to_owned())
}

fn host_and_port(text: &str) -> Result<String, String> {
    let is_good = text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if is_good { Ok(text.to_owned()) } else { Err("a host, a colon and a port".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn a_lifetime_that_cannot_be_is_refused_with_the_name_of_the_flag() {
        let parse = |lifetime: &str| {
            let flag = format!("--certificate-lifetime={lifetime}");
            Command::try_parse_from(["hub", "--state", "x", "--listen", "127.0.0.1:1", &flag])
        };
        assert_eq!(parse("6s").unwrap().arguments.certificate_lifetime, Some(Duration::from_secs(6)));
        for refused in ["4s", "8761h", "292277h", "x"] {
            let error = parse(refused).unwrap_err().to_string();
            assert!(error.contains("--certificate-lifetime") && error.contains("from 5s to 8760h"), "{error}");
        }
    }
}
