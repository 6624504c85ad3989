//! What sends and receives: the runtime's epoll, or a ring (io_uring).

use ring::{Options, Ring, Unavailable};

use super::connection::OwnedByRing;

/// Operations that go to the kernel at once. The rest of a turn waits for the next system call.
const OPERATIONS: u32 = 256;
/// Memory that a worker receives into (1 MiB). A turn that brings more takes more than one system call.
const BUFFERS: u16 = 512;
/// A request or an answer of usual size fits. Where more comes, sockets are read without the ring; until the kernel hears of that, it
/// has received up to some hundred such pieces.
const BUFFER_SIZE: u32 = 2048;

/// Which driver is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DriverChoice {
    /// io_uring where the kernel allows it, otherwise epoll.
    #[default]
    Auto,
    /// epoll.
    Epoll,
    /// io_uring, or nothing.
    #[value(name = "io_uring")]
    IoUring,
}

/// Which driver workers use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// epoll.
    #[default]
    Epoll,
    /// io_uring. A worker that is refused its ring uses epoll, unless it is `required`.
    IoUring {
        /// Nothing else will do.
        required: bool,
    },
}

impl DriverChoice {
    /// Asks the kernel, if need be.
    ///
    /// # Errors
    /// io_uring is wanted and not to be had.
    pub fn choose(self) -> Result<Driver, Unavailable> {
        match self {
            Self::Epoll => Ok(Driver::Epoll),
            Self::IoUring => new_ring().map(|_| Driver::IoUring { required: true }),
            Self::Auto => Ok(new_ring().map_or_else(
                |reason| {
                    tracing::info!("sockets are driven by epoll: {reason}");
                    Driver::Epoll
                },
                |_| {
                    tracing::info!("sockets are driven by io_uring");
                    Driver::IoUring { required: false }
                },
            )),
        }
    }
}

impl Driver {
    /// What the tests of connections run with: `SELVEDGE_TEST_IO_DRIVER`, or epoll. Where io_uring is wanted and the kernel has none
    /// they fail: nothing that was to be tested is left out silently.
    ///
    /// # Panics
    /// As said, and if it is neither `epoll` nor `io_uring`.
    #[doc(hidden)]
    pub fn of_tests() -> Self {
        match std::env::var("SELVEDGE_TEST_IO_DRIVER").as_deref() {
            Err(_) | Ok("epoll") => Self::Epoll,
            Ok("io_uring") => match DriverChoice::IoUring.choose() {
                Ok(driver) => driver,
                Err(reason) => panic!("{reason}"),
            },
            Ok(other) => panic!("SELVEDGE_TEST_IO_DRIVER: {other:?} is neither epoll nor io_uring"),
        }
    }

    /// As in `--io-driver`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::IoUring { .. } => "io_uring",
        }
    }
}

/// A ring for the worker of this thread.
pub(super) fn new_ring() -> Result<Ring<OwnedByRing>, Unavailable> {
    Ring::new(Options { operations: OPERATIONS, buffers: BUFFERS, buffer_size: BUFFER_SIZE })
}
