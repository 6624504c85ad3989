//! Chores of this repository: `cargo xtask <chore>`.

mod generate;

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
}

fn main() -> anyhow::Result<()> {
    match Chore::parse() {
        Chore::Generate { check } => generate::run(check),
    }
}
