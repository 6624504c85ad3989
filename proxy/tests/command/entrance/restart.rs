//! A process of an edge takes over from another one, with clients of the mesh that are let in.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

use super::mesh::{Client, WEB};
use super::{PATIENCE, SERVER_NAME, Site, echo};
use crate::restart::has_taken_over;
use crate::restart::load::DRAINED;

/// Connects and is answered, again and again; all that fails.
async fn ask(site: Arc<Site>, over: Arc<AtomicBool>, answers: Arc<AtomicUsize>) -> Vec<String> {
    let (web, mut failures) = (site.mesh.workload(&[WEB]), Vec::new());
    while !over.load(Ordering::Relaxed) {
        match site.connect(Some(&web), Some(SERVER_NAME)).await {
            Ok(_) => drop(answers.fetch_add(1, Ordering::Relaxed)),
            Err(error) => failures.push(error.to_string()),
        }
    }
    failures
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what} does not happen");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn echoes(client: &mut Client) -> io::Result<()> {
    let mut answer = [0; 5];
    client.write_all(b"again").await?;
    client.read_exact(&mut answer).await?;
    if &answer == b"again" { Ok(()) } else { Err(io::Error::other("something else")) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_takes_over_from_another_and_no_client_of_the_mesh_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let socket = format!("--handover-socket={}", directory.path().join("socket").display());
    let site = Arc::new(Site::run(echo(), "", "", &[&socket]));
    let (over, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let clients = [(); 2].map(|()| tokio::spawn(ask(site.clone(), over.clone(), answers.clone())));
    let go_on = async || {
        let before = answers.load(Ordering::Relaxed);
        until("more answers", || answers.load(Ordering::Relaxed) >= before + 20).await;
    };
    go_on().await;
    let web = site.mesh.workload(&[WEB]);
    let mut before = site.connect(Some(&web), Some(SERVER_NAME)).await.unwrap();
    let overlay = ["--state", site.a.state.path().to_str().unwrap(), &socket];
    let begun = Instant::now();
    let new = site.a.gateway.next(site.a.folder.path(), &overlay);
    until("it takes over", || has_taken_over(&new)).await;
    // Unless it has drained by now.
    let goes_on = echoes(&mut before).await.is_ok();
    assert!(goes_on || begun.elapsed() >= DRAINED, "it was cut");
    go_on().await;
    until("the end of the one before", || new.log().contains("from which this one took over, has ended")).await;
    assert!(echoes(&mut before).await.is_err(), "it was with the process before");
    go_on().await;
    over.store(true, Ordering::Relaxed);
    for client in clients {
        assert_eq!(client.await.unwrap(), Vec::<String>::new());
    }
    site.connect(Some(&web), None).await.unwrap();
}
