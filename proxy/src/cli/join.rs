//! `selvedge join`: a token becomes the folder of an edge or a hub.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use overlay::enroll::{self, Token};
use overlay::folder::{Folder, FolderError};

use super::on_control;

/// The longest token that is read, bytes.
const LONGEST: u64 = 16 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The token, or `-` to read it from standard input: an argument can be seen by everybody on the machine while the command runs.
    token: String,

    /// Folder for the key and the certificate, for this node alone. Made if it is not there. Whoever was interrupted joins again with the
    /// same token and folder.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut text = arguments.token.clone();
    if text == "-" {
        text.clear();
        std::io::stdin().take(LONGEST).read_to_string(&mut text).context("standard input")?;
    }
    let token = Token::parse(&text)?;
    let folder = Folder::open(&arguments.state)?;
    folder.check_token(&token)?;
    // On the disk before the token is used: what follows can be repeated.
    let key = folder.key()?;
    let joined = on_control(async { Ok(enroll::join(&token, &key).await?) })?;
    folder.keep_joined(&token, &joined)?;
    println!("{} has joined {}", token.peer, token.overlay);
    if matches!(folder.lock(), Err(FolderError::InUse(_))) {
        eprintln!(
            "a process runs with this folder: it uses the new certificate within seconds; hubs that are new in the token it dials after its next start"
        );
    }
    Ok(ExitCode::SUCCESS)
}
