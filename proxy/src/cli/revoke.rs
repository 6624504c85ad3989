//! `selvedge revoke`: a node is let in no longer.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use overlay::control::{Question, Reply};

use super::operator::{NodeArguments, ask};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Folder of a hub that has the authority, which must be running on this machine.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,

    #[command(flatten)]
    node: NodeArguments,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let peer = arguments.node.peer()?;
    match ask(&arguments.state, &Question::Revoke { peer: peer.clone() })? {
        Reply::Revoked => println!("{peer} is let in no longer"),
        other => bail!("not an answer: {other:?}"),
    }
    Ok(ExitCode::SUCCESS)
}
