//! The ground on which the demo plays: three sites and a hub, each in network namespaces of its own behind NAT, or all of them on loopback
//! addresses.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::place::Place;

/// The names of the sites.
pub(super) const SITES: [&str; 3] = ["a", "b", "c"];
/// Where the hub is when there are namespaces: an address of a network for documentation (RFC 5737), which leads nowhere else.
const HUB: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// Where each site has its catalogue.
pub(super) const BACKEND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 42, 0, 10)), 8080);

/// The ground.
pub(super) struct Stage {
    pub(super) hub: Place,
    pub(super) hub_address: SocketAddr,
    /// In the order of [`SITES`].
    pub(super) sites: Vec<Site>,
    /// What cannot be shown on it.
    pub(super) lacks: Option<String>,
    /// Taken down at the end.
    _namespaces: Option<Namespaces>,
}

/// A site.
pub(super) struct Site {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) backend: SocketAddr,
}

impl Stage {
    /// Namespaces if this process may make them, loopback addresses otherwise.
    pub(super) fn build() -> anyhow::Result<Self> {
        match Self::in_namespaces() {
            Ok(stage) => Ok(stage),
            Err(reason) => Self::on_loopback(format!("{reason:#}")),
        }
    }

    fn in_namespaces() -> anyhow::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            bail!("not root");
        }
        let namespaces = Namespaces::build()?;
        let site = |name: &'static str| {
            let place = Place::namespace(&namespaces.name(name))?;
            anyhow::Ok(Site { name, place, backend: BACKEND })
        };
        Ok(Self {
            hub: Place::namespace(&namespaces.name("hub"))?,
            hub_address: SocketAddr::new(HUB.into(), 7443),
            sites: SITES.into_iter().map(site).collect::<Result<_, _>>()?,
            lacks: None,
            _namespaces: Some(namespaces),
        })
    }

    fn on_loopback(reason: String) -> anyhow::Result<Self> {
        let here = Place::here()?;
        let sites = SITES.into_iter().zip(1..).map(|(name, number)| {
            let address = Ipv4Addr::new(127, 42, number, 10);
            Site { name, place: here.clone(), backend: SocketAddr::new(address.into(), BACKEND.port()) }
        });
        // A port that nobody has; between now and the start of the hub somebody may take it, which the hub then says.
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        Ok(Self { sites: sites.collect(), hub: here, hub_address: free, lacks: Some(reason), _namespaces: None })
    }
}

/// Namespaces of this process: for each site one with its own 10.42.0.0/16, and one for the NAT before it; one for the hub and what
/// stands for the internet.
struct Namespaces {
    prefix: String,
}

impl Namespaces {
    fn build() -> anyhow::Result<Self> {
        let namespaces = Self { prefix: format!("selvedge-demo-{}", std::process::id()) };
        let hub = namespaces.name("hub");
        let mut batch = format!("netns add {hub}\n");
        for site in SITES {
            let (inside, nat) = (namespaces.name(site), namespaces.nat(site));
            batch += &format!(
                "netns add {inside}\nnetns add {nat}\nlink add lan netns {inside} type veth peer name lan netns {nat}\n\
                 link add wan netns {nat} type veth peer name site-{site} netns {hub}\n"
            );
        }
        ip(&[], &batch)?;
        let mut batch = format!(
            "link set lo up\nlink add internet type bridge\nlink set internet up\naddress add {HUB}/24 dev internet\n"
        );
        for site in SITES {
            batch += &format!("link set site-{site} up master internet\n");
        }
        ip(&["-n", &hub], &batch)?;
        for (site, number) in SITES.into_iter().zip(11..) {
            namespaces.build_site(site, number)?;
        }
        Ok(namespaces)
    }

    fn build_site(&self, site: &str, number: u8) -> anyhow::Result<()> {
        let (inside, nat) = (self.name(site), self.nat(site));
        let backend = BACKEND.ip();
        ip(
            &["-n", &inside],
            &format!(
                "link set lo up\nlink set lan up\naddress add 10.42.0.2/16 dev lan\naddress add {backend}/16 dev lan\nroute add default via 10.42.0.1\n"
            ),
        )?;
        ip(
            &["-n", &nat],
            &format!(
                "link set lo up\nlink set lan up\nlink set wan up\naddress add 10.42.0.1/16 dev lan\naddress add 198.51.100.{number}/24 dev wan\n"
            ),
        )?;
        // What comes from inside goes out under the NAT's address; nothing begins outside.
        feed(
            &mut inside_of(&nat, &["nft", "-f", "-"]),
            "table ip nat { chain out { type nat hook postrouting priority 100; oifname wan masquerade; }; }
             table ip filter {
               chain forward { type filter hook forward priority 0; policy drop; iifname lan accept; ct state established,related accept; }
               chain input { type filter hook input priority 0; policy accept; iifname wan ct state new drop; }
             }",
        )?;
        feed(&mut inside_of(&nat, &["tee", "/proc/sys/net/ipv4/ip_forward"]), "1")
    }

    /// Of a site, or of the hub.
    fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.prefix)
    }

    fn nat(&self, site: &str) -> String {
        format!("{}-nat-{site}", self.prefix)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        let sites = SITES.into_iter().flat_map(|site| [self.name(site), self.nat(site)]);
        for name in sites.chain([self.name("hub")]) {
            // One that was never made cannot be deleted.
            let mut delete = Command::new("ip");
            let _ = delete.args(["netns", "delete", &name]).stderr(Stdio::null()).status();
        }
    }
}

fn ip(arguments: &[&str], batch: &str) -> anyhow::Result<()> {
    feed(Command::new("ip").args(arguments).args(["-batch", "-"]), batch)
}

fn inside_of(namespace: &str, program: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).args(program);
    command
}

/// Runs a program with something to read, and fails with what it says.
fn feed(command: &mut Command, input: &str) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("cannot run {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
