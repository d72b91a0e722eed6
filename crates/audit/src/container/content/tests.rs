//! Where content lies, and what is said when there is no room.

use super::super::tests::{gzipped, see, tarred};
use super::super::{Kind, Limits, Place, Visitor, walk};
use super::*;

const LARGE: usize = IN_MEMORY + 100_000;

/// A file that takes so much, and may be lost.
struct Lent {
    bytes: Vec<u8>,
    most: usize,
    is_torn: bool,
}

impl Write for Lent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.most {
            return Err(io::Error::other("/var/tmp: No space left on device"));
        }
        self.bytes.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Spill for Lent {
    fn finish(self: Box<Self>) -> io::Result<Box<dyn Spilled>> {
        Ok(self)
    }
}

impl Spilled for Lent {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn is_torn(&self) -> bool {
        self.is_torn
    }
}

fn lent(most: usize, is_torn: bool) -> io::Result<Box<dyn Spill>> {
    Ok(Box::new(Lent { bytes: Vec::new(), most, is_torn }))
}

fn good() -> io::Result<Box<dyn Spill>> {
    lent(usize::MAX, false)
}

fn full() -> io::Result<Box<dyn Spill>> {
    lent(IN_MEMORY + 50_000, false)
}

fn lost() -> io::Result<Box<dyn Spill>> {
    lent(usize::MAX, true)
}

fn missing() -> io::Result<Box<dyn Spill>> {
    Err(io::Error::other("/nowhere: No such file or directory"))
}

fn is_in_file(content: &Content) -> bool {
    matches!(content, Content::File(..))
}

#[test]
fn what_is_large_goes_to_the_file() {
    for size in [0, 1, IN_MEMORY, IN_MEMORY + 1, LARGE] {
        let bytes: Vec<u8> = (0..size).map(|at| (at / 4096) as u8).collect();
        let (content, gap) = Content::read(bytes.as_slice(), Some(good));
        assert_eq!((gap, &*content == bytes.as_slice()), (None, true), "{size}");
        assert!(size <= IN_MEMORY || is_in_file(&content), "{size}");
        let (content, gap) = Content::read(bytes.as_slice(), None);
        assert_eq!((gap, &*content == bytes.as_slice(), is_in_file(&content)), (None, true, false), "{size}");
    }
}

#[test]
fn without_room_for_a_file_there_is_memory_and_then_a_gap() {
    let (content, gap) = Content::read(vec![7; LARGE].as_slice(), Some(missing));
    assert_eq!((content.len(), gap), (LARGE, None));
    drop(content);
    let (content, gap) = Content::read(io::repeat(7).take(2 * WITHOUT_FILE), Some(missing));
    assert!(content.len() >= IN_MEMORY && (content.len() as u64) <= WITHOUT_FILE);
    let gap = gap.unwrap().to_string();
    assert!(gap.contains("/nowhere: No such file or directory") && gap.contains("TMPDIR"), "{gap}");
    // What a full disk took is looked at.
    let (content, gap) = Content::read(vec![7; 2 * LARGE].as_slice(), Some(full));
    assert!(content.len() >= IN_MEMORY && content.len() < LARGE);
    let gap = gap.unwrap().to_string();
    assert!(gap.contains("/var/tmp: No space left on device") && gap.contains("TMPDIR"), "{gap}");
}

/// An archive ends where there is no room for a member, and the gap says so; a file that is lost is a gap as well.
#[test]
fn archives_have_the_gap() {
    struct Gaps(Vec<(String, String)>, usize);
    impl Visitor for Gaps {
        fn blob(&mut self, _: &Place, bytes: &[u8], _: Option<Kind>) -> bool {
            self.1 = self.1.max(bytes.len());
            true
        }
        fn gap(&mut self, place: Place, gap: Gap) {
            self.0.push((place.to_string(), gap.to_string()));
        }
    }
    let packed = gzipped(&tarred("a", &vec![0; LARGE]));
    for (open, place, said) in [
        (good as OpenSpill, "", ""),
        (full, "x.tar.gz", "No space left"),
        (lost, "x.tar.gz!x.tar", "could not be read again"),
    ] {
        let limits = Limits { spill: Some(open), ..Limits::default() };
        let mut gaps = Gaps(Vec::new(), 0);
        let spent = walk(Place { file: "x.tar.gz".to_owned(), members: Vec::new() }, &packed, limits, &mut gaps);
        let gap = gaps.0.iter().find(|(at, what)| at == place && what.contains(said));
        assert_eq!((gap.is_some(), spent.bounded), (!said.is_empty(), !said.is_empty()), "{said}: {:?}", gaps.0);
        assert!(gaps.1 >= IN_MEMORY, "{said}");
    }
    assert_eq!(see("x.tar.gz", &packed, Limits::default()).gaps, []);
}
