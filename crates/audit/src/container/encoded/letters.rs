//! Alphabets: so many letters stand for so many bytes.

use super::{BETWEEN, BLANK, DIGIT, Encoded, Frame, HEX, HIGH, LEAD, LEAST, LETTER, Look, SIGN, Sample, Words};

/// How bytes are written as letters.
pub(super) struct Alphabet {
    pub(super) name: &'static str,
    /// The letters in the order of what they stand for, and how often the whole row is there with other letters.
    letters: &'static [u8],
    /// What each letter stands for.
    table: [u8; 256],
    /// So many letters are so many bytes.
    group: (usize, usize),
    /// A letter that stands for a group of zeros.
    zeros: Option<u8>,
}

const NO: u8 = 0xff;
/// Lines are at least this long, but for the last one. Shorter ones are read where all are alike.
const LINE: usize = 32;

impl Alphabet {
    /// `also` are other letters for the first ones that `like` has.
    const fn new(
        name: &'static str,
        letters: &'static [u8],
        group: (usize, usize),
        also: &[u8],
        like: &[u8],
        zeros: Option<u8>,
    ) -> Self {
        let mut table = [NO; 256];
        let mut at = 0;
        while at < letters.len() {
            table[letters[at] as usize] = at as u8;
            at += 1;
        }
        at = 0;
        while at < also.len() {
            table[also[at] as usize] = table[like[at] as usize];
            at += 1;
        }
        Self { name, letters, table, group, zeros }
    }

    fn radix(&self) -> usize {
        self.letters.len()
    }

    /// What one letter stands for.
    pub(super) fn value(&self, letter: u8) -> Option<u8> {
        Some(self.table[usize::from(letter)]).filter(|value| *value != NO)
    }

    /// Whether a letter is one of the alphabet, or stands for a group of zeros.
    fn has(&self, letter: u8) -> bool {
        self.value(letter).is_some() || self.zeros == Some(letter)
    }

    /// Whether the first line is long enough, or one of a dump.
    fn begins(&self, rest: &[u8]) -> bool {
        let count = rest.iter().take(LINE).take_while(|letter| self.has(**letter)).count();
        count == LINE || self.radix() == 16 && matches!(count, 2 | 4 | 8 | 16)
    }

    /// What a group stands for, whose last letters may be missing; nothing where it is more than its bytes can be.
    pub(super) fn push(&self, group: &[u8], content: &mut Vec<u8>) -> Option<()> {
        let (letters, bytes) = self.group;
        let radix = self.radix() as u64;
        let filled = group.iter().copied().chain(std::iter::repeat_n(radix as u8 - 1, letters - group.len()));
        let value = filled.fold(0u64, |value, letter| value * radix + u64::from(letter));
        if value >> (8 * bytes) != 0 {
            return None;
        }
        content.extend_from_slice(&value.to_be_bytes()[8 - bytes..][..group.len() * bytes / letters]);
        Some(())
    }
}

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const ASCII85: &[u8] = b"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstu";
const BASE64: Alphabet = Alphabet::new(
    "base64",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    (4, 3),
    b"-_",
    b"+/",
    None,
);

/// Python's alphabet, which is that of RFC 1924 and of git.
pub(super) const BASE85_ALPHABET: Alphabet = Alphabet::new(
    "base85",
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~",
    (5, 4),
    b"",
    b"",
    None,
);
pub(super) static BASE85: Alphabet = BASE85_ALPHABET;

/// All alphabets, those with fewer letters first: what is written in these could be read in others as well. Of several with
/// as many letters the one counts that all letters are in.
static ALPHABETS: [Alphabet; 11] = [
    Alphabet::new("hex", b"0123456789abcdef", (2, 1), b"ABCDEF", b"abcdef", None),
    Alphabet::new("base32", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", (8, 5), LOWER, UPPER, None),
    Alphabet::new("base32", b"0123456789ABCDEFGHIJKLMNOPQRSTUV", (8, 5), b"abcdefghijklmnopqrstuv", UPPER, None),
    Alphabet::new(
        "base32",
        b"0123456789ABCDEFGHJKMNPQRSTVWXYZ",
        (8, 5),
        b"abcdefghjkmnpqrstvwxyz",
        b"ABCDEFGHJKMNPQRSTVWXYZ",
        None,
    ),
    Alphabet::new("base32", b"ybndrfg8ejkmcpqxot1uwisza345h769", (8, 5), b"", b"", None),
    BASE64,
    Alphabet::new(
        "base64",
        b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        (4, 3),
        b"",
        b"",
        None,
    ),
    Alphabet::new(
        "base64",
        b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        (4, 3),
        b"",
        b"",
        None,
    ),
    BASE85_ALPHABET,
    Alphabet::new(
        "base85",
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#",
        (5, 4),
        b"",
        b"",
        None,
    ),
    Alphabet::new("base85", ASCII85, (5, 4), b"", b"", Some(b'z')),
];

/// The alphabet of `uuencode`, which lines with a length of their own are written in, and that of `xxencode`.
pub(super) static UU: Alphabet = Alphabet::new(
    "uuencode",
    b" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_",
    (4, 3),
    b"`",
    b" ",
    None,
);
pub(super) static XX: Alphabet = Alphabet::new(
    "xxencode",
    b"+-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    (4, 3),
    b"",
    b"",
    None,
);

pub(super) fn may_be(sample: &Sample<'_>) -> bool {
    // Digits in short groups, or long runs of whatever an alphabet may have.
    let hex = sample.count(DIGIT) + sample.count(HEX);
    sample.is_text()
        && sample.count(HIGH) == 0
        && (hex > 64 && sample.count(LETTER) < 16 || sample.run(&[DIGIT, HEX, LETTER, LEAD, SIGN]) >= LINE)
        && sample.count(BLANK) < 64
}

/// Reads what begins with a mark of base 64.
pub(super) fn base64_at(bytes: &[u8], start: usize, most: usize) -> Option<Encoded> {
    let reading = Reading::read::<true>(bytes, start, &BASE64, most);
    (reading.end > start).then(|| reading.encoded(start, &BASE64))
}

/// Reads the first long text that begins here, in the smallest alphabet that it is in.
pub(super) fn read(look: &Look<'_>) -> Result<Encoded, usize> {
    let bytes = look.bytes;
    let until = (look.probe + super::SAMPLE).min(bytes.len());
    let mut begin = look.from;
    let mut barren = [0; ALPHABETS.len()];
    // Up to here stands nothing that no text has.
    let mut clear = 0;
    while begin < until {
        let Some(start) = (begin..until).find(|at| bytes[*at].is_ascii_graphic()) else { break };
        // No letter stands for more than a byte, but for zeros.
        let least = (start + LEAST).min(bytes.len());
        clear = clear.max(start);
        if let Some(end) = bytes[clear..least.max(clear)].iter().position(|byte| super::is_never(*byte)) {
            begin = clear + end + 1;
            continue;
        }
        clear = least;
        match decode(bytes, start, look.most, &mut barren) {
            Ok(encoded) => return Ok(encoded),
            Err(next) => begin = next.max(start + 1),
        }
    }
    Err(begin)
}

/// Reads a long text in the smallest alphabet that it is in. Otherwise says where another may begin. Up to where an alphabet is
/// `barren`, a text in it would be too short.
fn decode(bytes: &[u8], start: usize, most: usize, barren: &mut [usize; ALPHABETS.len()]) -> Result<Encoded, usize> {
    let mut best: Option<(Reading, &Alphabet)> = None;
    // Most words of a text are too short for any but the first, which dumps are written in.
    let is_short = bytes[start..].iter().take(LINE).take_while(|byte| byte.is_ascii_graphic()).count() < LINE;
    for (number, alphabet) in ALPHABETS.iter().enumerate().take(if is_short { 1 } else { ALPHABETS.len() }) {
        if best.as_ref().is_some_and(|(_, found)| found.radix() < alphabet.radix()) {
            break;
        }
        if start < barren[number] || !alphabet.begins(&bytes[start..]) {
            continue;
        }
        // Nearly all are too short, which is told without what they stand for.
        let glance = Reading::read::<false>(bytes, start, alphabet, most);
        if glance.length < LEAST {
            barren[number] = glance.end;
            continue;
        }
        let reading = Reading::read::<true>(bytes, start, alphabet, most);
        if reading.length < LEAST {
            // Groups that are more than bytes can be may be right from another letter on.
            if !reading.is_wrong {
                barren[number] = reading.end;
            }
            continue;
        }
        // Nearly every text without blanks is in the larger ones, so that what it stands for decides. What is assigned may be
        // in the same alphabet as what it is assigned to.
        if alphabet.radix() > 64 && !super::is_something(&reading.content) {
            let early = &bytes[start..reading.end.min(start + LINE)];
            let sign = early.iter().rposition(|byte| b"=:(<,".contains(byte)).map(|sign| start + sign + 1);
            if let Some(sign) = sign {
                return Err(sign);
            }
            barren[number] = reading.end;
            continue;
        }
        if best.as_ref().is_none_or(|(best, _)| reading.content.len() > best.content.len()) {
            best = Some((reading, alphabet));
        }
    }
    match best {
        Some((reading, found)) => Ok(reading.encoded(start, found)),
        None => {
            // Behind the next sign that base 64 does not have, another may begin.
            let sign = bytes[start..].iter().position(|byte| BASE64.value(*byte).is_none());
            Err(sign.map_or(bytes.len(), |sign| start + sign + 1))
        }
    }
}

/// What was read in one alphabet.
struct Reading {
    content: Vec<u8>,
    /// How many bytes the letters stand for.
    length: usize,
    end: usize,
    is_cut: bool,
    /// Whether letters stand there that are more than bytes can be.
    is_wrong: bool,
    /// How many letters each line has, where all have as many and they are few.
    short: Option<usize>,
}

impl Reading {
    fn encoded(self, start: usize, alphabet: &Alphabet) -> Encoded {
        // Dumps have words whose bytes are swapped.
        let word = self.short.filter(|_| alphabet.radix() == 16).map_or(1, |short| short / 2);
        let word = if matches!(word, 2 | 4 | 8) { word } else { 1 };
        Encoded { is_cut: self.is_cut, word, ..Encoded::new(start..self.end, alphabet.name, self.content) }
    }

    /// Reads a text to its end; what the letters stand for is left out, and the rest of the text, where only its length is
    /// asked for and it is long enough.
    fn read<const KEPT: bool>(bytes: &[u8], start: usize, alphabet: &Alphabet, most: usize) -> Self {
        let mut all = Self { content: Vec::new(), length: 0, end: start, is_cut: false, is_wrong: false, short: None };
        let (mut group, mut count) = ([0u8; 8], 0);
        let (mut at, mut first, mut letters) = (start, None, 0usize);
        let (mut frame, mut is_even) = (Frame::default(), true);
        loop {
            let before = letters;
            while let Some(byte) = bytes.get(at) {
                match alphabet.table[usize::from(*byte)] {
                    NO if count == 0 && alphabet.zeros == Some(*byte) => {
                        if KEPT {
                            all.content.extend(std::iter::repeat_n(0, alphabet.group.1));
                        }
                        all.length += alphabet.group.1;
                        letters += 1;
                    }
                    NO if *byte == b'\\' && bytes.get(at + 1) == Some(&b'/') && alphabet.value(b'/').is_some() => {}
                    NO => break,
                    value => {
                        group[count] = value;
                        count += 1;
                        letters += 1;
                        if count == alphabet.group.0 {
                            if KEPT && alphabet.push(&group[..count], &mut all.content).is_none() {
                                (all.end, all.is_wrong) = (at, true);
                                return all;
                            }
                            all.length += alphabet.group.1;
                            count = 0;
                        }
                    }
                }
                at += 1;
                if letters >= most || !KEPT && all.length >= LEAST {
                    (all.is_cut, all.end) = (true, at);
                    return all;
                }
            }
            let line = letters - before;
            if line == 0 {
                break;
            }
            all.end = at;
            let length = *first.get_or_insert(line);
            // A line that is shorter than all before it, or one that is long enough by itself, is the last, unless its letters
            // are whole groups.
            let is_last = line < length && is_even || all.length >= LEAST && letters == line;
            is_even &= line == length;
            let is_short = line < LINE && !(is_even && alphabet.radix() == 16 && line.is_multiple_of(2));
            if is_short || is_last && count > 0 {
                break;
            }
            match next_line(bytes, at, alphabet, length, &mut frame) {
                Some(next) => at = next,
                None => break,
            }
        }
        if count > 0 {
            // Whatever is more than bytes can be ends here.
            if KEPT {
                let _ = alphabet.push(&group[..count], &mut all.content);
            }
            all.length += count * alphabet.group.1 / alphabet.group.0;
        }
        all.short = first.filter(|first| is_even && *first < LINE);
        all
    }
}

/// Whether a long line follows on the same line, behind no more than a few signs: what stands before it belongs to a program.
fn is_prefix(rest: &[u8], alphabet: &Alphabet) -> bool {
    const SIGNS: usize = 8;
    let signs = rest.iter().take(SIGNS).take_while(|byte| !alphabet.has(**byte) && !matches!(byte, b'\n' | b'\r'));
    let line = &rest[signs.count()..];
    line.len() >= LINE && line[..LINE].iter().all(|byte| alphabet.has(*byte))
}

/// Where the next line of a text begins: behind an end of line that is written or stands there, quotes, blanks, or the words
/// that stand before each line. It is long, or as long as the first one, or it is the last one.
fn next_line(bytes: &[u8], from: usize, alphabet: &Alphabet, first: usize, frame: &mut Frame) -> Option<usize> {
    let rest = &bytes[from..];
    let (mut at, mut is_broken, mut words) = (0, false, Words::default());
    while at < BETWEEN {
        let byte = *rest.get(at)?;
        if byte == b'\\' && matches!(rest.get(at + 1), Some(b'n' | b'r' | b't' | b'\n' | b'\r')) {
            (at, is_broken) = (at + 2, true);
            continue;
        }
        if !alphabet.has(byte) {
            // Padding ends a text, and so does what no text has: the names of a program stand side by side.
            if byte == b'=' && at == 0 || super::is_never(byte) {
                return None;
            }
            is_broken |= matches!(byte, b'\n' | b'\r' | b'"' | b'\'');
            words.add(byte);
            at += 1;
            continue;
        }
        let count = rest[at..].iter().take(LINE.max(first.min(LINE) + 1)).take_while(|byte| alphabet.has(**byte));
        let count = count.count();
        let is_sign = count == 1 && !byte.is_ascii_alphanumeric();
        if count >= LINE.min(first) && (first >= LINE || count == first) && !is_sign {
            return frame.joins(words).then_some(from + at);
        }
        // What is left of a text, with whatever ends it.
        let ends = rest.get(at + count).is_none_or(|next| !next.is_ascii_alphanumeric() && !b":.(_-".contains(next));
        let has_letter = rest[at..at + count].iter().any(u8::is_ascii_alphanumeric);
        // Words that stand before every line do so before this one as well, and before a whole line none is the rest of a text.
        let is_due = frame.is_before(words) || first >= LINE && is_prefix(&rest[at + count..], alphabet);
        if is_broken && frame.has(words) && has_letter && !is_sign && ends && count < first && !is_due {
            return Some(from + at);
        }
        let word = &rest[at..at + count];
        word.iter().for_each(|byte| words.add(*byte));
        at += word.len();
    }
    None
}
