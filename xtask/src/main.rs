//! Chores of this repository: `cargo xtask <chore>`.

mod generate;
mod support;

use clap::Parser;

#[derive(Parser)]
#[command(about = "Chores of this repository")]
enum Chore {
    /// Makes the Rust types and the descriptor set of `xds/api` from the .proto definitions.
    Generate {
        /// Writes nothing, and fails if the committed output is not what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Writes `docs/support.md`: what becomes of each field of the control plane's messages.
    Support {
        /// Writes nothing, and fails if the committed page is not what would be written.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Chore::parse() {
        Chore::Generate { check } => generate::run(check),
        Chore::Support { check } => support::run(check),
    }
}
