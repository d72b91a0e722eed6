//! What a process takes: memory, and time of the processor for what it is at.
//!
//! It is looked at every now and then, and not with each answer: of a large set there are thousands of those in a second.
//! So an answer only notes that time begins anew, and the next look knows from where.

use super::process::{Bounds, End};
use std::time::{Duration, Instant};
use tokio::time::{Interval, MissedTickBehavior};

/// How often a process is looked at. In this time an evaluation can take some hundred megabytes.
const EVERY: Duration = Duration::from_millis(50);

/// How long a process may say nothing, whatever it waits for.
const LONGEST_WAIT: Duration = Duration::from_hours(6);

/// Looks at one process.
pub(super) struct Watch {
    process: Option<u32>,
    interval: Interval,
    /// When the first look after the last answer was, and what time of the processor it had used until then.
    since: Option<(Instant, Duration)>,
}

impl Watch {
    pub(super) fn new(process: Option<u32>) -> Self {
        let mut interval = tokio::time::interval(EVERY);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { process, interval, since: None }
    }

    /// It begins with something else.
    pub(super) fn answered(&mut self) {
        self.since = None;
    }

    /// Waits for the next look.
    pub(super) async fn due(&mut self) {
        self.interval.tick().await;
    }

    /// Whether it takes more than it may.
    pub(super) fn look(&mut self, bounds: Bounds) -> Option<End> {
        if resident(self.process) > bounds.memory {
            return Some(End::Memory);
        }
        let used = time_used(self.process);
        let (began, before) = *self.since.get_or_insert_with(|| (Instant::now(), used));
        if used.saturating_sub(before) > bounds.time {
            Some(End::Time)
        } else if began.elapsed() > LONGEST_WAIT {
            Some(End::Waiting)
        } else {
            None
        }
    }
}

/// Bytes of memory that a process has; zero for one that has ended.
fn resident(process: Option<u32>) -> u64 {
    let statm = process.and_then(|id| std::fs::read_to_string(format!("/proc/{id}/statm")).ok()).unwrap_or_default();
    pages(&statm).unwrap_or(0).saturating_mul(rustix::param::page_size() as u64)
}

/// The second field of proc_pid_statm(5).
fn pages(statm: &str) -> Option<u64> {
    statm.split_whitespace().nth(1)?.parse().ok()
}

/// How long the processor has worked for a process, all its threads together; nothing for one that has ended.
fn time_used(process: Option<u32>) -> Duration {
    let stat = process.and_then(|id| std::fs::read_to_string(format!("/proc/{id}/stat")).ok()).unwrap_or_default();
    let ticks = ticks_used(&stat).unwrap_or(0);
    Duration::from_millis(ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second().max(1))
}

/// The fields `utime` and `stime` of proc_pid_stat(5), which are the twelfth and the thirteenth behind the name. A name may
/// have spaces and parentheses in it.
fn ticks_used(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_whitespace().skip(11).map(|field| field.parse::<u64>().ok());
    fields.next()??.checked_add(fields.next()??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_processor_is_read_behind_any_name() {
        let check = |stat: &str, expected: Option<u64>| assert_eq!(ticks_used(stat), expected, "{stat}");
        check("12 (nix) S 1 12 12 0 -1 4194304 100 0 0 0 7 5 0 0 20 0 1 0 100 1 1", Some(12));
        check("12 (a) b (c)) R 1 12 12 0 -1 4194304 100 0 0 0 700 50 9 9 20 0 1 0 100 1 1", Some(750));
        check("12 (nix) S 1 12", None);
        check("", None);
    }

    #[test]
    fn memory_is_what_is_resident() {
        assert_eq!(pages("7000 1234 300 5 0 900 0\n"), Some(1234));
        assert_eq!(pages(""), None);
        let mine = resident(Some(std::process::id()));
        assert!((1 << 20..1 << 40).contains(&mine), "{mine}");
    }
}
