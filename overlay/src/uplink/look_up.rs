//! Where an edge is that is to be dialled. Whoever announces a name decides who is asked for it, and how long that takes.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

/// Addresses that are tried at a time: a name may stand for many.
const MOST_TRIED: usize = 8;
/// Time for each name.
const NAME_WITHIN: Duration = Duration::from_secs(3);

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// To be dialled, each once.
    pub(super) addresses: Vec<SocketAddr>,
    /// Why others are not.
    pub(super) failures: Vec<String>,
}

impl Found {
    fn take(&mut self, name: &str, addresses: &[SocketAddr], permits: impl Fn(SocketAddr) -> bool) {
        for address in addresses {
            if !permits(*address) {
                self.failures.push(format!("{name}: {} may not be dialled (direct.dial)", address.ip()));
            } else if !self.is_full() && !self.addresses.contains(address) {
                self.addresses.push(*address);
            }
        }
    }

    fn is_full(&self) -> bool {
        self.addresses.len() >= MOST_TRIED
    }
}

/// Finds what an edge announces: addresses come before names, which are looked up by `ask` as long as there is room for more.
pub(super) async fn look_up(
    announced: &[String],
    permits: impl Fn(SocketAddr) -> bool,
    ask: impl AsyncFn(&str) -> io::Result<Vec<SocketAddr>>,
) -> Found {
    let mut found = Found::default();
    let mut names = Vec::new();
    for (at, name) in announced.iter().enumerate() {
        match name.parse() {
            _ if announced[..at].contains(name) => {}
            Ok(address) => found.take(name, &[address], &permits),
            Err(_) => names.push(name),
        }
    }
    for name in names {
        if found.is_full() {
            break;
        }
        match timeout(NAME_WITHIN, ask(name)).await {
            Ok(Ok(addresses)) => found.take(name, &addresses, &permits),
            Ok(Err(error)) => found.failures.push(format!("{name}: {error}")),
            Err(_) => found.failures.push(format!("{name}: no answer within {NAME_WITHIN:?}")),
        }
    }
    found
}

/// What the system knows of a name.
pub(super) async fn ask_system(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host(name).await?.collect())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;

    /// Each name stands for two addresses; those that are `silent` have no answer.
    async fn found(announced: &[&str], asked: &RefCell<Vec<String>>) -> Found {
        let ask = async |name: &str| {
            asked.borrow_mut().push(name.to_owned());
            if name.starts_with("silent") {
                std::future::pending::<()>().await;
            }
            Ok([1, 2].map(|last| ([10, 0, 0, last], 1).into()).to_vec())
        };
        let announced: Vec<String> = announced.iter().map(|name| (*name).to_owned()).collect();
        look_up(&announced, |address| address.port() == 1, ask).await
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_come_before_names_which_have_their_time_each() {
        let asked = RefCell::default();
        let announced = ["silent-1:1", "b.example:1", "silent-2:1", "10.0.0.3:1", "10.0.0.3:1", "10.0.0.4:2"];
        let began = Instant::now();
        let Found { addresses, failures } = found(&announced, &asked).await;
        assert!(began.elapsed() < NAME_WITHIN * 3, "{:?}", began.elapsed());
        assert_eq!(addresses, [3, 1, 2].map(|last| SocketAddr::from(([10, 0, 0, last], 1))));
        let said = ["10.0.0.4:2: 10.0.0.4 may not be dialled (direct.dial)", "silent-1:1: no answer within 3s"];
        assert_eq!(failures, [&said[..], &["silent-2:1: no answer within 3s"]].concat());
        assert_eq!(*asked.borrow(), ["silent-1:1", "b.example:1", "silent-2:1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_name_is_looked_up_where_there_are_addresses_enough() {
        let asked = RefCell::default();
        let literals: Vec<String> = (1..=9).map(|last| format!("10.0.1.{last}:1")).collect();
        let announced: Vec<&str> = ["silent:1"].into_iter().chain(literals.iter().map(String::as_str)).collect();
        let found = found(&announced, &asked).await;
        assert_eq!(found.addresses.len(), MOST_TRIED);
        assert!(asked.borrow().is_empty() && found.failures.is_empty(), "{found:?}");
    }
}
