//! Socket addresses and ranges of addresses.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use xds_api::envoy::config::core::v3 as core;

use crate::context::Context;
use crate::endpoint::EndpointAddress;
use crate::error::Refusal;
use crate::fate::fates;
use crate::wire::number::port;

/// Where to listen: an IP address and a port.
pub(crate) fn listen(wire: &core::Address, context: &mut Context<'_>) -> Result<SocketAddr, Refusal> {
    match address(wire, context)? {
        EndpointAddress::Socket(socket) => Ok(socket),
        EndpointAddress::Name(name, _) => {
            Err(context.refusal("socket_address.address", format_args!("{name:?} is not an IP address")))
        }
        EndpointAddress::Unix(_) => Err(context.refusal("pipe", "listening on Unix domain sockets is not supported")),
    }
}

/// Any address an endpoint can have.
pub(crate) fn address(wire: &core::Address, context: &mut Context<'_>) -> Result<EndpointAddress, Refusal> {
    fates! { context, wire => core::Address {}
        oneof address {
            [implemented] socket_address, pipe;
            [refused "listeners inside the process are not supported"] envoy_internal_address;
        }
    }
    match address {
        Some(core::address::Address::SocketAddress(wire)) => {
            context.within("socket_address", |context| socket(wire, context))
        }
        Some(core::address::Address::Pipe(wire)) => context.within("pipe", |context| pipe(wire, context)),
        Some(core::address::Address::EnvoyInternalAddress(_)) => {
            Err(context.refused_member::<core::Address>("envoy_internal_address"))
        }
        None => Err(context.refusal_here("is empty")),
    }
}

/// A range of addresses; host bits are ignored.
pub(crate) fn cidr(wire: &core::CidrRange, context: &mut Context<'_>) -> Result<IpNet, Refusal> {
    fates! { context, wire => core::CidrRange { [implemented] address_prefix, prefix_len; } }
    let address: IpAddr = address_prefix
        .parse()
        .map_err(|_| context.refusal("address_prefix", format_args!("{address_prefix:?} is not an IP address")))?;
    let length = prefix_len.unwrap_or_default();
    let range = u8::try_from(length).ok().and_then(|length| IpNet::new(address, length).ok());
    range
        .map(|range| range.trunc())
        .ok_or_else(|| context.refusal("prefix_len", format_args!("{length} is more bits than {address_prefix} has")))
}

fn socket(wire: &core::SocketAddress, context: &mut Context<'_>) -> Result<EndpointAddress, Refusal> {
    fates! { context, wire => core::SocketAddress {
            [implemented] address;
            [implemented "TCP only"] protocol;
            [no_op "IPv4-mapped addresses are always taken for IPv4"] ipv4_compat;
            [refused "names are resolved by the system's resolver"] resolver_name;
            [refused "sockets stay in the network namespace of the process"] network_namespace_filepath;
        }
        oneof port_specifier {
            [implemented] port_value;
            [refused "ports are given by number"] named_port;
        }
    }
    if *protocol != i32::from(core::socket_address::Protocol::Tcp) {
        return Err(context.refusal("protocol", "only TCP is supported"));
    }
    let port = match port_specifier {
        Some(core::socket_address::PortSpecifier::PortValue(value)) => port("port_value", *value, context)?,
        Some(core::socket_address::PortSpecifier::NamedPort(_)) => {
            return Err(context.refused_member::<core::SocketAddress>("named_port"));
        }
        None => return Err(context.refusal("port_value", "is missing")),
    };
    if address.is_empty() {
        return Err(context.refusal("address", "is empty"));
    }
    Ok(match address.parse() {
        Ok(ip) => EndpointAddress::Socket(SocketAddr::new(ip, port)),
        Err(_) => EndpointAddress::Name(address.clone(), port),
    })
}

fn pipe(wire: &core::Pipe, context: &mut Context<'_>) -> Result<EndpointAddress, Refusal> {
    fates! { context, wire => core::Pipe {
        [implemented] path;
        [no_op "the mode is for sockets that are created"] mode;
    } }
    if path.is_empty() {
        return Err(context.refusal("path", "is empty"));
    }
    Ok(EndpointAddress::Unix(path.clone()))
}
