//! The command line.

mod authority;
mod demo;
mod descriptors;
mod hub;
mod join;
mod log;
mod operator;
mod overload;
mod proxy;
mod revoke;
mod run;
mod status;
mod summary;
mod token;
mod validate;

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::bootstrap::AgentFlags;

/// The edge of a service mesh: a gateway for Istio and Gateway API configuration, with or without istiod.
#[derive(Debug, Parser)]
#[command(name = "selvedge", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a folder of Istio and Gateway API YAML, without istiod.
    Run(run::Arguments),
    /// Serve what istiod says, in place of Istio's gateway container (`pilot-agent proxy`).
    Proxy(Box<AgentFlags>),
    /// Check a folder of YAML and say what is wrong or not supported, and where.
    Validate(validate::Arguments),
    /// Show a gateway from `examples/shop` at work, then three edges and a hub (`examples/edges`), of which some are killed, and where each
    /// request went.
    Demo(demo::Arguments),
    /// Run a hub: edges link to it from wherever they are, and it relays what they say to each other.
    Hub(hub::Arguments),
    /// Tokens, by which edges and hubs join.
    Token(token::Arguments),
    /// Join an overlay with a token.
    Join(join::Arguments),
    /// Never let an edge or a hub in again; it is cut off at once.
    Revoke(revoke::Arguments),
    /// The authority of an overlay: the keys by which everybody is believed.
    Authority(authority::Arguments),
    /// Show links, edges, and what is missing and why, of the hub or edge that runs with a folder.
    Status(status::Arguments),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Run(arguments) => run::run(arguments),
        Command::Proxy(flags) => proxy::run(&flags),
        Command::Validate(arguments) => validate::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Hub(arguments) => hub::run(arguments),
        Command::Token(arguments) => token::run(arguments),
        Command::Join(arguments) => join::run(&arguments),
        Command::Revoke(arguments) => revoke::run(arguments),
        Command::Authority(arguments) => authority::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // One line with the whole chain of causes.
            eprintln!("selvedge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// How long threads for what blocks may hold up the end, on a file system that hangs.
const LAST_READS: Duration = Duration::from_secs(2);

/// Runs what is not the data path: one thread is enough, and more would take cores from the workers.
fn on_control<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_READS);
    result
}
