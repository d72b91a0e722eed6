//! The processes that were started, and their end.
//!
//! Every process of Nix is started here, so that a program that is told to end can end them first: nobody else would,
//! and a Nix that is killed leaves its builders running, while one that is *asked* to end stops them. From then on
//! nothing new is started, and whoever waits for a process waits for ever: what an ended process said is no result.
//! Which signals a program listens to is its own business.
//!
//! An evaluator that waits for questions does not end when it is asked to: it only breaks off what it was doing. So it
//! is asked as well, that it may stop what it is building, and ended at once when it has no processes of its own.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// What is running now. A process is named by a descriptor of its own, which never means another one.
struct Started {
    ending: bool,
    next: u64,
    running: BTreeMap<u64, Named>,
}

/// What signals are sent to.
struct Named {
    descriptor: OwnedFd,
    /// The number of a process that waits for questions.
    asked: Option<u32>,
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
        Self::begin(command, false)
    }

    /// Starts a process that waits for questions, unless the program is ending.
    pub(crate) fn start_asked(command: &mut Command) -> io::Result<Self> {
        Self::begin(command, true)
    }

    fn begin(command: &mut Command, asked: bool) -> io::Result<Self> {
        // Locked throughout: nothing may start behind the back of `end_processes`.
        let mut started = started();
        if started.ending {
            return Err(io::Error::other("the program is ending"));
        }
        let child = command.spawn()?;
        let number = started.next;
        started.next += 1;
        let asked = child.id().filter(|_| asked);
        let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        // Where the system has no such descriptors, the process ends only by itself.
        if let Some(descriptor) = id.and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok()) {
            started.running.insert(number, Named { descriptor, asked });
        }
        drop(started);
        Ok(Self { child, number })
    }

    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    pub(crate) fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
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
        unless_ending().await;
        status
    }

    /// Ends it at once.
    pub(crate) async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }
}

/// Waits for ever once the processes are being ended: what they say from then on is no result.
pub(crate) async fn unless_ending() {
    if started().ending {
        std::future::pending::<()>().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let named = started().running.remove(&self.number);
        if let (Some(named), Ok(None)) = (named, self.child.try_wait()) {
            // It may have ended just now.
            let _ = pidfd_send_signal(&named.descriptor, named.ends_by());
        }
    }
}

impl Named {
    /// The signal that ends it: it is only asked while there are processes that it has to stop first.
    fn ends_by(&self) -> Signal {
        match self.asked {
            Some(id) if !has_children(id) => Signal::KILL,
            _ => Signal::TERM,
        }
    }
}

/// Whether a process started others that are there; where the system does not tell, it may have.
fn has_children(id: u32) -> bool {
    let children = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children"));
    let Ok(threads) = std::fs::read_dir(format!("/proc/{id}/task")) else { return false };
    threads.flatten().any(|thread| children(thread).map_or(true, |children| !children.trim().is_empty()))
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

/// How often those that wait for questions are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Asks every process to end, waits for that so long, ends the others at once, and lets nothing start any more.
pub fn end_processes(grace: Duration) {
    let mut named: Vec<Named> = {
        let mut started = started();
        started.ending = true;
        let again = |named: &Named| Some(Named { descriptor: named.descriptor.try_clone().ok()?, asked: named.asked });
        started.running.values().filter_map(again).collect()
    };
    for one in &named {
        let _ = pidfd_send_signal(&one.descriptor, Signal::TERM);
    }
    let until = Instant::now() + grace;
    while !named.is_empty() && Instant::now() < until {
        for one in named.iter().filter(|one| one.asked.is_some() && one.ends_by() == Signal::KILL) {
            let _ = pidfd_send_signal(&one.descriptor, Signal::KILL);
        }
        named = left(named, LOOK_EVERY.min(until.saturating_duration_since(Instant::now())));
    }
    for one in &named {
        let _ = pidfd_send_signal(&one.descriptor, Signal::KILL);
    }
    let until = Instant::now() + Duration::from_secs(1);
    while !named.is_empty() && Instant::now() < until {
        named = left(named, until.saturating_duration_since(Instant::now()));
    }
}

/// Waits until one of them ends, or so long, and gives those that are there then.
fn left(named: Vec<Named>, wait: Duration) -> Vec<Named> {
    let mut polled: Vec<PollFd<'_>> = named.iter().map(|one| PollFd::new(&one.descriptor, PollFlags::IN)).collect();
    let time = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
    // A call that fails says nothing of any of them.
    if poll(&mut polled, Some(&time)).is_err() {
        return named;
    }
    let gone: Vec<bool> = polled.iter().map(|process| !process.revents().is_empty()).collect();
    named.into_iter().zip(gone).filter(|(_, gone)| !gone).map(|(one, _)| one).collect()
}
