//! What is still to be evaluated, and in which pieces workers take it.
//!
//! Every process evaluates the root and what all packages share anew, so pieces are large at first and get smaller
//! towards the end, where they keep the workers equally busy. It starts nothing and knows no Nix.

use super::AttrPath;
use std::collections::VecDeque;

/// One command line argument may have 128 KiB; attribute paths go in with room to spare.
const REQUEST_BYTES: usize = 96 * 1024;

/// Fewer attributes than this are not worth a process of their own while others are at work.
pub(super) const FEWEST: usize = 64;

/// A piece of work for one process.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Evaluate these, in their order.
    Attributes(Vec<AttrPath>),
    /// Find out why this one throws.
    Reason(AttrPath),
    /// Evaluate this one without asking wrappers what they were made from.
    Plain(AttrPath),
}

/// What a worker finds when it asks for work.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Work(Work),
    /// Nothing now; those at work may find more.
    Wait,
    /// Nothing, and nobody is at work.
    End,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    workers: usize,
    todo: VecDeque<AttrPath>,
    /// Members of sets that were found meanwhile; they wait until they are enough for a process.
    found: Vec<AttrPath>,
    reasons: Vec<AttrPath>,
    plain: Vec<AttrPath>,
    at_work: usize,
}

impl Queue {
    pub(super) fn new(workers: usize, todo: Vec<AttrPath>) -> Self {
        Self { workers, todo: todo.into(), ..Self::default() }
    }

    pub(super) fn take(&mut self) -> Next {
        if self.found.len() >= FEWEST || (self.at_work == 0 && self.todo.is_empty()) {
            self.todo.extend(self.found.drain(..));
        }
        let work = if !self.todo.is_empty() {
            Work::Attributes(self.piece())
        } else if let Some(path) = self.reasons.pop() {
            Work::Reason(path)
        } else if let Some(path) = self.plain.pop() {
            Work::Plain(path)
        } else {
            return if self.at_work == 0 { Next::End } else { Next::Wait };
        };
        self.at_work += 1;
        Next::Work(work)
    }

    /// Somebody is at work on what is not in the queue yet.
    pub(super) fn begin(&mut self) {
        self.at_work += 1;
    }

    /// A piece is done with; the rest of it is still to be done, and its first attribute goes first again.
    pub(super) fn done(&mut self, rest: &[AttrPath]) {
        self.at_work -= 1;
        for path in rest.iter().rev() {
            self.todo.push_front(path.clone());
        }
    }

    pub(super) fn found(&mut self, paths: impl IntoIterator<Item = AttrPath>) {
        self.found.extend(paths);
    }

    pub(super) fn ask_why(&mut self, path: AttrPath) {
        self.reasons.push(path);
    }

    pub(super) fn ask_plainly(&mut self, path: AttrPath) {
        self.plain.push(path);
    }

    fn piece(&mut self) -> Vec<AttrPath> {
        let left = self.todo.len();
        let wanted = if self.workers < 2 { left } else { (left / (2 * self.workers)).max(FEWEST) };
        let mut room = REQUEST_BYTES;
        let mut piece = Vec::new();
        while let Some(path) = self.todo.front().filter(|_| piece.len() < wanted) {
            let size = 4 + path.iter().map(|name| serde_json::json!(name).to_string().len() + 1).sum::<usize>();
            if size > room && !piece.is_empty() {
                break;
            }
            room = room.saturating_sub(size);
            piece.extend(self.todo.pop_front());
        }
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(count: usize) -> Vec<AttrPath> {
        (0..count).map(|n| vec![format!("attribute-{n}")]).collect()
    }

    fn sizes(workers: usize, count: usize) -> Vec<usize> {
        let mut queue = Queue::new(workers, paths(count));
        let mut seen = Vec::new();
        let mut sizes = Vec::new();
        while let Next::Work(Work::Attributes(piece)) = queue.take() {
            sizes.push(piece.len());
            seen.extend(piece);
        }
        assert_eq!(seen, paths(count));
        sizes
    }

    #[test]
    fn pieces_get_smaller_and_are_never_tiny() {
        assert_eq!(sizes(1, 1000), [1000]);
        assert_eq!(sizes(2, 10), [10]);
        assert_eq!(sizes(2, 1000), [250, 187, 140, 105, 79, 64, 64, 64, 47]);
        assert_eq!(sizes(8, 100), [64, 36]);
        assert!(sizes(4, 0).is_empty());
    }

    #[test]
    fn pieces_fit_a_command_line() {
        let mut queue = Queue::new(1, (0..20_000).map(|n| vec![format!("\"quoted\"-{n}")]).collect());
        let mut seen = 0;
        while let Next::Work(Work::Attributes(piece)) = queue.take() {
            assert!(serde_json::json!(piece).to_string().len() < 100 * 1024);
            seen += piece.len();
        }
        assert_eq!(seen, 20_000);
    }

    #[test]
    fn what_is_found_waits_for_company_and_what_is_left_comes_first() {
        let mut queue = Queue::new(2, paths(3));
        assert!(matches!(queue.take(), Next::Work(Work::Attributes(piece)) if piece.len() == 3));
        queue.found(vec![vec!["set".to_owned(), "member".to_owned()]]);
        queue.ask_why(vec!["throws".to_owned()]);
        assert_eq!(queue.take(), Next::Work(Work::Reason(vec!["throws".to_owned()])));
        assert_eq!(queue.take(), Next::Wait);
        queue.done(&paths(3)[1..]);
        let Next::Work(Work::Attributes(piece)) = queue.take() else { panic!("there is work") };
        assert_eq!(piece, paths(3)[1..]);
        queue.done(&[]);
        queue.done(&[]);
        assert!(matches!(queue.take(), Next::Work(Work::Attributes(piece)) if piece[0].len() == 2));
        queue.done(&[]);
        assert_eq!(queue.take(), Next::End);
    }
}
