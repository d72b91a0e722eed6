//! Dates, as far as policies need them: to say when something ends.

use std::fmt;
use std::str::FromStr;

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Makes a date; `None` where there is no such day.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if is_leap => 29,
            2 => 28,
            _ => return None,
        };
        (year > 0 && (1..=days).contains(&day)).then_some(Self { year, month, day })
    }

    /// The day, in UTC, that so many seconds after the beginning of 1970 are in.
    pub fn of_unix_time(seconds: u64) -> Self {
        let mut days = seconds / 86_400;
        let mut date = Self { year: 1970, month: 1, day: 1 };
        loop {
            let leaps = Self::new(date.year, 2, 29).is_some();
            let length = if leaps { 366 } else { 365 };
            if days < length || date.year == u16::MAX {
                break;
            }
            days -= length;
            date.year += 1;
        }
        while date.month < 12 || days > 0 {
            let length = (28..=31).rev().find(|day| Self::new(date.year, date.month, *day).is_some()).unwrap_or(31);
            if days < u64::from(length) {
                break;
            }
            days -= u64::from(length);
            date.month += 1;
        }
        date.day += days as u8;
        date
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// A text that is no date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no date of the form 2027-01-31")]
pub struct NoDate;

impl FromStr for Date {
    type Err = NoDate;

    fn from_str(text: &str) -> Result<Self, NoDate> {
        let shaped = text.len() == 10
            && text.bytes().enumerate().all(|(at, b)| if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() });
        let number = |from: usize, to: usize| text.get(from..to).and_then(|part| part.parse::<u16>().ok());
        let date = (number(0, 4), number(5, 7), number(8, 10));
        match (shaped, date) {
            (true, (Some(year), Some(month), Some(day))) => Self::new(year, month as u8, day as u8).ok_or(NoDate),
            _ => Err(NoDate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_that_there_are() {
        let check = |text: &str, is: bool| {
            let date = text.parse::<Date>();
            assert_eq!(date.map(|date| date.to_string()).ok(), is.then(|| text.to_owned()), "{text}");
        };
        for text in ["2027-01-31", "2028-02-29", "2000-02-29", "2026-12-31"] {
            check(text, true);
        }
        for text in
            ["2027-02-29", "1900-02-29", "2027-13-01", "2027-00-10", "2027-04-31", "2027-4-3", "soon", "", "2027-01-00"]
        {
            check(text, false);
        }
        check("20270131", false);
        assert!(Date::new(2026, 12, 31) < Date::new(2027, 1, 1));
    }

    #[test]
    fn seconds_are_days() {
        let check = |seconds: u64, text: &str| assert_eq!(Date::of_unix_time(seconds).to_string(), text);
        check(0, "1970-01-01");
        check(951_782_399, "2000-02-28");
        check(951_782_400, "2000-02-29");
        check(951_868_800, "2000-03-01");
        check(1_798_761_599, "2026-12-31");
        check(1_798_761_600, "2027-01-01");
    }
}
