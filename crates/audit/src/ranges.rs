//! Stretches of a file or of memory, each with its begin and its end.

/// Begin and end.
pub(crate) type Range = (u64, u64);

/// The same stretches, sorted, and one where several touch, overlap, or have no more than `gap` bytes between them.
pub(crate) fn merge(mut ranges: Vec<Range>, gap: u64) -> Vec<Range> {
    ranges.retain(|(from, to)| from < to);
    ranges.sort_unstable();
    let mut merged: Vec<Range> = Vec::new();
    for (from, to) in ranges {
        match merged.last_mut() {
            Some(last) if from <= last.1.saturating_add(gap) => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

/// What of some stretches lies in none of others; both are sorted and apart.
pub(crate) fn without(ranges: &[Range], others: &[Range]) -> Vec<Range> {
    let (mut left, mut next) = (Vec::new(), 0);
    for &(mut from, to) in ranges {
        while others.get(next).is_some_and(|other| other.1 <= from) {
            next += 1;
        }
        for other in others[next..].iter().take_while(|other| other.0 < to) {
            if from < other.0 {
                left.push((from, other.0));
            }
            from = from.max(other.1);
        }
        if from < to {
            left.push((from, to));
        }
    }
    left
}

/// Bytes in all of some stretches that are apart.
pub(crate) fn total(ranges: &[Range]) -> u64 {
    ranges.iter().map(|(from, to)| to - from).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_merged_and_taken_from_each_other() {
        assert_eq!(merge(vec![(5, 9), (0, 2), (2, 3), (7, 8), (4, 4)], 0), [(0, 3), (5, 9)]);
        assert_eq!(merge(vec![(0, 3), (5, 9), (20, 30)], 2), [(0, 9), (20, 30)]);
        assert_eq!(without(&[(0, 10), (20, 30)], &[(2, 4), (8, 22), (29, 40)]), [(0, 2), (4, 8), (22, 29)]);
        assert_eq!(without(&[(0, 10), (10, 12)], &[]), [(0, 10), (10, 12)]);
        assert_eq!(without(&[(5, 6)], &[(0, 10)]), []);
        assert_eq!(total(&[(0, 2), (4, 8)]), 6);
    }
}
