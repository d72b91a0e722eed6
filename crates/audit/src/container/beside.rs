//! Members of an archive that are looked at beside each other, with the result that one after the other gives.
//!
//! Members are queued and looked at in batches. Each thread takes a few members that follow each other, with a visitor of its own
//! and a part of what is left of the bounds. What it saw is taken over in the order of the members. Where a part of the
//! bounds was not enough, what was seen is thrown away, and the same members are looked at once more, in order and with all that
//! is left. So neither findings nor gaps tell how many threads there were, and the work is at most twice what the bounds allow.

use super::{Gap, Gaps, Limits, Spent, Visitor, Walk, is_bound};
use crate::scan::Found;
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;

/// Members that one thread takes together, and how much of them.
const UNIT_MEMBERS: usize = 64;
const UNIT_BYTES: u64 = 1 << 20;
/// Units of a batch, and how much of them.
const UNITS: usize = 512;
const BATCH_BYTES: u64 = 1 << 30;
/// What a member counts for beside its bytes.
const MEMBER: u64 = 64 << 10;
/// A batch that is smaller is not worth it.
const WORTH: u64 = 256 << 10;
/// Tries take so much that is given back.
const SLACK: u64 = 1 << 20;
/// While a thread waits for a part of its work it takes other work: so much lies on its stack at once.
const NESTED: usize = 12;

thread_local! {
    static STACKED: Cell<usize> = const { Cell::new(0) };
}

/// One piece of such work on the stack of a thread.
struct Stacked;

impl Stacked {
    fn enter() -> Option<Self> {
        STACKED.with(|count| {
            (count.get() < NESTED).then(|| {
                count.set(count.get() + 1);
                Self
            })
        })
    }
}

impl Drop for Stacked {
    fn drop(&mut self) {
        STACKED.with(|count| count.set(count.get() - 1));
    }
}

/// How a member is shown.
pub(super) type Show<'s, T> = &'s (dyn Fn(&mut Walk<'_>, &T) -> Result<(), Gap> + Sync);

/// Members that are to be shown, in order.
pub(super) struct Queue<'s, T> {
    show: Show<'s, T>,
    /// Each with its size, as far as it is known.
    items: Vec<(T, u64)>,
    bytes: u64,
    units: usize,
    /// What the last unit has.
    last: (usize, u64),
}

impl<'s, T> Queue<'s, T> {
    pub(super) fn new(show: Show<'s, T>) -> Self {
        Self { show, items: Vec::new(), bytes: 0, units: 0, last: (UNIT_MEMBERS, 0) }
    }
}

/// Where and why an archive ended: the gap, and the member that had it.
pub(super) type Ended<T> = (T, Gap);

/// What is done beside others.
struct Task<'t, T> {
    number: usize,
    items: &'t [(T, u64)],
    bytes: u64,
    members: usize,
    live: u64,
    visitor: Box<dyn Visitor + Send + 't>,
}

/// What came of it.
struct Done {
    number: usize,
    found: Found,
    spent: Spent,
    gaps: Gaps,
    /// Which of the members ended it.
    ended: Option<(usize, Gap)>,
}

impl Walk<'_> {
    /// Shows a member, now or with others behind it. An error is one of it, or of one before it.
    pub(super) fn show<T: Sync>(&mut self, queue: &mut Queue<'_, T>, item: T, size: u64) -> Result<(), Ended<T>> {
        if !self.may_look_beside() {
            return (queue.show)(self, &item).map_err(|gap| (item, gap));
        }
        // What is too large for a batch is looked at alone, with all that is left.
        let most = BATCH_BYTES.min(self.limits.memory.saturating_sub(self.live) / 3).min(self.bytes_left / 8);
        if queue.bytes.saturating_add(size) > most {
            self.show_queued(queue)?;
        }
        if size > most {
            return (queue.show)(self, &item).map_err(|gap| (item, gap));
        }
        let (members, bytes) = &mut queue.last;
        if *members >= UNIT_MEMBERS || *bytes + size > UNIT_BYTES {
            if queue.units >= UNITS {
                self.show_queued(queue)?;
            }
            queue.units += 1;
            queue.last = (0, 0);
        }
        queue.last = (queue.last.0 + 1, queue.last.1 + size);
        queue.bytes += size;
        queue.items.push((item, size));
        Ok(())
    }

    fn may_look_beside(&self) -> bool {
        // What came perhaps by chance shares its room with all that did.
        self.beside && !self.is_doubtful && rayon::current_num_threads() > 1
    }

    /// Shows all that is queued.
    pub(super) fn show_queued<T: Sync>(&mut self, queue: &mut Queue<'_, T>) -> Result<(), Ended<T>> {
        let Queue { items, .. } = std::mem::replace(queue, Queue::new(queue.show));
        let units = units(&items);
        let done = if units.len() > 1 { self.look_beside(&items, &units, queue.show) } else { Vec::new() };
        let mut done = done.into_iter();
        let mut ended = None;
        for unit in units {
            let (start, seen) = (unit.start, done.next());
            ended = match seen {
                Some(done) if self.is_enough(&done.spent) => self.join(done).map(|(at, gap)| (start + at, gap)),
                seen => {
                    // Nothing inside is tried a second time.
                    let beside = self.beside;
                    self.beside &= seen.is_none();
                    let ended = self.look_in_order(&items[unit], queue.show);
                    self.beside = beside;
                    ended.map(|(at, gap)| (start + at, gap))
                }
            };
            if ended.is_some() {
                break;
            }
        }
        let Some((at, gap)) = ended else { return Ok(()) };
        let item = items.into_iter().nth(at).map(|(item, _)| item);
        item.map_or(Ok(()), |item| Err((item, gap)))
    }

    fn look_in_order<T>(&mut self, items: &[(T, u64)], show: Show<'_, T>) -> Option<(usize, Gap)> {
        items.iter().enumerate().find_map(|(at, (item, _))| show(self, item).err().map(|gap| (at, gap)))
    }

    /// Looks at some units, each by itself. Nothing where the visitor cannot, or where it is not worth it.
    fn look_beside<T: Sync>(&self, items: &[(T, u64)], units: &[Range<usize>], show: Show<'_, T>) -> Vec<Done> {
        let weight = |items: &[(T, u64)]| items.iter().map(|(_, size)| size.saturating_add(MEMBER)).sum::<u64>();
        let all = weight(items);
        if all < WORTH {
            return Vec::new();
        }
        let share = |weight: u64, of: u64| (u128::from(of) * u128::from(weight) / u128::from(all)) as u64;
        let memory = self.limits.memory.saturating_sub(self.live);
        let task = |(number, unit): (usize, &Range<usize>)| {
            let items = &items[unit.clone()];
            let weight = weight(items);
            Some(Task {
                number,
                items,
                bytes: share(weight, self.bytes_left),
                members: share(weight, self.members_left as u64) as usize,
                live: self.limits.memory - share(weight, memory),
                visitor: self.visitor.beside()?,
            })
        };
        let Some(mut tasks) = units.iter().enumerate().map(task).collect::<Option<Vec<Task<'_, T>>>>() else {
            return Vec::new();
        };
        // The largest ones come first, so that none of them is all that is left at the end.
        tasks.sort_by_key(|task| std::cmp::Reverse(task.bytes));
        let (limits, outer) = (self.limits, self.outer);
        let look = |task| look(task, limits, outer, show);
        let mut done: Vec<Done> = tasks.into_par_iter().with_max_len(1).map(look).collect();
        done.sort_by_key(|done| done.number);
        done
    }

    /// Whether what was spent would have been there in order as well.
    fn is_enough(&self, spent: &Spent) -> bool {
        let is_left = spent.bytes.saturating_add(SLACK) <= self.bytes_left && spent.members <= self.members_left;
        !spent.bounded && is_left
    }

    /// Takes over what was seen beside.
    fn join(&mut self, done: Done) -> Option<(usize, Gap)> {
        self.visitor.join(done.found);
        self.bytes_left -= done.spent.bytes;
        self.members_left -= done.spent.members;
        // The peak was counted from what the unit had at first.
        self.spent.peak = self.spent.peak.max(self.live + done.spent.peak);
        done.gaps.told.into_iter().for_each(|(place, known, gap)| self.gaps.add(place, known, gap));
        done.ended
    }
}

fn look<T>(task: Task<'_, T>, limits: Limits, outer: Option<usize>, show: Show<'_, T>) -> Done {
    let Task { number, items, bytes, members, live, mut visitor } = task;
    let stacked = Stacked::enter();
    let mut walk = Walk {
        limits,
        bytes_left: bytes,
        members_left: members,
        live,
        window: 0,
        spent: Spent { bounded: stacked.is_none(), ..Spent::default() },
        inflate: None,
        room: 0,
        is_doubtful: false,
        outer,
        gaps: Gaps::default(),
        beside: true,
        is_beside: true,
        visitor: &mut *visitor,
    };
    let mut ended = None;
    for (at, (item, _)) in items.iter().enumerate() {
        if walk.spent.bounded {
            break;
        }
        if let Err(gap) = show(&mut walk, item) {
            walk.spent.bounded |= is_bound(&gap);
            ended = Some((at, gap));
            break;
        }
    }
    let spent = Spent {
        bytes: bytes - walk.bytes_left,
        members: members - walk.members_left,
        peak: walk.spent.peak.saturating_sub(live),
        bounded: walk.spent.bounded,
    };
    let gaps = std::mem::take(&mut walk.gaps);
    Done { number, found: visitor.found(), spent, gaps, ended }
}

/// Members that one thread takes together.
fn units<T>(items: &[(T, u64)]) -> Vec<Range<usize>> {
    let mut units: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (at, (_, size)) in items.iter().enumerate() {
        match units.last_mut() {
            Some(unit) if unit.len() < UNIT_MEMBERS && bytes + size <= UNIT_BYTES => {
                unit.end = at + 1;
                bytes += size;
            }
            _ => {
                units.push(at..at + 1);
                bytes = *size;
            }
        }
    }
    units
}
