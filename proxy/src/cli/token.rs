//! `selvedge token`: what an operator carries to a new edge or hub.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Subcommand;
use overlay::control::{Question, Reply};

use super::operator::{NodeArguments, ask, duration};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token, and print it. It is good once. Asks a hub that has the authority, which must be running on this machine.
    Create(Create),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Folder of the hub.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,

    #[command(flatten)]
    node: NodeArguments,

    /// How long it is good: `30m`, `1h`, `24h`.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    valid: Duration,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Command::Create(Create { state, node, valid }) = arguments.command;
    let question = Question::CreateToken { peer: node.peer()?, valid_seconds: valid.as_secs() };
    match ask(&state, &question)? {
        Reply::Token(token) => println!("{token}"),
        other => bail!("not a token: {other:?}"),
    }
    Ok(ExitCode::SUCCESS)
}
