//! Which page answers which path, on which port.

use std::time::Duration;

use http::{Method, StatusCode};

use super::server::{Access, Call, Pages, Reply, json, not_found, text};
use super::{Admin, clusters, config_dump, listeners, logging, problems, server_info, stats};
use crate::drain::Phase;

/// New clients wait in the kernel for this long before load balancers are told to look elsewhere.
const UNREADY_AFTER: Duration = Duration::from_secs(5);

const HELP: &str = "\
  /certs: certificates and their validity
  /clusters[?format=json]: clusters and their endpoints
  /config_dump[?include_eds][&resource=]: resources of the control plane
  /drain_listeners (POST): stop accepting; with ?graceful only ask open connections to end
  /healthcheck/ready, /ready: whether traffic should come
  /listeners[?format=json]: listeners and their state
  /logging (POST)[?level=]: level of the process's log
  /problems[?format=json]: what is not as configured, and why
  /quitquitquit (POST): end at once
  /server_info: version and state
  /stats[?filter=][&usedonly][&format=json|prometheus]: counters
  /stats/prometheus: counters for a scraper
";

impl Pages for Admin {
    async fn answer(&self, access: Access, call: &Call) -> Reply {
        match access {
            Access::All => all(self, call).await,
            Access::Agent => agent(self, call).await,
            Access::Readiness if call.path == "/healthz/ready" => ready(self).await,
            Access::Metrics if matches!(call.path.as_str(), "/stats/prometheus" | "/metrics") => metrics(self).await,
            Access::Readiness | Access::Metrics => not_found(call),
        }
    }
}

/// The list of those pages that a process has.
pub(super) fn help(has: impl Fn(&str) -> bool) -> String {
    let pages = HELP.lines().filter(|line| has(line.trim_start())).map(|line| format!("{line}\n"));
    std::iter::once("admin commands are:\n".to_owned()).chain(pages).collect()
}

async fn all(admin: &Admin, call: &Call) -> Reply {
    match call.path.as_str() {
        "/" | "/help" => text(StatusCode::OK, help(|_| true)),
        "/certs" => json(&server_info::certs(&admin.status().await)),
        "/clusters" => clusters::page(&admin.process, &admin.status().await, call),
        "/config_dump" => config_dump::page(admin, &admin.status().await, call),
        "/listeners" => listeners::page(&admin.status().await, call),
        "/problems" => problems::page(admin, call).await,
        "/ready" | "/healthcheck/ready" => ready(admin).await,
        "/server_info" => json(&server_info::server_info(admin).await),
        "/stats" => stats::page(admin, call).await,
        "/stats/prometheus" => metrics(admin).await,
        "/logging" => posted(call, || logging::page(&admin.log_levels, call)),
        "/drain_listeners" => posted(call, || drain_listeners(admin, call)),
        "/quitquitquit" => posted(call, || quit(admin)),
        _ => not_found(call),
    }
}

async fn agent(admin: &Admin, call: &Call) -> Reply {
    match call.path.as_str() {
        "/healthz/ready" => ready(admin).await,
        "/metrics" | "/stats/prometheus" => metrics(admin).await,
        "/quitquitquit" => from_loopback(call, || posted(call, || quit(admin))),
        "/drain" => from_loopback(call, || posted(call, || drain_listeners(admin, call))),
        _ => not_found(call),
    }
}

async fn ready(admin: &Admin) -> Reply {
    if admin.drain.phase() != Phase::Serving {
        return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    if admin.process.overload.stopped_for() >= UNREADY_AFTER {
        return text(StatusCode::SERVICE_UNAVAILABLE, "overloaded: no connections are accepted\n");
    }
    match admin.readiness.missing() {
        missing if missing.is_empty() => text(StatusCode::OK, "LIVE\n"),
        missing => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: waiting for {}\n", missing.join(", "))),
    }
}

async fn metrics(admin: &Admin) -> Reply {
    stats::prometheus(&stats::values(admin).await)
}

/// Envoy drains everything, whichever listeners are named: a gateway has no inbound and outbound ones to tell apart.
fn drain_listeners(admin: &Admin, call: &Call) -> Reply {
    let graceful = call.has("graceful") || call.path == "/drain";
    admin.drain.advance(if graceful { Phase::Draining } else { Phase::Closing });
    text(StatusCode::OK, "OK\n")
}

fn quit(admin: &Admin) -> Reply {
    admin.quit.send_replace(true);
    text(StatusCode::OK, "OK\n")
}

fn posted(call: &Call, page: impl FnOnce() -> Reply) -> Reply {
    if call.method == Method::POST {
        return page();
    }
    text(StatusCode::METHOD_NOT_ALLOWED, format!("Method {} not allowed, POST required.\n", call.method))
}

fn from_loopback(call: &Call, page: impl FnOnce() -> Reply) -> Reply {
    if call.from_loopback {
        return page();
    }
    text(StatusCode::FORBIDDEN, "only requests from this host are allowed\n")
}
