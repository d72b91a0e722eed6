//! Numbers that may be unknown, sums of them that say so, and the model of users.
//!
//! No operation overflows: sizes come from files and caches of others.

use std::fmt;
use std::str::FromStr;

/// How well a number is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Figure {
    /// It was measured on exactly this thing.
    Exact(u64),
    /// It was measured on something like it.
    Estimated(u64),
    /// Nobody knows it.
    #[default]
    Unknown,
}

impl Figure {
    /// The number, however well it is known.
    pub fn value(self) -> Option<u64> {
        match self {
            Self::Exact(value) | Self::Estimated(value) => Some(value),
            Self::Unknown => None,
        }
    }
}

/// A sum of figures, and how much of it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The sum of what is known.
    pub sum: u64,
    /// The part of the sum that is estimated.
    pub estimated: u64,
    /// How many figures are known, those that are estimated included.
    pub known: usize,
    /// How many figures there are.
    pub of: usize,
}

impl Tally {
    /// Adds a figure.
    pub fn add(&mut self, figure: Figure) {
        self.count(figure);
        self.sum = self.sum.saturating_add(figure.value().unwrap_or(0));
        if let Figure::Estimated(value) = figure {
            self.estimated = self.estimated.saturating_add(value);
        }
    }

    /// Counts a figure whose number is part of the sum already.
    pub fn count(&mut self, figure: Figure) {
        self.of += 1;
        self.known += usize::from(figure != Figure::Unknown);
    }

    /// Counts figures that nobody knows.
    pub fn add_unknown(&mut self, count: usize) {
        self.of += count;
    }

    /// Whether every figure is known; so it is of nothing at all.
    pub fn is_whole(&self) -> bool {
        self.known == self.of
    }

    /// The same with a share of the sum.
    #[must_use]
    pub fn scaled(mut self, shares: &[Share]) -> Self {
        self.sum = shares.iter().fold(self.sum, |sum, share| share.of(sum));
        self.estimated = shares.iter().fold(self.estimated, |sum, share| share.of(sum));
        self
    }
}

/// A share between nothing and all, in parts of a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u32);

/// Why a text is no [`Share`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a share is a number from 0 to 1 with at most six decimals, such as 0.25")]
pub struct ShareError;

impl Share {
    const WHOLE: u32 = 1_000_000;
    /// All of it.
    pub const ALL: Self = Self(Self::WHOLE);

    fn of(self, value: u64) -> u64 {
        let part = u128::from(value) * u128::from(self.0) / u128::from(Self::WHOLE);
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(decimals) {
            return Err(ShareError);
        }
        let number: u64 = format!("{whole}{decimals:0<6}").parse().map_err(|_| ShareError)?;
        u32::try_from(number).ok().filter(|parts| *parts <= Self::WHOLE).map(Self).ok_or(ShareError)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.0 / Self::WHOLE, format!("{:06}", self.0 % Self::WHOLE));
        match decimals.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            decimals => write!(f, "{whole}.{decimals}"),
        }
    }
}

/// Who is expected to use the cache. What it needs of them is a model, and every part of it is an assumption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audience {
    /// How many users there are.
    pub users: u32,
    /// After how many days each of them updates; zero counts as one.
    pub update_every: u32,
    /// The share of the wanted closure that one of them uses.
    pub closure_share: Share,
    /// The share of it that is new with each update.
    pub change_share: Share,
}

/// What leaves the cache, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// In [`Audience::MONTH`] days, to all users.
    pub month: Tally,
    /// Once for every user who is new.
    pub newcomer: Tally,
}

impl Audience {
    /// Days of a month.
    pub const MONTH: u32 = 30;

    /// What leaves the cache when `closure` is the download of somebody who has nothing and takes everything.
    pub fn egress(&self, closure: Tally) -> Egress {
        let newcomer = closure.scaled(&[self.closure_share]);
        let update = newcomer.scaled(&[self.change_share]);
        let month = |bytes: u64| {
            let all = u128::from(bytes) * u128::from(self.users) * u128::from(Self::MONTH);
            u64::try_from(all / u128::from(self.update_every.max(1))).unwrap_or(u64::MAX)
        };
        Egress { month: Tally { sum: month(update.sum), estimated: month(update.estimated), ..update }, newcomer }
    }
}
