//! Three sites with the same addresses and a hub: services of all of them behind one name, while an edge and the hub die.

mod place;
mod programs;
mod stage;
mod traffic;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use self::programs::Programs;
use self::stage::{SITES, Stage};
use self::traffic::{Count, Traffic, who_answers};
use super::backends;

/// Where site a takes requests (examples/edges/routes.yaml).
const GATEWAY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 18080);
/// Shares of the sites (examples/edges/routes.yaml), and by how many standard deviations of a draw they may be missed: a right gateway misses
/// one of all that are looked at once in a thousand demos.
const SHARES: [f64; SITES.len()] = [0.7, 0.2, 0.1];
const DEVIATIONS: f64 = 4.0;
const READY_WITHIN: Duration = Duration::from_secs(15);
const TURN: Duration = Duration::from_secs(1);

/// The demo while it stands.
pub(super) struct Edges {
    stage: Stage,
    programs: Programs,
    _backends: JoinSet<()>,
}

/// What a part of the story must come to.
#[derive(Clone, Copy)]
enum Expected {
    /// Everybody answers by its share.
    Shares,
    /// The third site does not answer, and the second has its share as well.
    WithoutC,
    /// Everybody answers.
    Everybody,
}

impl Edges {
    /// Builds everything, and waits until each site has answered.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let stage = Stage::build()?;
        let mut tasks = JoinSet::new();
        for site in &stage.sites {
            let listener = site.place.listen(site.backend).await?;
            tasks.spawn(backends::serve(listener, site.name));
        }
        let programs = Programs::start(&stage).await?;
        let edges = Self { stage, programs, _backends: tasks };
        for name in SITES {
            edges.until_answer_of(name).await?;
        }
        Ok(edges)
    }

    /// Tells the story. Returns how many of its parts went wrong.
    pub(super) async fn play(&mut self) -> anyhow::Result<usize> {
        match &self.stage.lacks {
            None => {
                println!("three sites, each 10.42.0.0/16 behind a NAT of its own, and a hub, in network namespaces")
            }
            Some(reason) => println!(
                "three sites and a hub on loopback addresses; not shown, because namespaces cannot be made ({reason}):\n\
                 NAT, and the same addresses at every site"
            ),
        }
        println!("\n{:<44} {:>7} {:>6} {:>6} {:>6} {:>7}", "", "req/s", "a", "b", "c", "failed");
        let traffic = Traffic::start(&self.site(0)?.place, GATEWAY);
        let mut wrong = 0;
        wrong += watch(&traffic, "all sites", 5, Expected::Shares).await;
        self.programs.kill_edge(2).await?;
        wrong += watch(&traffic, "the edge of c is killed", 3, Expected::WithoutC).await;
        let site = self.stage.sites.get(2).context("there is no third site")?;
        self.programs.start_edge_again(site, 2)?;
        self.until_answer_of("c").await?;
        wrong += watch(&traffic, "it runs again", 3, Expected::Everybody).await;
        self.programs.kill_hub().await?;
        tokio::time::sleep(TURN / 2).await;
        self.programs.start_hub_again(&self.stage)?;
        self.until_answer_of("c").await?;
        wrong += watch(&traffic, "the hub was killed, and runs again", 5, Expected::Shares).await;
        Ok(wrong)
    }

    /// For people who want to look further.
    pub(super) fn describe(&self) -> String {
        let inside = self.stage.sites.first().and_then(|site| site.place.name());
        let inside = inside.map_or_else(String::new, |name| format!("ip netns exec {name} "));
        format!(
            "{inside}curl -H 'Host: shop.example.com' http://{GATEWAY}/ asks site a; selvedge status --state {} shows its overlay",
            self.programs.state("a").display()
        )
    }

    /// Waits until a site has answered.
    async fn until_answer_of(&self, name: &str) -> anyhow::Result<()> {
        let place = &self.site(0)?.place;
        let asked = async {
            while who_answers(place, GATEWAY).await.and_then(|site| SITES.get(site)) != Some(&name) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(READY_WITHIN, asked).await.with_context(|| format!("site {name} does not answer"))
    }

    fn site(&self, at: usize) -> anyhow::Result<&stage::Site> {
        self.stage.sites.get(at).context("there is no such site")
    }
}

/// Shows what happens, a line each second, then what it came to. Returns 1 if that is wrong.
async fn watch(traffic: &Traffic, what: &str, turns: u32, expected: Expected) -> usize {
    let start = traffic.count();
    let mut last = start.clone();
    for turn in 0..turns {
        let began = Instant::now();
        tokio::time::sleep(TURN).await;
        let now = traffic.count();
        row(if turn == 0 { what } else { "" }, &now.since(&last), began.elapsed());
        last = now;
    }
    let count = last.since(&start);
    let verdict = match (verdict(&count, expected), &last.reason) {
        (Ok(()), _) => {
            println!("{:<44} right", "");
            return 0;
        }
        (Err(verdict), None) => verdict,
        (Err(verdict), Some(reason)) => format!("{verdict}; the first that failed: {reason}"),
    };
    println!("{:<44} WRONG: {verdict}", "");
    1
}

fn row(what: &str, count: &Count, time: Duration) {
    let rate = count.total() as f64 / time.as_secs_f64();
    let [a, b, c] = count.answers;
    println!("{what:<44} {rate:>7.0} {a:>6} {b:>6} {c:>6} {:>7}", count.failed);
}

fn verdict(count: &Count, expected: Expected) -> Result<(), String> {
    if count.failed > 0 {
        return Err(format!("{} requests failed", count.failed));
    }
    let [local, second, third] = SHARES;
    let shares = match expected {
        Expected::Shares => SHARES,
        Expected::WithoutC => [local, second + third, 0.0],
        Expected::Everybody if count.answers.contains(&0) => return Err("a site has not answered".to_owned()),
        Expected::Everybody => return Ok(()),
    };
    let total = count.total() as f64;
    for ((site, answers), share) in SITES.iter().zip(count.answers).zip(shares) {
        let tolerance = DEVIATIONS * (total * share * (1.0 - share)).sqrt();
        if (answers as f64 - total * share).abs() > tolerance {
            return Err(format!("site {site} has answered {answers} of {total} requests, not {:.0} %", share * 100.0));
        }
    }
    if total == 0.0 { Err("nobody has asked".to_owned()) } else { Ok(()) }
}
