//! What the demo asks, and what it expects.

use super::HOST;
use super::client::{Answer, echo, get, get_over_tls};

/// Requests to the weighted route. With one in ten for v2, fewer than 4 or more than 40 of 200 happens once in 100,000 runs.
const WEIGHTED_REQUESTS: usize = 200;
const EXPECTED_V2: std::ops::RangeInclusive<usize> = 4..=40;

/// Plays all scenes and prints a table. Returns how many went wrong.
pub(super) async fn play(certificate: &str) -> usize {
    let mut table = Table::new();
    table.row("GET /, 90 % v1 and 10 % v2", weighted().await);
    table.row("GET / with x-tester: yes", tester().await);
    table.row("GET /api/items, prefix rewritten", check(get(HOST, "/api/items", &[]).await, 200, "v1 /items selvedge"));
    table.row("GET /teapot, direct response", check(get(HOST, "/teapot", &[]).await, 418, "short and stout"));
    table.row("GET http://old.example.com/x", redirect().await);
    table.row("GET https://shop.example.com/", over_tls(certificate).await);
    table.row("GET / of a host that nobody serves", check(get("nobody.example.com", "/", &[]).await, 404, ""));
    table.row("100 bytes over TCP", tcp().await);
    table.failures
}

/// What happened, or what went wrong.
type Outcome = Result<String, String>;

async fn weighted() -> Outcome {
    let mut counts = [0_usize; 2];
    for _ in 0..WEIGHTED_REQUESTS {
        match get(HOST, "/", &[]).await.map_err(|error| format!("{error:#}"))? {
            answer if answer.status == 200 && answer.body == "v1 / -" => counts[0] += 1,
            answer if answer.status == 200 && answer.body == "v2 / -" => counts[1] += 1,
            answer => return Err(describe(&answer)),
        }
    }
    let text = format!("{} to v1, {} to v2, 0 failed", counts[0], counts[1]);
    if EXPECTED_V2.contains(&counts[1]) { Ok(text) } else { Err(text) }
}

async fn tester() -> Outcome {
    check(get(HOST, "/", &[("x-tester", "yes")]).await, 200, "v2 / -")
}

async fn redirect() -> Outcome {
    let answer = get("old.example.com", "/x", &[]).await.map_err(|error| format!("{error:#}"))?;
    let location = answer.headers.get("location").and_then(|value| value.to_str().ok()).unwrap_or("-");
    let text = format!("{} to {location}", answer.status.as_u16());
    if text == "301 to http://shop.example.com/x" { Ok(text) } else { Err(text) }
}

async fn over_tls(certificate: &str) -> Outcome {
    let answer = get_over_tls(HOST, "/api/tls", certificate).await;
    check(answer, 200, "v1 /tls selvedge")
}

async fn tcp() -> Outcome {
    let message = "0123456789".repeat(10);
    match echo(&message).await {
        Ok(answer) if answer == message => Ok("100 bytes back".to_owned()),
        Ok(answer) => Err(format!("{} other bytes back", answer.len())),
        Err(error) => Err(format!("{error:#}")),
    }
}

fn check(answer: anyhow::Result<Answer>, status: u16, body: &str) -> Outcome {
    let answer = answer.map_err(|error| format!("{error:#}"))?;
    if answer.status == status && answer.body == body { Ok(describe(&answer)) } else { Err(describe(&answer)) }
}

fn describe(answer: &Answer) -> String {
    format!("{} {}", answer.status.as_u16(), answer.body).trim_end().to_owned()
}

struct Table {
    failures: usize,
}

impl Table {
    fn new() -> Self {
        println!("{:<38} {:<6} answer", "request", "");
        Self { failures: 0 }
    }

    fn row(&mut self, request: &str, outcome: Outcome) {
        match outcome {
            Ok(answer) => println!("{request:<38} {:<6} {answer}", "right"),
            Err(answer) => {
                self.failures += 1;
                println!("{request:<38} {:<6} {answer}", "WRONG");
            }
        }
    }
}
