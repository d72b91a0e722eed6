//! Puts what several processes say into one order: that of the attributes, members of a set in its place.
//!
//! What is known of an attribute waits until all before it are known. So what is told early does not depend on how many
//! processes there are either.

use super::{AttrPath, Job};
use std::collections::BTreeMap;

/// What an attribute came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The job that it is, if it is one.
    pub(super) job: Option<Job>,
    /// What is said of derivations, with each of which it came for the first time from its process.
    pub(super) facts: Vec<(String, String)>,
}

/// Attributes, and what is known of them.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// By their places: the place of the set around them and their own in it. `None` while nothing is known.
    places: BTreeMap<Vec<usize>, Option<Found>>,
    by_path: BTreeMap<AttrPath, Vec<usize>>,
}

impl Order {
    /// These come in this order, in the place of the set that they are members of.
    pub(super) fn expect(&mut self, set: Option<&AttrPath>, paths: &[AttrPath]) {
        let around = set.and_then(|set| self.by_path.get(set)).cloned().unwrap_or_default();
        for (number, path) in paths.iter().enumerate() {
            // Named twice, or named beside its set.
            if self.by_path.contains_key(path) {
                continue;
            }
            let place: Vec<usize> = around.iter().copied().chain([number]).collect();
            self.by_path.insert(path.clone(), place.clone());
            self.places.insert(place, None);
        }
    }

    /// Takes what is known of an attribute; gives it back at once where nobody waits for it.
    pub(super) fn known(&mut self, path: &AttrPath, found: Found) -> Option<Found> {
        match self.by_path.get(path).and_then(|place| self.places.get_mut(place)) {
            Some(place) => {
                *place = Some(found);
                None
            }
            None => Some(found),
        }
    }

    /// The next that is known, while all before it are.
    pub(super) fn next(&mut self) -> Option<Found> {
        let first = self.places.first_entry()?;
        if first.get().is_some() { first.remove() } else { None }
    }

    /// The next that is known, whatever is not known before it.
    pub(super) fn rest(&mut self) -> Option<Found> {
        while let Some((_, found)) = self.places.pop_first() {
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(fact: &str) -> Found {
        Found { job: None, facts: vec![(fact.to_owned(), String::new())] }
    }

    fn path(text: &str) -> AttrPath {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn what_is_known_waits_for_what_is_before_it() {
        let mut order = Order::default();
        order.expect(None, &["a", "b", "c"].map(path));
        let next = |order: &mut Order| {
            std::iter::from_fn(|| order.next()).map(|found| found.facts[0].0.clone()).collect::<Vec<_>>()
        };
        assert_eq!(order.known(&path("c"), found("c")), None);
        assert!(next(&mut order).is_empty());
        assert_eq!(order.known(&path("a"), found("a")), None);
        assert_eq!(next(&mut order), ["a"]);
        // A set has its members in its place, and members of members too.
        order.expect(Some(&path("b")), &["b.x", "b.y"].map(path));
        order.known(&path("b"), found("b"));
        order.known(&path("b.y"), found("b.y"));
        assert_eq!(next(&mut order), ["b"]);
        order.expect(Some(&path("b.x")), &["b.x.p"].map(path));
        order.known(&path("b.x.p"), found("b.x.p"));
        order.known(&path("b.x"), found("b.x"));
        assert_eq!(next(&mut order), ["b.x", "b.x.p", "b.y", "c"]);
        // What nobody waits for, and what is left at an end that comes too early.
        assert_eq!(order.known(&path("other"), found("o")), Some(found("o")));
        order.expect(None, &["d", "e"].map(path));
        order.known(&path("e"), found("e"));
        assert_eq!((order.next(), order.rest(), order.rest()), (None, Some(found("e")), None));
    }
}
