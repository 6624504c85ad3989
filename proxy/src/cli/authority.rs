//! `selvedge authority`: the keys by which everybody is believed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use overlay::control::{Question, Reply};

use super::operator::{ask, in_words};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put a new key in the place of the old one, while everything goes on. Both are believed until all certificates are signed by the new one,
    /// which takes a little more than twice as long as certificates are good. Asks a hub with the authority, which must be running on this machine.
    Rotate(Rotate),
}

#[derive(Debug, clap::Args)]
struct Rotate {
    /// Folder of the hub.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Command::Rotate(Rotate { state }) = &arguments.command;
    match ask(state, &Question::Rotate)? {
        Reply::Rotating(rotation) => println!(
            "a new root is believed from now on, signs in {}, and the old one is believed no longer in {}",
            in_words(rotation.signs_in_seconds),
            in_words(rotation.done_in_seconds)
        ),
        other => bail!("not an answer: {other:?}"),
    }
    Ok(ExitCode::SUCCESS)
}
