//! `selvedge demo`: the whole way of a request on one machine, from YAML to answer, checked.

mod backends;
mod client;
mod edges;
mod scenario;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rcgen::{CertifiedKey, generate_simple_self_signed};

use self::edges::Edges;
use super::overload::OverloadArguments;
use super::{log, on_control, run, summary};
use crate::config::local::LocalOptions;
use crate::gateway::{Gateway, SourceOptions};
use crate::io::DriverChoice;

/// The example, as a reader finds it in the repository.
const FILES: &[(&str, &str)] = &[
    ("gateway.yaml", include_str!("../../../examples/shop/gateway.yaml")),
    ("routes.yaml", include_str!("../../../examples/shop/routes.yaml")),
    ("services.yaml", include_str!("../../../examples/shop/services.yaml")),
];

const HOST: &str = "shop.example.com";
const READY_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Leave the sites and their hub running afterwards, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let log_levels = log::start("warn", false);
    on_control(async {
        let folder = tempfile::tempdir().context("cannot make a folder for the example")?;
        let certificate = write_example(folder.path())?;
        let _backends = backends::start().await?;
        let arguments_of_run = run::Arguments {
            config: folder.path().to_owned(),
            labels: Vec::new(),
            state: None,
            locality: String::new(),
            concurrency: None,
            admin_port: 0,
            readiness_port: 0,
            handover_socket: None,
            io_driver: DriverChoice::default(),
            overload: OverloadArguments::default(),
            log_level: String::new(),
        };
        let local = LocalOptions { directory: folder.path().to_owned(), ..LocalOptions::default() };
        let source = SourceOptions::Local { folder: local, edge: None };
        let gateway = Gateway::start(run::options(&arguments_of_run, log_levels), source).await?;
        summary::print(gateway.admin().clone()).await;
        wait_until_listening().await?;
        println!();
        let mut failures = scenario::play(&certificate).await;
        gateway.stop().await?;
        println!();
        let mut edges = Edges::start().await?;
        failures += edges.play().await?;
        println!("\n{}", if failures == 0 { "every number was right" } else { "NOT every number was right" });
        if arguments.keep {
            println!("{}; Ctrl-C ends it", edges.describe());
            tokio::signal::ctrl_c().await?;
        }
        Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// Writes the example and a certificate made on the spot. Returns the certificate, PEM.
fn write_example(folder: &Path) -> anyhow::Result<String> {
    for (name, content) in FILES {
        std::fs::write(folder.join(name), content).with_context(|| format!("cannot write {name}"))?;
    }
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([HOST.to_owned()])?;
    let indent = |pem: String| pem.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: shop-certificate, namespace: edge}}\ntype: kubernetes.io/tls\nstringData:\n  \
         tls.crt: |\n{}  tls.key: |\n{}",
        indent(cert.pem()),
        indent(signing_key.serialize_pem())
    );
    std::fs::write(folder.join("secret.yaml"), secret).context("cannot write secret.yaml")?;
    Ok(cert.pem())
}

async fn wait_until_listening() -> anyhow::Result<()> {
    let ready = async {
        while tokio::net::TcpStream::connect(client::HTTP).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(READY_WITHIN, ready).await.is_err() {
        bail!("the gateway does not listen on {}; the log above says why", client::HTTP);
    }
    Ok(())
}
