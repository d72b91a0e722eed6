//! The one place through which anything reaches the terminal: stdout, stderr, bars and the errors of the command line.
//!
//! What is written here passes `narthex_text` once more, so that no text of somebody else's gets past it, whichever caller
//! forgot; styles are added behind that, by the templates of bars alone. clippy.toml keeps `io::stdout`, `io::stderr`,
//! clap's printing and indicatif's messages out of all other modules. It also owns the screen: there is one set of bars at
//! a time, and whatever is written meanwhile goes above them.

#![expect(clippy::disallowed_methods, reason = "everything else has to go through this module")]

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use narthex_text::{Clean, visible};
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Why stdout takes nothing more. Commands end with an exit code of their own, which must not depend on who reads them.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// The bars that are on the screen.
static SCREEN: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// Does nothing but lead to values that a panic elsewhere did not make wrong.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes text to stdout. What could not be written is told at the end: see [`unwritten`].
pub(crate) fn out(text: &str) {
    stream(&|stdout| stdout.write_all(text.as_bytes()));
}

/// Writes JSON to stdout: what a terminal would obey is escaped, and the values stay as they are.
pub(crate) fn out_json(text: &str) {
    out(&narthex_text::json(text));
}

/// Writes data to stdout piece by piece.
pub(crate) fn stream(write: &dyn Fn(&mut dyn Write) -> io::Result<()>) {
    above_bars(|| {
        let mut lost = lock(&LOST);
        if lost.is_none() {
            let stdout = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
            let mut clean = Clean::new(stdout, narthex_text::lines);
            *lost = write(&mut clean).and_then(|()| clean.finish()).err();
        }
    });
}

/// Why data was lost on its way to stdout. A reader that went away (`| head`) wanted no more, and lost nothing.
pub(crate) fn unwritten() -> Option<io::Error> {
    let lost = lock(&LOST).take();
    lost.filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
}

/// Writes to stderr; where nobody listens, nothing is lost.
pub(crate) fn err(text: &str) {
    above_bars(|| {
        let _ = io::stderr().lock().write_all(narthex_text::lines(text).as_bytes());
    });
}

/// What clap says: help and version as it styles them, since nothing in them is foreign; errors repeat arguments, and are
/// written plainly.
pub(crate) fn usage(error: &clap::Error) {
    if error.use_stderr() {
        err(&error.render().to_string());
    } else {
        let _ = error.print();
    }
}

fn above_bars(write: impl FnOnce()) {
    let bars = lock(&SCREEN).clone();
    match bars {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}

/// The bars at the bottom of the terminal, until it is dropped.
pub(super) struct Screen(MultiProgress);

impl Screen {
    /// Takes the screen. Whoever had it keeps none of it.
    pub(super) fn take() -> Self {
        let bars = MultiProgress::new();
        if let Some(before) = lock(&SCREEN).replace(bars.clone()) {
            let _ = before.clear();
        }
        Self(bars)
    }

    /// One more bar, by a template of the program's, that moves once in `tick`.
    pub(super) fn bar(&self, template: &str, tick: Duration) -> Bar {
        let bar = self.0.add(ProgressBar::new_spinner());
        bar.set_style(style(template));
        bar.enable_steady_tick(tick);
        Bar(bar)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.0.clear();
        lock(&SCREEN).take();
    }
}

/// One bar. Dropped, it is gone and moves no more.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn name(&self, text: &str) {
        self.0.set_prefix(visible(text));
    }

    pub(super) fn say(&self, text: &str) {
        self.0.set_message(visible(text));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("templates are part of the program and tests read them")
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::ProgressDrawTarget;

    /// Whoever takes the screen has it alone: of what an earlier one left nothing moves any more.
    #[test]
    fn a_bar_that_is_dropped_is_gone() {
        let screen = Screen::take();
        screen.0.set_draw_target(ProgressDrawTarget::hidden());
        let bar = screen.bar("{prefix} {wide_msg}", Duration::from_secs(3600));
        bar.name("a\u{1b}[2J");
        bar.say("b\u{202e}\nc");
        let inside = bar.0.clone();
        assert_eq!((inside.prefix().as_str(), inside.message().as_str()), ("a\u{fffd}[2J", "b\u{fffd}\u{fffd}c"));
        drop(bar);
        assert!(inside.is_finished());
    }
}
