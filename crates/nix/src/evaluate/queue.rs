//! What is still to be evaluated, and in which pieces workers take it.
//!
//! A worker keeps its process from piece to piece, so pieces may be small; they are neighbors, since neighbors have much
//! in common. A further process evaluates the root and what all packages share anew, so it is only begun for many
//! attributes. It starts nothing and knows no Nix.

use super::AttrPath;
use std::collections::VecDeque;

/// Bytes of one question: where a process is asked once, it is an argument, and those may have 128 KiB.
const REQUEST_BYTES: usize = 64 * 1024;

/// Fewer attributes than this are not worth a process of their own while there is another.
const FEWEST: usize = 64;

/// A piece has no more, so that what it keeps of each of its attributes is not much.
const MOST: usize = 256;

/// A piece of work.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Evaluate these, in their order.
    Attributes(Vec<AttrPath>),
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
    plain: Vec<AttrPath>,
    at_work: usize,
    /// Processes that are there.
    processes: usize,
}

impl Queue {
    pub(super) fn new(workers: usize, todo: Vec<AttrPath>) -> Self {
        Self { workers, todo: todo.into(), ..Self::default() }
    }

    /// Gives a piece of work. A worker without a process gets one only where that is worth a process.
    pub(super) fn take(&mut self, has_process: bool) -> Next {
        let left = self.left();
        if left == 0 && self.at_work == 0 {
            return Next::End;
        }
        if left == 0 || (!has_process && self.processes > 0 && left < FEWEST) {
            return Next::Wait;
        }
        self.at_work += 1;
        Next::Work(match self.plain.pop() {
            Some(path) => Work::Plain(path),
            None => Work::Attributes(self.piece()),
        })
    }

    /// Whether everything is done.
    pub(super) fn is_done(&self) -> bool {
        self.left() == 0 && self.at_work == 0
    }

    /// How many attributes wait.
    pub(super) fn left(&self) -> usize {
        self.todo.len() + self.plain.len()
    }

    /// A process was begun.
    pub(super) fn begun(&mut self) {
        self.processes += 1;
    }

    /// A process is no more.
    pub(super) fn ended(&mut self) {
        self.processes -= 1;
    }

    /// A piece is done with; the rest of it is still to be done, and its first attribute goes first again.
    pub(super) fn done(&mut self, rest: &[AttrPath]) {
        self.at_work -= 1;
        for path in rest.iter().rev() {
            self.todo.push_front(path.clone());
        }
    }

    /// Members of a set that was found; they come next, since they are evaluated with what is there of their set.
    pub(super) fn found(&mut self, paths: Vec<AttrPath>) {
        for path in paths.into_iter().rev() {
            self.todo.push_front(path);
        }
    }

    pub(super) fn ask_plainly(&mut self, path: AttrPath) {
        self.plain.push(path);
    }

    fn piece(&mut self) -> Vec<AttrPath> {
        let left = self.todo.len();
        let wanted = if self.workers < 2 { MOST } else { (left / (2 * self.workers)).clamp(FEWEST, MOST) };
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
        while let Next::Work(Work::Attributes(piece)) = queue.take(true) {
            sizes.push(piece.len());
            seen.extend(piece);
        }
        assert_eq!(seen, paths(count));
        sizes
    }

    #[test]
    fn pieces_get_smaller_and_are_never_tiny() {
        assert_eq!(sizes(1, 1000), [256, 256, 256, 232]);
        assert_eq!(sizes(2, 10), [10]);
        assert_eq!(sizes(2, 1000), [250, 187, 140, 105, 79, 64, 64, 64, 47]);
        assert_eq!(sizes(8, 100), [64, 36]);
        assert!(sizes(4, 0).is_empty());
    }

    #[test]
    fn pieces_fit_a_command_line() {
        let mut queue = Queue::new(1, (0..2_000).map(|n| vec![format!("\"quoted\"-{n}{}", "x".repeat(900))]).collect());
        let mut seen = 0;
        while let Next::Work(Work::Attributes(piece)) = queue.take(true) {
            assert!(serde_json::json!(piece).to_string().len() < 100 * 1024);
            seen += piece.len();
        }
        assert_eq!(seen, 2_000);
    }

    #[test]
    fn what_is_found_and_what_is_left_comes_first() {
        let mut queue = Queue::new(2, paths(3));
        assert!(matches!(queue.take(true), Next::Work(Work::Attributes(piece)) if piece.len() == 3));
        queue.found(vec![vec!["set".to_owned(), "member".to_owned()]]);
        queue.ask_plainly(vec!["trap".to_owned()]);
        assert_eq!(queue.take(true), Next::Work(Work::Plain(vec!["trap".to_owned()])));
        queue.done(&paths(3)[1..]);
        let Next::Work(Work::Attributes(piece)) = queue.take(true) else { panic!("there is work") };
        assert_eq!(piece, [&paths(3)[1..], &[vec!["set".to_owned(), "member".to_owned()]]].concat());
        assert_eq!(queue.take(true), Next::Wait);
        queue.done(&[]);
        queue.done(&[]);
        assert_eq!(queue.take(true), Next::End);
    }

    #[test]
    fn few_attributes_are_not_worth_another_process() {
        let mut queue = Queue::new(2, paths(FEWEST + 10));
        queue.begun();
        let Next::Work(Work::Attributes(piece)) = queue.take(true) else { panic!("there is work") };
        assert_eq!((piece.len(), queue.take(false)), (FEWEST, Next::Wait));
        // The process of the other one is no more.
        queue.ended();
        assert!(matches!(queue.take(false), Next::Work(Work::Attributes(piece)) if piece.len() == 10));
    }
}
