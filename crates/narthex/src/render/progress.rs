//! Progress on stderr: bars on a terminal, plain lines elsewhere.

use super::err;
use super::terminal::{Bar, Screen};
use super::text::{count, size};
use narthex_closure::StorePath;
use narthex_event::Event;
use narthex_farm::AuditProgress;
use narthex_text::visible;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shows events as they come.
pub(crate) struct Progress {
    view: Mutex<View>,
}

enum View {
    Bars(Bars),
    Lines(Lines),
}

impl Progress {
    /// Bars where stderr is a terminal, else lines.
    pub(crate) fn start() -> Self {
        let view =
            if console::Term::stderr().is_term() { View::Bars(Bars::new()) } else { View::Lines(Lines::default()) };
        Self { view: Mutex::new(view) }
    }

    /// Shows one event.
    pub(crate) fn show(&self, event: Event) {
        // A panic elsewhere does not make what is shown wrong.
        match &mut *self.view.lock().unwrap_or_else(PoisonError::into_inner) {
            View::Bars(bars) => bars.show(event),
            View::Lines(lines) => {
                if let Some(line) = lines.line(event) {
                    err(&format!("{}\n", visible(&line)));
                }
            }
        }
    }

    /// Removes the bars; lines stay.
    pub(crate) fn finish(self) {}
}

/// How far the audit of one path is, where stderr is a terminal; elsewhere nothing.
pub(crate) struct Scanning {
    bar: Option<(Bar, Screen)>,
    name: String,
}

impl Scanning {
    pub(crate) fn start(path: &Path) -> Self {
        let bar = console::Term::stderr().is_term().then(|| {
            let screen = Screen::take();
            (screen.bar(AUDIT, Duration::from_millis(120)), screen)
        });
        Self { bar, name: visible(&path.display().to_string()) }
    }

    pub(crate) fn show(&self, done: AuditProgress) {
        if let Some((bar, _)) = &self.bar {
            bar.say(&self.line(done));
        }
    }

    fn line(&self, done: AuditProgress) -> String {
        let files = count(done.files, "file");
        format!("auditing {}: {} of {files}, {}", self.name, done.files_done, size(done.bytes_done))
    }

    /// Removes the bar.
    pub(crate) fn finish(self) {}
}

/// The templates of bars, and the only styles there are.
const MAIN: &str = "{spinner} {wide_msg}";
const BUILD: &str = "  {prefix} {elapsed:>4} {wide_msg:.dim}";
const AUDIT: &str = "{spinner} {elapsed:>4} {wide_msg}";

/// What both views count.
#[derive(Default)]
struct Lines {
    done: u64,
    expected: u64,
    /// When the last line about an evaluation on its way was written.
    evaluating: Option<Instant>,
}

impl Lines {
    fn left(&self) -> u64 {
        self.expected.saturating_sub(self.done)
    }

    fn line(&mut self, event: Event) -> Option<String> {
        Some(match event {
            Event::Evaluating { expression } => format!("evaluating {expression}"),
            // A log needs no more of them than this.
            progress @ Event::EvaluationProgress { .. } => {
                let begun = *self.evaluating.get_or_insert_with(Instant::now);
                if begun.elapsed() < Duration::from_secs(10) {
                    return None;
                }
                self.evaluating = Some(Instant::now());
                evaluating(&progress)?
            }
            Event::Evaluated { jobs, derivations, errors } => {
                let failed =
                    if errors == 0 { String::new() } else { format!(", {} failed", count(errors, "attribute")) };
                format!("evaluated: {}, {}{failed}", count(jobs, "job"), count(derivations, "derivation"))
            }
            Event::BuildProgress { done, expected, .. } => {
                (self.done, self.expected) = (done, expected);
                return None;
            }
            Event::BuildStarted { derivation } => format!("building {} ({} left)", name(&derivation), self.left()),
            Event::BuildStopped { derivation, failed, took } => {
                format!("{} {} after {}", if failed { "failed:" } else { "ended" }, name(&derivation), seconds(took))
            }
            Event::Fetching { path } => format!("fetching {}", path.name()),
            Event::Learned { package, files, functions } => {
                format!("learned {package}: {}, {}", count(files, "file"), count(functions, "function"))
            }
            Event::Audited { path, findings } => format!("audited {}: {}", path.name(), count(findings, "finding")),
            Event::Published { path, file_size } => format!("uploaded {} ({})", path.name(), size(file_size)),
            Event::Withdrawn { path } => format!("took back {}", path.name()),
            Event::OtherPolicy { before, now, withheld, published, elsewhere } => {
                let which = if before == now {
                    format!("the policy `{now}` has changed")
                } else {
                    format!("the policy is `{now}`, and was `{before}`")
                };
                let changes = format!("{} withheld now, {published} published now", count(withheld, "path"));
                match elsewhere {
                    0 => format!("{which}: {changes}"),
                    _ => format!(
                        "{which}: {changes}; {} not decided about this time",
                        count(elsewhere, "published path")
                    ),
                }
            }
            Event::OtherVerdict { path, withheld, reason } => {
                format!("{} {} ({reason})", if withheld { "withheld now:" } else { "published now:" }, path.name())
            }
            Event::Warning { message } => format!("warning: {message}"),
            Event::BuildLine { .. } => return None,
        })
    }
}

/// One bar for the whole, and one line for each build that runs. Bars go before the screen that they are on.
struct Bars {
    main: Bar,
    builds: BTreeMap<StorePath, Bar>,
    lines: Lines,
    screen: Screen,
}

impl Bars {
    fn new() -> Self {
        let screen = Screen::take();
        let main = screen.bar(MAIN, Duration::from_millis(120));
        Self { main, builds: BTreeMap::new(), lines: Lines::default(), screen }
    }

    fn show(&mut self, event: Event) {
        match &event {
            Event::BuildStarted { derivation } => {
                let bar = self.screen.bar(BUILD, Duration::from_secs(1));
                bar.name(name(derivation));
                self.builds.insert(derivation.clone(), bar);
            }
            Event::BuildLine { derivation, line } => {
                if let Some(bar) = self.builds.get(derivation) {
                    bar.say(line);
                }
            }
            Event::BuildStopped { derivation, .. } => {
                self.builds.remove(derivation);
            }
            Event::BuildProgress { done, expected, running, failed } => {
                self.lines.line(event.clone());
                let failed = if *failed == 0 { String::new() } else { format!(", {failed} failed") };
                self.main.say(&format!("building: {done} of {expected} done, {running} running{failed}"));
            }
            Event::EvaluationProgress { .. } => {
                if let Some(line) = evaluating(&event) {
                    self.main.say(&line);
                }
            }
            Event::Warning { message } => super::warning(message),
            // These stay: somebody may want to end the program now.
            Event::OtherPolicy { .. } | Event::OtherVerdict { .. } => {
                if let Some(line) = self.lines.line(event) {
                    super::err(&format!("{}\n", visible(&line)));
                }
            }
            _ => {
                if let Some(line) = self.lines.line(event) {
                    self.main.say(&line);
                }
            }
        }
    }
}

/// How far an evaluation is.
fn evaluating(event: &Event) -> Option<String> {
    let Event::EvaluationProgress { done, known, errors, left } = event else { return None };
    let failed = if *errors == 0 { String::new() } else { format!(", {errors} failed") };
    let left = left.map(|left| format!(", about {} left", rounded(left))).unwrap_or_default();
    Some(format!("evaluating: {done} of {} done{failed}{left}", count(*known, "attribute")))
}

/// A time that is guessed, as a person would say it.
fn rounded(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..90 => format!("{seconds} s"),
        seconds @ 90..5400 => format!("{} min", (seconds + 30) / 60),
        seconds => format!("{} h", (seconds + 1800) / 3600),
    }
}

fn name(derivation: &StorePath) -> &str {
    derivation.name().strip_suffix(".drv").unwrap_or(derivation.name())
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_can_be_read() {
        let screen = Screen::take();
        for template in [MAIN, BUILD, AUDIT] {
            screen.bar(template, Duration::from_secs(3600));
        }
    }

    #[test]
    fn a_long_audit_says_how_far_it_is() {
        let scanning = Scanning::start(Path::new("/a\u{1b}b"));
        let done = AuditProgress { files_done: 512, files: 600, bytes_done: 1_200_000_000 };
        assert_eq!(scanning.line(done), "auditing /a\u{fffd}b: 512 of 600 files, 1.2 GB");
        scanning.finish();
    }

    #[test]
    fn an_evaluation_says_how_far_it_is() {
        let check = |done, known, errors, left: Option<u64>, expected: &str| {
            let left = left.map(Duration::from_secs);
            let line = evaluating(&Event::EvaluationProgress { done, known, errors, left });
            assert_eq!(line.as_deref(), Some(expected));
        };
        check(0, 1, 0, None, "evaluating: 0 of 1 attribute done");
        check(120, 5000, 3, Some(89), "evaluating: 120 of 5000 attributes done, 3 failed, about 89 s left");
        check(120, 5000, 0, Some(1000), "evaluating: 120 of 5000 attributes done, about 17 min left");
        check(1, 5000, 0, Some(9000), "evaluating: 1 of 5000 attributes done, about 3 h left");
    }

    #[test]
    fn lines_say_what_builds_and_how_many_are_left() {
        let drv: StorePath = "/nix/store/00000000000000000000000000000000-saxpy-1.0.drv".parse().unwrap();
        let mut lines = Lines::default();
        assert_eq!(lines.line(Event::BuildProgress { done: 2, expected: 5, running: 1, failed: 0 }), None);
        let line = lines.line(Event::BuildStarted { derivation: drv.clone() }).unwrap();
        assert_eq!(line, "building saxpy-1.0 (3 left)");
        let ended = |failed| Event::BuildStopped { derivation: drv.clone(), failed, took: Duration::from_millis(1500) };
        assert_eq!(lines.line(ended(true)).unwrap(), "failed: saxpy-1.0 after 1.5 s");
        let line = lines.line(ended(false)).unwrap();
        assert_eq!(line, "ended saxpy-1.0 after 1.5 s");
    }
}
