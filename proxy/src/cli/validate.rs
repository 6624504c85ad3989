//! `selvedge validate`: the checks of `selvedge run` alone.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use xds_api::json::to_redacted_json;
use xds_local::{Generated, Severity};

use crate::config::local::LocalOptions;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Folder of Istio, Gateway API and Kubernetes YAML.
    directory: PathBuf,

    /// Look only at Gateways whose selector matches these labels, as `run --labels` does. All Gateways otherwise.
    #[arg(long, value_name = "KEY=VALUE,...", value_delimiter = ',', value_parser = super::run::parse_label)]
    labels: Vec<(String, String)>,

    /// Where the gateway is, as `run --locality` says it.
    #[arg(long, value_name = "REGION/ZONE/SUBZONE", default_value = "")]
    locality: String,

    /// Print the resources that istiod would make of it, as JSON.
    #[arg(long)]
    dump: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let local = LocalOptions {
        directory: arguments.directory.clone(),
        labels: arguments.labels.iter().cloned().collect(),
        locality: arguments.locality.clone(),
    };
    let generated = match local.control_plane().load() {
        Ok(generated) => generated,
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
            eprintln!("{errors} errors");
            return Ok(ExitCode::FAILURE);
        }
    };
    for warning in &generated.warnings {
        eprintln!("{warning}");
    }
    if arguments.dump {
        println!("{}", serde_json::to_string_pretty(&dump(&generated))?);
    } else {
        print!("{}", generated.summary);
    }
    Ok(ExitCode::SUCCESS)
}

fn dump(generated: &Generated) -> Value {
    let resources = generated.resources.iter().map(|resource| {
        let message = resource.type_url.rsplit('/').next().unwrap_or_default();
        let body =
            to_redacted_json(message, &resource.message).unwrap_or_else(|error| json!({ "error": error.to_string() }));
        json!({ "type_url": resource.type_url, "name": resource.name, "resource": body })
    });
    Value::Array(resources.collect())
}
