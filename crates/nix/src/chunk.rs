//! Command lines have a bound, and sets have none: arguments go into as many commands as they need.

/// What every system takes, whatever the environment holds.
const LEAST: usize = 32 * 1024;

/// What Linux takes at most, and room to spare.
const MOST: usize = 3 * 1024 * 1024 / 2;

/// Cuts arguments into pieces of which each fits into one command line beside a few others. There is always a piece for
/// an argument, however long it is.
pub(crate) fn command_lines<T>(arguments: &[T], text: impl Fn(&T) -> usize) -> Vec<&[T]> {
    pieces(arguments, text, room())
}

fn pieces<T>(arguments: &[T], text: impl Fn(&T) -> usize, room: usize) -> Vec<&[T]> {
    let mut pieces = Vec::new();
    let (mut first, mut size) = (0, 0);
    for (index, argument) in arguments.iter().enumerate() {
        // The text with its end, and the pointer to it.
        let more = text(argument) + 1 + size_of::<usize>();
        if index > first && size + more > room {
            pieces.push(&arguments[first..index]);
            (first, size) = (index, 0);
        }
        size += more;
    }
    if first < arguments.len() {
        pieces.push(&arguments[first..]);
    }
    pieces
}

/// Bytes for arguments: a quarter of the stack is for them and for the environment (execve(2)).
fn room() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let stack = limits.lines().find_map(|line| line.strip_prefix("Max stack size"));
    let stack = stack.and_then(|line| line.split_whitespace().next()).and_then(|soft| soft.parse::<usize>().ok());
    let environment: usize =
        std::env::vars_os().map(|(name, value)| name.len() + value.len() + 2 + size_of::<usize>()).sum();
    // No limit is a number as well: then the system's own bound holds.
    let all = stack.map_or(MOST, |stack| stack / 4);
    all.saturating_sub(environment + LEAST).clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_fit_and_nothing_is_lost() {
        let check = |lengths: &[usize], room: usize, expected: &[&[usize]]| {
            assert_eq!(pieces(lengths, |length| *length, room), expected, "{lengths:?}");
        };
        check(&[], 100, &[]);
        check(&[1, 2, 3], 100, &[&[1, 2, 3]]);
        // Each takes nine bytes beside its text.
        check(&[11, 11, 11, 11, 11], 40, &[&[11, 11], &[11, 11], &[11]]);
        // One that is too long for any piece has one of its own, and is refused by the system and not here.
        check(&[1, 500, 1], 100, &[&[1], &[500], &[1]]);
    }

    #[test]
    fn a_set_of_thirty_thousand_needs_few_commands() {
        let paths = vec![90; 30_000];
        let pieces = command_lines(&paths, |length| *length);
        assert_eq!(pieces.iter().map(|piece| piece.len()).sum::<usize>(), 30_000);
        assert!(pieces.len() <= 30_000 * 100 / LEAST + 1);
    }
}
