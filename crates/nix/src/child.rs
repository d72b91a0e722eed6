//! The processes that were started, and their end.
//!
//! Every process of Nix is started here, so that a program that is told to end can end them first: nobody else would,
//! and a Nix that is killed leaves its builders running, while one that is *asked* to end stops them. From then on
//! nothing new is started, and whoever waits for a process waits for ever: what an ended process said is no result.
//! Which signals a program listens to is its own business.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// What is running now. A process is named by a descriptor of its own, which never means another one.
struct Started {
    ending: bool,
    next: u64,
    running: BTreeMap<u64, OwnedFd>,
}

static STARTED: Mutex<Started> = Mutex::new(Started { ending: false, next: 0, running: BTreeMap::new() });

fn started() -> MutexGuard<'static, Started> {
    STARTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that is known here until it is dropped, and asked to end then.
pub(crate) struct Running {
    child: Child,
    number: u64,
}

impl Running {
    /// Starts a process, unless the program is ending.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        // Locked throughout: nothing may start behind the back of `end_processes`.
        let mut started = started();
        if started.ending {
            return Err(io::Error::other("the program is ending"));
        }
        let child = command.spawn()?;
        let number = started.next;
        started.next += 1;
        let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        // Where the system has no such descriptors, the process ends only by itself.
        if let Some(descriptor) = id.and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok()) {
            started.running.insert(number, descriptor);
        }
        drop(started);
        Ok(Self { child, number })
    }

    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    pub(crate) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    pub(crate) fn stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        if started().ending {
            std::future::pending::<()>().await;
        }
        status
    }

    /// Ends it at once.
    pub(crate) async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let descriptor = started().running.remove(&self.number);
        if let (Some(descriptor), Ok(None)) = (descriptor, self.child.try_wait()) {
            // It may have ended just now.
            let _ = pidfd_send_signal(descriptor, Signal::TERM);
        }
    }
}

/// Runs a process to its end and keeps what it says.
pub(crate) async fn output(command: &mut Command) -> io::Result<Output> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(command)?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (mut out, mut err) = (running.stdout(), running.stderr());
    let (out, err) = tokio::join!(
        async {
            match &mut out {
                Some(out) => out.read_to_end(&mut stdout).await,
                None => Ok(0),
            }
        },
        async {
            match &mut err {
                Some(err) => err.read_to_end(&mut stderr).await,
                None => Ok(0),
            }
        }
    );
    let status = running.wait().await?;
    out.and(err)?;
    Ok(Output { status, stdout, stderr })
}

/// Asks every process to end, waits for that so long, ends the others at once, and lets nothing start any more.
pub fn end_processes(grace: Duration) {
    let descriptors: Vec<OwnedFd> = {
        let mut started = started();
        started.ending = true;
        started.running.values().filter_map(|descriptor| descriptor.try_clone().ok()).collect()
    };
    let left = signal(&descriptors.iter().collect::<Vec<_>>(), Signal::TERM, grace);
    signal(&left, Signal::KILL, Duration::from_secs(1));
}

/// Sends a signal, and gives those that are there after so long.
fn signal<'a>(processes: &[&'a OwnedFd], signal: Signal, wait: Duration) -> Vec<&'a OwnedFd> {
    for process in processes {
        let _ = pidfd_send_signal(process, signal);
    }
    let until = Instant::now() + wait;
    let mut left: Vec<&OwnedFd> = processes.to_vec();
    while !left.is_empty() {
        let mut polled: Vec<PollFd<'_>> = left.iter().map(|process| PollFd::new(*process, PollFlags::IN)).collect();
        let time = until.saturating_duration_since(Instant::now());
        let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) };
        match poll(&mut polled, Some(&time)) {
            Ok(1..) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Ok(0) | Err(_) => break,
        }
        let gone: Vec<bool> = polled.iter().map(|process| !process.revents().is_empty()).collect();
        left = left.into_iter().zip(gone).filter(|(_, gone)| !gone).map(|(process, _)| process).collect();
    }
    left
}
