//! Who may come in where clients of the mesh call services of other edges ([`Entrance`]): by TLS, for the service that is there, as one workload.

use xds_model::listener::{Entrance, TransportProtocol};

use super::refusal::Refusal;
use crate::worker::Worker;
use crate::worker::connection::ConnectionFacts;

/// Before the handshake. What istiod lets clients ask for is `outbound_.<port>_.<subset>_.<host>`; the subset, which may be empty, has led to this
/// address already. A client without a server name means what is here: there is nothing else at this port.
pub(super) fn check_hello(entrance: &Entrance, facts: &ConnectionFacts) -> Result<(), Refusal> {
    if facts.transport == TransportProtocol::RawBuffer {
        return Err(Refusal::ClearText);
    }
    let (Entrance::Service { host, port }, Some(name)) = (entrance, facts.server_name()) else { return Ok(()) };
    match service(name) == Some((host, *port)) {
        true => Ok(()),
        false => Err(Refusal::ServerName(name.to_owned())),
    }
}

/// Before the handshake, too. Clients of Istio go elsewhere if there is no connection, but have nobody else answer what they have sent already.
pub(super) async fn check_way(facts: &ConnectionFacts, worker: &Worker) -> Result<(), Refusal> {
    match worker.edge.get() {
        Some(edge) if facts.is_at_entrance => edge.reach(facts.local).await.map_err(Refusal::Unreachable),
        _ => Ok(()),
    }
}

/// After it.
pub(super) fn check_caller(facts: &ConnectionFacts) -> Result<(), Refusal> {
    match facts.is_at_entrance && facts.caller().is_none() {
        true => Err(Refusal::NoCaller),
        false => Ok(()),
    }
}

/// The host and the port that a server name means.
fn service(name: &str) -> Option<(&str, u16)> {
    let (port, rest) = name.strip_prefix("outbound_.")?.split_once("_.")?;
    let (_subset, host) = rest.split_once("_.")?;
    // No sign, no zeros in front.
    let number: u16 = port.parse().ok()?;
    (number.to_string() == port).then_some((host, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_name_means_a_port_of_a_host() {
        let means = |name| service(name).map(|(host, port)| format!("{host}:{port}"));
        assert_eq!(means("outbound_.80_._.ratings.shop.global").as_deref(), Some("ratings.shop.global:80"));
        assert_eq!(means("outbound_.443_.v2-b_.ratings.shop.global").as_deref(), Some("ratings.shop.global:443"));
        for other in [
            "ratings.shop.global",
            "inbound_.80_._.ratings.shop.global",
            "outbound_.80_.ratings.shop.global",
            "outbound_.080_._.ratings.shop.global",
            "outbound_.+80_._.ratings.shop.global",
            "outbound_.65616_._.ratings.shop.global",
            "outbound_._._.ratings.shop.global",
            "",
        ] {
            assert_eq!(means(other), None, "{other}");
        }
    }
}
