//! What the two processes say to each other: one JSON object a packet, descriptors beside it.
//!
//! ```text
//! new                              old
//! hello {protocol, version}    ->
//!                              <-  offer {version, epoch, served, lacking, sockets}, or refused {reason}
//!                              <-  lacking {names}, as often as it takes
//!                              <-  sockets {purpose, address}, with a descriptor each, as often as it takes
//!         (gets ready, and accepts)
//! taken {addresses}            ->      as often as it takes
//! ready                        ->
//!                              <-  stopped
//!         (takes the path over, and closes)
//! ```
//!
//! `hello`, `refused` and the protocol's number in `hello` stay as they are in every version of the protocol.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

/// Version of this protocol. Another one understands nothing but the first message.
pub(super) const PROTOCOL: u64 = 1;

/// Items in one message; the kernel takes no more than 253 descriptors at once (unix(7)).
pub(super) const MOST_ITEMS: usize = 128;

/// What a listening socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Listener,
    Own,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    Hello { protocol: u64, version: String },
    Refused { reason: String },
    Offer(Offer),
    Lacking(Vec<String>),
    Sockets(Vec<(Purpose, SocketAddr)>),
    Taken(Vec<SocketAddr>),
    Ready,
    Stopped,
}

/// Of the old process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) version: String,
    /// How many processes there were before it.
    pub(super) epoch: u64,
    /// For how long it and those before it have served. Milliseconds on the wire.
    pub(super) served: Duration,
    /// How many names of what it lacks itself follow.
    pub(super) lacking: usize,
    /// How many sockets follow then.
    pub(super) sockets: usize,
}

impl Message {
    pub(super) fn encode(&self) -> Vec<u8> {
        let value = match self {
            Self::Hello { protocol, version } => json!({"type": "hello", "protocol": protocol, "version": version}),
            Self::Refused { reason } => json!({"type": "refused", "reason": reason}),
            Self::Offer(Offer { version, epoch, served, lacking, sockets }) => {
                let served = u64::try_from(served.as_millis()).unwrap_or(u64::MAX);
                json!({
                    "type": "offer", "version": version, "epoch": epoch, "served": served,
                    "lacking": lacking, "sockets": sockets,
                })
            }
            Self::Lacking(names) => json!({"type": "lacking", "names": names}),
            Self::Sockets(sockets) => {
                let purposes = sockets.iter().map(|(purpose, address)| match purpose {
                    Purpose::Listener => json!(["listener", address.to_string()]),
                    Purpose::Own => json!(["own", address.to_string()]),
                });
                json!({"type": "sockets", "sockets": purposes.collect::<Vec<_>>()})
            }
            Self::Taken(addresses) => {
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                json!({"type": "taken", "addresses": addresses})
            }
            Self::Ready => json!({"type": "ready"}),
            Self::Stopped => json!({"type": "stopped"}),
        };
        value.to_string().into_bytes()
    }

    /// `None`: it is none of ours.
    pub(super) fn decode(packet: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(packet).ok()?;
        let text = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
        let number = |name: &str| value.get(name)?.as_u64();
        let list = |name: &str| value.get(name)?.as_array();
        Some(match value.get("type")?.as_str()? {
            "hello" => Self::Hello { protocol: number("protocol")?, version: text("version")? },
            "refused" => Self::Refused { reason: text("reason")? },
            "offer" => Self::Offer(Offer {
                version: text("version")?,
                epoch: number("epoch")?,
                served: Duration::from_millis(number("served")?),
                lacking: usize::try_from(number("lacking")?).ok()?,
                sockets: usize::try_from(number("sockets")?).ok()?,
            }),
            "lacking" => {
                Self::Lacking(list("names")?.iter().map(|name| Some(name.as_str()?.to_owned())).collect::<Option<_>>()?)
            }
            "sockets" => Self::Sockets(list("sockets")?.iter().map(socket).collect::<Option<_>>()?),
            "taken" => Self::Taken(
                list("addresses")?.iter().map(|address| address.as_str()?.parse().ok()).collect::<Option<_>>()?,
            ),
            "ready" => Self::Ready,
            "stopped" => Self::Stopped,
            _ => return None,
        })
    }
}

fn socket(value: &Value) -> Option<(Purpose, SocketAddr)> {
    let purpose = match value.get(0)?.as_str()? {
        "listener" => Purpose::Listener,
        "own" => Purpose::Own,
        _ => return None,
    };
    Some((purpose, value.get(1)?.as_str()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_again() {
        let address: SocketAddr = "[::1]:8443".parse().unwrap();
        for message in [
            Message::Hello { protocol: 7, version: "1.2.3".to_owned() },
            Message::Refused { reason: "no".to_owned() },
            Message::Offer(Offer {
                version: "1".to_owned(),
                epoch: 3,
                served: Duration::from_millis(1500),
                lacking: 0,
                sockets: 12,
            }),
            Message::Lacking(vec!["secret a".to_owned()]),
            Message::Sockets(vec![(Purpose::Listener, address), (Purpose::Own, address)]),
            Message::Taken(vec![address]),
            Message::Ready,
            Message::Stopped,
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
    }

    #[test]
    fn what_is_not_ours_is_not_decoded() {
        for packet in ["", "GET / HTTP/1.1", "{}", r#"{"type":"hello"}"#, r#"{"type":"sockets","sockets":[["x","y"]]}"#]
        {
            assert_eq!(Message::decode(packet.as_bytes()), None, "{packet}");
        }
    }
}
