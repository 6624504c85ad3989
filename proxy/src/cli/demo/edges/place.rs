//! Where a part of the demo stands: this machine as it is, or a network namespace of it.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context as _, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::oneshot;

/// Work for the thread that lives in the place. A socket belongs for ever to the namespace in which it was made.
type Task = Box<dyn FnOnce() + Send>;

/// A place.
#[derive(Clone, Debug)]
pub(super) struct Place {
    namespace: Option<String>,
    tasks: mpsc::Sender<Task>,
}

impl Place {
    /// The machine as it is.
    pub(super) fn here() -> anyhow::Result<Self> {
        Self::start(None)
    }

    /// A namespace that `ip netns` has made.
    pub(super) fn namespace(name: &str) -> anyhow::Result<Self> {
        Self::start(Some(name.to_owned()))
    }

    fn start(namespace: Option<String>) -> anyhow::Result<Self> {
        let (tasks, queue) = mpsc::channel::<Task>();
        let (entered, has_entered) = mpsc::channel();
        let name = namespace.clone();
        let live = move || {
            let result = name.as_deref().map_or(Ok(()), enter);
            let is_in = result.is_ok();
            // Whoever asked is gone if this fails.
            let _ = entered.send(result);
            if is_in {
                queue.into_iter().for_each(|task| task());
            }
        };
        thread::Builder::new().name("demo place".to_owned()).spawn(live)?;
        has_entered.recv()?.with_context(|| format!("cannot enter network namespace {namespace:?}"))?;
        Ok(Self { namespace, tasks })
    }

    /// The name of the namespace, if it is one.
    pub(super) fn name(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// A program that will run here.
    pub(super) fn command(&self, program: &std::path::Path) -> Command {
        match &self.namespace {
            None => Command::new(program),
            Some(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name]).arg(program);
                command
            }
        }
    }

    pub(super) async fn listen(&self, address: SocketAddr) -> anyhow::Result<TcpListener> {
        let listener = self.make(move || std::net::TcpListener::bind(address)).await;
        let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
        listener.set_nonblocking(true)?;
        Ok(TcpListener::from_std(listener)?)
    }

    pub(super) async fn connect(&self, address: SocketAddr) -> anyhow::Result<TcpStream> {
        let stream = self.make(move || std::net::TcpStream::connect(address)).await;
        let stream = stream.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nonblocking(true)?;
        Ok(TcpStream::from_std(stream)?)
    }

    async fn make<T: Send + 'static>(
        &self,
        make: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let (sender, made) = oneshot::channel();
        let task = move || drop(sender.send(make()));
        self.tasks.send(Box::new(task)).map_err(|_| anyhow!("the thread of this place is gone"))?;
        Ok(made.await??)
    }
}

fn enter(namespace: &str) -> io::Result<()> {
    let file = File::open(format!("/run/netns/{namespace}"))?;
    Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?)
}
