//! The command line.

mod demo;
mod descriptors;
mod log;
mod overload;
mod proxy;
mod run;
mod summary;
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
    /// Show a gateway at work: small backends, a gateway from `examples/shop`, requests, and where each of them went.
    Demo(demo::Arguments),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Run(arguments) => run::run(arguments),
        Command::Proxy(flags) => proxy::run(&flags),
        Command::Validate(arguments) => validate::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
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
