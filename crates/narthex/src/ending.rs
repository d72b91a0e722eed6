//! Being told to end: first what this program started ends, then the program, with 128 and the signal's number.
//!
//! A command that has something to show of what it did so far asks for [`Last`], and ends by itself.
//!
//! A signal that was ignored when the program began (`nohup`, a job in the background) stays ignored. What was being
//! written stays as a crash leaves it, and a crash loses nothing; see *Crash safety* in ARCHITECTURE.md.

use crate::render;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

/// How long Nix may take to end its builders.
const GRACE: Duration = Duration::from_secs(10);

/// How long the command may take after that to let go of what it holds. It may be at work where nothing interrupts it.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a command may take to show what it has.
const LAST_WORDS: Duration = Duration::from_secs(60);

/// Whether a command has something to show, and what it then is told.
static LAST: OnceLock<watch::Sender<Option<u8>>> = OnceLock::new();

/// What a command is told that shows what it has when it is told to end.
pub(crate) struct Last(watch::Receiver<Option<u8>>);

impl Last {
    /// From here on, this command ends by itself.
    pub(crate) fn listen() -> Self {
        Self(LAST.get_or_init(|| watch::channel(None).0).subscribe())
    }

    /// Waits until it is told.
    pub(crate) async fn told(&mut self) {
        // The sender is never dropped.
        let _ = self.0.wait_for(Option::is_some).await;
    }

    /// The exit code, once it was told.
    pub(crate) fn code(&self) -> Option<u8> {
        *self.0.borrow()
    }
}

/// Ends with the exit code once a signal came and everything that was started has ended; until then, never.
pub(crate) async fn told_to_end() -> u8 {
    let listened = Listened::new();
    let (sender, receiver) = oneshot::channel();
    // A task of its own: the command may keep its thread busy for minutes.
    tokio::spawn(async move {
        let Some(mut listened) = listened else { return };
        let (number, name) = listened.next().await;
        let code = u8::try_from(128 + number).unwrap_or(255);
        render::note(&format!("ending by {name}"));
        let last = LAST.get();
        if let Some(last) = last {
            last.send_replace(Some(code));
        }
        let ended = tokio::task::spawn_blocking(|| narthex_nix::end_processes(GRACE));
        tokio::select! {
            _ = ended => {}
            // Whoever asks twice does not want to wait.
            _ = listened.next() => std::process::exit(i32::from(code)),
        }
        match last {
            None => {
                let _ = sender.send(code);
                tokio::time::sleep(PATIENCE).await;
            }
            Some(_) => tokio::select! {
                () = tokio::time::sleep(LAST_WORDS) => {}
                _ = listened.next() => {}
            },
        }
        std::process::exit(i32::from(code));
    });
    match receiver.await {
        Ok(code) => code,
        Err(_) => std::future::pending().await,
    }
}

/// The signals that end a program.
struct Listened {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

impl Listened {
    fn new() -> Option<Self> {
        let ignored = ignored();
        let listen = |kind: SignalKind| match ignored & (1 << (kind.as_raw_value() - 1)) {
            0 => signal(kind).ok(),
            _ => None,
        };
        let listened = Self {
            interrupt: listen(SignalKind::interrupt()),
            terminate: listen(SignalKind::terminate()),
            hangup: listen(SignalKind::hangup()),
        };
        let any = listened.interrupt.is_some() || listened.terminate.is_some() || listened.hangup.is_some();
        any.then_some(listened)
    }

    async fn next(&mut self) -> (i32, &'static str) {
        async fn of(signal: &mut Option<Signal>) {
            let came = match signal {
                Some(signal) => signal.recv().await,
                None => None,
            };
            if came.is_none() {
                std::future::pending::<()>().await;
            }
        }
        tokio::select! {
            () = of(&mut self.interrupt) => (SignalKind::interrupt().as_raw_value(), "SIGINT"),
            () = of(&mut self.terminate) => (SignalKind::terminate().as_raw_value(), "SIGTERM"),
            () = of(&mut self.hangup) => (SignalKind::hangup().as_raw_value(), "SIGHUP"),
        }
    }
}

/// The signals that this process ignores, one bit each.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
