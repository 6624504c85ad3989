//! The life of one TCP connection: cluster, endpoint, bytes both ways, log line.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use super::TcpChain;
use super::copy::{Ending, Limits, copy};
use super::upstream::{self, Failure, Upstream};
use crate::io::Stream;
use crate::telemetry::access_log::{Record, UpstreamFacts};
use crate::telemetry::response_flags::ResponseFlags;
use crate::upstream::ClusterCounters;
use crate::worker::Worker;
use crate::worker::connection::{Admission, Wish};
use crate::worker::timer::Alarm;

/// What is unsent when both sides are done may take this long to go out, unless the idle timeout is shorter.
pub(crate) const LONGEST_FLUSH: Duration = Duration::from_secs(300);

/// Serves a connection until it is closed. The chain that admitted it serves it to the end: a new configuration counts for the next
/// connection.
pub async fn serve(mut stream: Stream, admission: Rc<Admission<TcpChain>>, worker: Rc<Worker>) {
    let chain = admission.application();
    chain.counters.downstream_cx_total.increment();
    let mut summary = Summary::default();
    match connect(&chain, &admission, &worker, &mut summary).await {
        Ok(mut upstream) => relay(&mut stream, &mut upstream, &admission, &chain, &worker, &mut summary).await,
        Err(failure) => {
            if matches!(failure, Failure::NoCluster) {
                chain.counters.downstream_cx_no_route.increment();
            }
            summary.failed(failure);
        }
    }
    log(&admission, &chain, &worker, &summary);
}

/// What the log line says at the end.
#[derive(Debug, Default)]
struct Summary {
    cluster: Option<Arc<str>>,
    upstream: Option<Endpoint>,
    received: u64,
    sent: u64,
    flags: ResponseFlags,
    failure: String,
    attempts: u32,
}

#[derive(Debug)]
struct Endpoint {
    address: Box<str>,
    remote: Option<SocketAddr>,
    local: Option<SocketAddr>,
}

impl Summary {
    /// With the flags that Envoy sets. A single attempt is made, so a failed one is also one too many (`UF,URX`).
    fn failed(&mut self, failure: Failure) {
        self.flags |= match failure {
            Failure::NoCluster => ResponseFlags::NO_CLUSTER_FOUND,
            Failure::NoHealthyUpstream => ResponseFlags::NO_HEALTHY_UPSTREAM,
            Failure::Overflow => ResponseFlags::UPSTREAM_OVERFLOW,
            Failure::Connect(reason) => {
                self.failure = reason;
                ResponseFlags::UPSTREAM_CONNECTION_FAILURE | ResponseFlags::UPSTREAM_RETRY_LIMIT_EXCEEDED
            }
        };
    }
}

async fn connect(
    chain: &TcpChain,
    admission: &Admission<TcpChain>,
    worker: &Worker,
    summary: &mut Summary,
) -> Result<Upstream, Failure> {
    let name = chain.pick_cluster(worker.random.next()).ok_or(Failure::NoCluster)?;
    summary.cluster = Some(name.clone());
    let hash = chain.snapshot.model.hashes_source.then(|| route::hash_of_address(admission.facts.remote.ip()));
    let chosen = upstream::choose(name, hash, worker).await?;
    summary.attempts = 1;
    let endpoint = summary.upstream.insert(Endpoint { address: chosen.address(), remote: None, local: None });
    let upstream = chosen.connect(admission.facts.caller()).await?;
    endpoint.remote = Some(upstream.connection.remote);
    endpoint.local = upstream.connection.local;
    Ok(upstream)
}

async fn relay(
    stream: &mut Stream,
    upstream: &mut Upstream,
    admission: &Admission<TcpChain>,
    chain: &TcpChain,
    worker: &Worker,
    summary: &mut Summary,
) {
    let alarm = Alarm::new(&worker.timers);
    let model = &chain.snapshot.model;
    let limits = Limits {
        alarm: &alarm,
        idle: model.idle_timeout,
        end: model.max_downstream_connection_duration.and_then(|most| admission.facts.accepted.checked_add(most)),
    };
    let other_side = &mut upstream.connection.stream;
    let counters = upstream.cluster.counters();
    let moved = |received, returned| {
        count(chain, counters, received, returned);
        summary.received += received;
        summary.sent += returned;
    };
    let asked = |context: &mut Context<'_>| admission.poll_wish(context, Wish::Close);
    let ending = copy(stream, other_side, &worker.io, &limits, moved, asked).await;
    if ending == Ending::UpstreamBroken {
        summary.flags |= ResponseFlags::UPSTREAM_REMOTE_RESET;
    }
    match ending {
        Ending::Finished | Ending::DownstreamBroken | Ending::UpstreamBroken => {
            alarm.set_after(Some(model.idle_timeout.map_or(LONGEST_FLUSH, |idle| idle.min(LONGEST_FLUSH))));
            flush(stream, other_side, &alarm).await;
        }
        Ending::Idle => chain.counters.idle_timeout.increment(),
        Ending::Expired => {
            chain.counters.max_downstream_connection_duration.increment();
            summary.flags |= ResponseFlags::DURATION_TIMEOUT;
        }
        Ending::Asked => {}
    }
}

fn count(chain: &TcpChain, cluster: &ClusterCounters, received: u64, returned: u64) {
    chain.counters.downstream_cx_rx_bytes_total.add(received);
    chain.counters.downstream_cx_tx_bytes_total.add(returned);
    cluster.upstream_cx_tx_bytes_total.add(received);
    cluster.upstream_cx_rx_bytes_total.add(returned);
}

/// Lets both sides have what was meant for them. One that broke takes nothing, which must not keep the other from its bytes.
pub(crate) async fn flush(downstream: &Stream, upstream: &Stream, alarm: &Alarm) {
    downstream.finish();
    upstream.finish();
    for side in [downstream, upstream] {
        // Broken or too slow: it closes now either way.
        drop(alarm.limit(side.flushed()).await);
    }
}

fn log(admission: &Admission<TcpChain>, chain: &TcpChain, worker: &Worker, summary: &Summary) {
    if chain.snapshot.access_log.is_empty() {
        return;
    }
    let facts = &admission.facts;
    let record = Record {
        log_type: "TcpConnectionEnd",
        filter_chain: &chain.snapshot.chain,
        duration: worker.io.clock.now().saturating_duration_since(facts.accepted),
        flags: summary.flags,
        bytes_received: summary.received,
        bytes_sent: summary.sent,
        cluster: summary.cluster.as_deref(),
        upstream: summary.upstream.as_ref().map(|endpoint| UpstreamFacts {
            protocol: "",
            address: &endpoint.address,
            remote: endpoint.remote,
            local: endpoint.local,
        }),
        upstream_failure: &summary.failure,
        attempts: summary.attempts,
        ..Record::of_connection(facts, &worker.process.host_name)
    };
    for logger in chain.snapshot.access_log.iter() {
        logger.log(&record, &worker.logs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_carry_envoys_flags() {
        let flags = |failure| {
            let mut summary = Summary::default();
            summary.failed(failure);
            let mut text = Vec::new();
            summary.flags.put(false, &mut text);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(flags(Failure::NoCluster), "NC");
        assert_eq!(flags(Failure::NoHealthyUpstream), "UH");
        assert_eq!(flags(Failure::Overflow), "UO");
        assert_eq!(flags(Failure::Connect("refused".to_owned())), "UF,URX");
    }
}
