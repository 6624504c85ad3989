//! Conversion of listeners.

mod filter_chain;
mod listener_filter;
mod network_filter;
mod tcp_proxy;
#[cfg(test)]
mod tests;

use std::time::Duration;

use xds_api::envoy::config::listener::v3 as listener;

use crate::access_log::AccessLog;
use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Report, fates};
use crate::listener::{FilterChain, Listener, Overlap, first_overlap};
use crate::wire::{address, number};

pub(crate) use filter_chain::{TRANSPORT_SOCKETS, transport_socket};
pub(crate) use listener_filter::LISTENER_FILTERS;
pub(crate) use network_filter::NETWORK_FILTERS;

/// Envoy's default of `listener_filters_timeout`.
const DEFAULT_LISTENER_FILTERS_TIMEOUT: Duration = Duration::from_secs(15);

impl Listener {
    /// Converts a listener.
    ///
    /// # Errors
    /// A field is refused; nothing of a listener is served if a part of it cannot be.
    pub fn from_wire(wire: &listener::Listener, report: &mut Report) -> Result<Self, Refusal> {
        Self::convert(wire, &mut Context::new(&wire.name, report))
    }

    fn convert(wire: &listener::Listener, context: &mut Context<'_>) -> Result<Self, Refusal> {
        fates! { context, wire => listener::Listener {
                [implemented] name, address, filter_chains, default_filter_chain, listener_filters, listener_filters_timeout,
                    access_log, ignore_global_conn_limit, bypass_overload_manager;
                [no_op "the bounds of buffers are fixed"] per_connection_buffer_limit_bytes;
                [no_op "names of statistics"] stat_prefix, stats_matcher;
                [no_op "nothing reads it"] metadata;
                [no_op "traffic goes one way through a gateway"] traffic_direction;
                [no_op "a listener is drained when it is removed"] drain_type;
                [no_op "every worker has a socket of its own, and the kernel spreads connections"] connection_balance_config,
                    reuse_port;
                [no_op "how much is accepted at once is decided by the load"] max_connections_to_accept_per_socket_event;
                [no_op "the kernel's limits hold"] tcp_backlog_size;
                [refused "a listener has one address"] additional_addresses;
                [refused "chains are matched by `filter_chain_match`, and are not fetched one by one"] filter_chain_matcher,
                    fcds_config;
                [refused "connections are not redirected to their original destination"] use_original_dst
                    if *use_original_dst == Some(true), transparent if *transparent == Some(true);
                [refused "every worker needs a socket of its own"] enable_reuse_port if *enable_reuse_port == Some(false);
                [refused "every listener is bound"] bind_to_port if *bind_to_port == Some(false), deprecated_v1;
                [refused "connections whose listener filters time out are closed"] continue_on_listener_filters_timeout;
                [refused "addresses must exist"] freebind if *freebind == Some(true);
                [refused "only TCP is served"] udp_listener_config, enable_mptcp;
                [refused "not supported"] per_connection_buffer_high_watermark_timeout, socket_options,
                    tcp_fast_open_queue_length, api_listener, tcp_keepalive;
            }
            oneof listener_specifier {
                [refused "listeners inside the process are not supported yet"] internal_listener;
            }
        }
        match listener_specifier {
            Some(listener::listener::ListenerSpecifier::InternalListener(_)) => {
                return Err(context.refused_member::<listener::Listener>("internal_listener"));
            }
            None => {}
        }
        if name.is_empty() {
            return Err(context.refusal("name", "is empty"));
        }
        let filters = listener_filter::convert(listener_filters, context)?;
        let filter_chains = context.each("filter_chains", filter_chains, filter_chain::convert)?;
        refuse_overlap(&filter_chains, context)?;
        Ok(Self {
            name: name.clone(),
            address: context.required("address", address, address::listen)?,
            proxy_protocol: filters.proxy_protocol,
            tls_inspector: filters.tls_inspector,
            listener_filters_timeout: number::bound(
                "listener_filters_timeout",
                listener_filters_timeout,
                Some(DEFAULT_LISTENER_FILTERS_TIMEOUT),
                context,
            )?,
            ignore_global_connection_limit: *ignore_global_conn_limit,
            bypass_overload_manager: *bypass_overload_manager,
            filter_chains,
            default_filter_chain: context.optional(
                "default_filter_chain",
                default_filter_chain,
                filter_chain::convert,
            )?,
            access_log: context.each("access_log", access_log, AccessLog::convert)?,
            entrance: None,
        })
    }
}

fn refuse_overlap(chains: &[FilterChain], context: &Context<'_>) -> Result<(), Refusal> {
    let Some(Overlap { first, second }) = first_overlap(chains.iter().map(|chain| &chain.matches)) else {
        return Ok(());
    };
    let reason = format_args!("filter_chains[{first}] would take the same connections");
    Err(context.refusal(&format!("filter_chains[{second}].filter_chain_match"), reason))
}
