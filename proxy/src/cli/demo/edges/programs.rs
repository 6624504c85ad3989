//! The programs of the demo: this binary as hub and as edges.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::stage::{BACKEND, Site, Stage};

const FILES: &[(&str, &str)] = &[
    ("services.yaml", include_str!("../../../../../examples/edges/services.yaml")),
    ("routes.yaml", include_str!("../../../../../examples/edges/routes.yaml")),
];
/// What the sites offer to each other, and what they take.
const EDGE_CONFIG: &str = include_str!("edge.yaml");
const JOINED_WITHIN: Duration = Duration::from_secs(10);

/// Folders and processes. All of them end with it.
pub(super) struct Programs {
    program: PathBuf,
    folder: TempDir,
    hub: Child,
    /// In the order of the sites.
    edges: Vec<Child>,
}

impl Programs {
    /// Starts the hub, lets an edge of each site join, and starts the edges.
    pub(super) async fn start(stage: &Stage) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let folder = tempfile::tempdir().context("cannot make a folder for the edges")?;
        let hub = start_hub(&program, folder.path(), stage)?;
        let mut programs = Self { program, folder, hub, edges: Vec::new() };
        for site in &stage.sites {
            programs.join(stage, site).await.with_context(|| format!("edge {} cannot join", site.name))?;
            let edge = programs.start_edge(site)?;
            programs.edges.push(edge);
        }
        Ok(programs)
    }

    /// Ends an edge as a machine does that loses its power.
    pub(super) async fn kill_edge(&mut self, at: usize) -> anyhow::Result<()> {
        let edge = self.edges.get_mut(at).ok_or_else(|| anyhow!("there is no such edge"))?;
        Ok(edge.kill().await?)
    }

    pub(super) fn start_edge_again(&mut self, site: &Site, at: usize) -> anyhow::Result<()> {
        let started = self.start_edge(site)?;
        *self.edges.get_mut(at).ok_or_else(|| anyhow!("there is no such edge"))? = started;
        Ok(())
    }

    pub(super) async fn kill_hub(&mut self) -> anyhow::Result<()> {
        Ok(self.hub.kill().await?)
    }

    pub(super) fn start_hub_again(&mut self, stage: &Stage) -> anyhow::Result<()> {
        self.hub = start_hub(&self.program, self.folder.path(), stage)?;
        Ok(())
    }

    /// Where an operator looks: the folder of an edge.
    pub(super) fn state(&self, site: &str) -> PathBuf {
        self.folder.path().join(format!("{site}-state"))
    }

    async fn join(&self, stage: &Stage, site: &Site) -> anyhow::Result<()> {
        let token = self.token(stage, site).await?;
        let mut join = site.place.command(&self.program);
        join.args(["join", "-", "--state"]).arg(self.state(site.name));
        let mut join = quiet(&mut join).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = join.stdin.take() {
            stdin.write_all(&token).await?;
        }
        let output = join.wait_with_output().await?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        std::fs::write(self.state(site.name).join("edge.yaml"), EDGE_CONFIG)?;
        let config = self.folder.path().join(site.name);
        std::fs::create_dir(&config)?;
        for (name, content) in FILES {
            // Only the first site has clients. On loopback sites cannot have the same address.
            if *name != "routes.yaml" || site.name == "a" {
                let content = content.replace(&BACKEND.ip().to_string(), &site.backend.ip().to_string());
                std::fs::write(config.join(name), content)?;
            }
        }
        Ok(())
    }

    /// The hub needs a moment before it makes tokens.
    async fn token(&self, stage: &Stage, site: &Site) -> anyhow::Result<Vec<u8>> {
        let made = async {
            loop {
                let mut create = stage.hub.command(&self.program);
                create.args(["token", "create", "--tenant", "demo", "--edge", site.name, "--state"]);
                let output = create.arg(hub_state(self.folder.path())).output().await?;
                if output.status.success() {
                    return anyhow::Ok(output.stdout);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(JOINED_WITHIN, made).await.context("the hub makes no token")?
    }

    fn start_edge(&self, site: &Site) -> anyhow::Result<Child> {
        let mut edge = site.place.command(&self.program);
        edge.arg("run").arg("--config").arg(self.folder.path().join(site.name));
        edge.arg("--state").arg(self.state(site.name));
        edge.args(["--admin-port=0", "--readiness-port=0", "--concurrency=1", "--log-level=error"]);
        quiet(&mut edge).spawn().with_context(|| format!("cannot start edge {}", site.name))
    }
}

fn hub_state(folder: &Path) -> PathBuf {
    folder.join("hub-state")
}

fn start_hub(program: &Path, folder: &Path, stage: &Stage) -> anyhow::Result<Child> {
    let address = stage.hub_address.to_string();
    let mut hub = stage.hub.command(program);
    hub.args(["hub", "--name", "hub", "--overlay", "demo.example", "--listen", &address, "--advertise", &address]);
    hub.args(["--log-level", "error", "--state"]).arg(hub_state(folder));
    quiet(&mut hub).spawn().context("cannot start the hub")
}

/// Ends with the demo, and says nothing but errors.
fn quiet(command: &mut Command) -> &mut Command {
    command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::null())
}
