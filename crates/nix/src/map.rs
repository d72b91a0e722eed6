//! Maps files into memory, and survives that they shrink.
//!
//! Reading a mapping behind the end of its file raises SIGBUS, which would end the process. Files of
//! the store do not shrink; any other file that a user names may. A handler for SIGBUS puts zeros in
//! place of what is gone and marks the mapping as torn, so that whoever read it can tell. What it has
//! to know stands in a table of atomics, since a signal handler must neither lock nor allocate.
//!
//! This is the only module of the workspace with unsafe code. It does not read files: where mapping is
//! not possible, that is its caller's to do.
#![expect(unsafe_code, reason = "mapping a file and handling the signal that it may raise are not safe in themselves")]

use libc::{c_int, c_void, siginfo_t};
use std::fs::File;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// The mappings there may be at once; a system allows some 65,000 for a whole process.
const SLOTS: usize = 16_384;

static TABLE: Table<SLOTS> = Table::new();

/// A file in memory.
#[derive(Debug)]
pub struct Mapped {
    map: memmap2::Mmap,
    slot: &'static Slot,
}

impl Mapped {
    /// Maps the first bytes of a file; nothing where that cannot be done, or not safely.
    pub(crate) fn of(file: &File, size: usize) -> Option<Self> {
        if !is_guarded() {
            return None;
        }
        // SAFETY: bytes behind a shared reference should not change. Those of the store do not, and where
        // those of another file do, its readers have to cope with any bytes anyway: they check every length
        // and offset, and `torn` and the file's times tell that what they found is void. That the file shrinks
        // is what the handler is for: it is installed, and knows the mapping before anybody can read it.
        let map = unsafe { memmap2::MmapOptions::new().len(size).map(file) }.ok()?;
        let start = map.as_ptr() as usize;
        let slot = TABLE.claim(start, (start + size).next_multiple_of(page_size()))?;
        Some(Self { map, slot })
    }

    /// Whether zeros were read because the file had become shorter, or its disk failed.
    pub fn torn(&self) -> bool {
        self.slot.torn.load(SeqCst)
    }
}

impl std::ops::Deref for Mapped {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // This comes before unmapping: the addresses may be somebody else's as soon as they are free, and the
        // handler must not take them for ours.
        self.slot.release();
    }
}

/// One active mapping, or none.
#[derive(Debug)]
struct Slot {
    /// Odd while the rest is being changed, and never the same again afterwards.
    version: AtomicUsize,
    /// The first address; zero while the slot is free.
    start: AtomicUsize,
    /// The first address behind its last page.
    end: AtomicUsize,
    torn: AtomicBool,
}

impl Slot {
    const fn new() -> Self {
        Self {
            version: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            torn: AtomicBool::new(false),
        }
    }

    fn claim(&self, start: usize, end: usize) -> bool {
        let version = self.version.load(SeqCst);
        if !version.is_multiple_of(2) || self.start.load(SeqCst) != 0 {
            return false;
        }
        // An unchanged version means that the slot is still free.
        if self.version.compare_exchange(version, version + 1, SeqCst, SeqCst).is_err() {
            return false;
        }
        self.torn.store(false, SeqCst);
        self.end.store(end, SeqCst);
        self.start.store(start, SeqCst);
        self.version.store(version.wrapping_add(2), SeqCst);
        true
    }

    fn release(&self) {
        self.version.fetch_add(1, SeqCst);
        self.start.store(0, SeqCst);
        self.version.fetch_add(1, SeqCst);
    }

    /// The end of the mapping, if it holds an address.
    fn end_around(&self, address: usize) -> Option<usize> {
        let version = self.version.load(SeqCst);
        let (start, end) = (self.start.load(SeqCst), self.end.load(SeqCst));
        // Start and end might be those of two mappings. A slot that changes meanwhile is not the one that
        // is looked for: the thread that faulted holds on to its own.
        let whole = version.is_multiple_of(2) && self.version.load(SeqCst) == version;
        (whole && start != 0 && (start..end).contains(&address)).then_some(end)
    }
}

/// All active mappings.
struct Table<const N: usize> {
    slots: [Slot; N],
    /// Where to look for a free slot next, so that finding one takes no time while few are taken.
    next: AtomicUsize,
}

impl<const N: usize> Table<N> {
    const fn new() -> Self {
        Self { slots: [const { Slot::new() }; N], next: AtomicUsize::new(0) }
    }

    fn claim(&self, start: usize, end: usize) -> Option<&Slot> {
        let first = self.next.fetch_add(1, SeqCst) % N;
        let (behind, before) = self.slots.split_at(first);
        before.iter().chain(behind).find(|slot| slot.claim(start, end))
    }

    /// The mapping that holds an address, and its end.
    fn find(&self, address: usize) -> Option<(&Slot, usize)> {
        self.slots.iter().find_map(|slot| slot.end_around(address).map(|end| (slot, end)))
    }
}

/// What there was before the handler, and what it cannot ask for when it runs.
struct Before {
    action: libc::sigaction,
    page_size: usize,
}

static BEFORE: OnceLock<Before> = OnceLock::new();

fn page_size() -> usize {
    BEFORE.get().map_or(4096, |before| before.page_size)
}

/// Installs the handler if that was not done yet, and says whether it is there.
fn is_guarded() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| install().is_some())
}

fn install() -> Option<()> {
    // SAFETY: it reads a constant of the system.
    let page_size = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
    // SAFETY: the struct consists of integers and of pointers that may be null.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: without a new action this only writes the present one to where the pointer leads.
    if unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), &mut action) } != 0 {
        return None;
    }
    // The handler may be called as soon as it is installed, so what it needs is there before.
    BEFORE.set(Before { action, page_size }).ok()?;

    // SAFETY: as above.
    let mut ours: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_fault;
    ours.sa_sigaction = handler as libc::sighandler_t;
    // On the thread's alternate stack: an earlier handler that is called from ours may rely on it.
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: both pointers lead to structs that are whole, and `on_fault` has the signature that
    // SA_SIGINFO asks for and does nothing that a signal handler must not do.
    (unsafe { libc::sigaction(libc::SIGBUS, &ours, std::ptr::null_mut()) } == 0).then_some(())
}

/// The handler: replaces what is gone of a mapping of ours, and hands on everything else.
extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the system calls this with a valid pointer, and SIGBUS has an address. Where somebody sent the
    // signal, the address is meaningless and is not looked at.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    // Only codes above zero come from a fault.
    let sent = code <= 0;
    if sent || !tear(address) {
        hand_on(signal, sent, info, context);
    }
}

/// Puts zeros from the page of an address to the end of its mapping; says whether there is one.
///
/// All the rest is replaced at once: what was read is void from now on, and one fault for each page of a
/// large file would take long and leave more mappings than a process may have.
fn tear(address: usize) -> bool {
    let Some((slot, end)) = TABLE.find(address) else { return false };
    let page = address - address % page_size();
    // Other threads may read the zeros at once, so they are announced before they are there.
    slot.torn.store(true, SeqCst);
    // SAFETY: the range lies in a mapping of ours from a page's beginning to the last page's end, which lives
    // as long as the thread that faulted waits for this, and which nobody reaches except by shared
    // references to bytes; zeros are bytes. In practice mmap is safe in a handler, being a bare system
    // call, and it writes errno only where it fails, after which the process ends.
    let zeros = unsafe {
        libc::mmap(
            page as *mut c_void,
            end - page,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    zeros != libc::MAP_FAILED
}

/// Does what would have been done without our handler.
fn hand_on(signal: c_int, sent: bool, info: *mut siginfo_t, context: *mut c_void) {
    let (handler, flags) =
        BEFORE.get().map_or((libc::SIG_DFL, 0), |before| (before.action.sa_sigaction, before.action.sa_flags));
    match handler {
        // A fault is never ignored: the system ends a process that would raise it again and again.
        libc::SIG_IGN if sent => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: the struct consists of integers and of pointers that may be null, and zeros stand for the
            // default. The calls are allowed in a handler. What faulted does so again after the return,
            // and then ends the process; what was sent has to be sent again.
            unsafe {
                let default: libc::sigaction = std::mem::zeroed();
                libc::sigaction(signal, &default, std::ptr::null_mut());
                if sent {
                    libc::raise(signal);
                }
            }
        }
        handler if flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: whoever installed it said with SA_SIGINFO that it is a function of this type.
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: whoever installed it said without SA_SIGINFO that it is a function of this type.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    const SIZE: usize = 4 << 20;
    /// Names what the test binary does when a test runs it once more.
    const MODE: &str = "NARTHEX_TEST_FAULT";

    /// A file of sevens, and its mapping.
    fn sevens() -> (File, Mapped) {
        let file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut &file, &vec![7; SIZE]).unwrap();
        let mapped = Mapped::of(&file, SIZE).unwrap();
        (file, mapped)
    }

    fn count(bytes: &[u8], byte: u8) -> usize {
        bytes.iter().filter(|&&b| b == byte).count()
    }

    #[test]
    fn an_untouched_file_is_not_torn() {
        let (_file, mapped) = sevens();
        assert_eq!((count(&mapped, 7), mapped.torn()), (SIZE, false));
    }

    #[test]
    fn a_file_that_shrinks_reads_as_zeros_and_is_torn() {
        for left in [0, SIZE / 2, SIZE / 2 + 1, SIZE - 5000] {
            let (file, mapped) = sevens();
            let (_other_file, other) = sevens();
            file.set_len(left as u64).unwrap();
            assert!(!mapped.torn(), "nothing was read yet");
            assert_eq!((count(&mapped, 7), count(&mapped, 0)), (left, SIZE - left));
            assert!(mapped.torn());
            assert_eq!((count(&other, 7), other.torn()), (SIZE, false));
        }
    }

    #[test]
    fn many_threads_read_while_files_shrink() {
        let files: Vec<(File, Mapped)> = (0..8).map(|_| sevens()).collect();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let files = &files;
                scope.spawn(move || {
                    for (_, mapped) in files.iter().cycle().skip(thread).take(files.len()) {
                        // Backwards as well, so that pages in front of what was replaced are faults of their own.
                        let zeros = count(mapped, 0) + mapped.iter().rev().filter(|&&b| b == 0).count();
                        assert!(zeros == 0 || mapped.torn());
                    }
                });
            }
            for (index, (file, _)) in files.iter().enumerate() {
                file.set_len((SIZE / 8 * index) as u64).unwrap();
            }
        });
        for (index, (_, mapped)) in files.iter().enumerate() {
            assert_eq!((count(mapped, 7), mapped.torn()), (SIZE / 8 * index, true));
        }
    }

    #[test]
    fn files_shrink_while_others_are_mapped_and_unmapped() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(SIZE as u64).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(SeqCst) {
                        let mapped = Mapped::of(&file, SIZE).unwrap();
                        assert_eq!((mapped[SIZE - 1], mapped.torn()), (0, false));
                    }
                });
            }
            for _ in 0..200 {
                let (file, mapped) = sevens();
                file.set_len(1).unwrap();
                assert_eq!((mapped[SIZE - 1], mapped[0], mapped.torn()), (0, 7, true));
            }
            done.store(true, SeqCst);
        });
    }

    #[test]
    fn slots_are_used_again() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(100_000).unwrap();
        for _ in 0..100_000 {
            assert!(!Mapped::of(&file, 100_000).unwrap().torn());
        }
    }

    #[test]
    fn a_table_has_an_end_and_knows_who_holds_an_address() {
        let table = Table::<4>::new();
        let slots: Vec<&Slot> = (1..5).map(|n| table.claim(n * 100, n * 100 + 50).unwrap()).collect();
        assert!(table.claim(900, 950).is_none());
        for (address, end) in [(99, None), (100, Some(150)), (149, Some(150)), (150, None), (420, Some(450)), (0, None)]
        {
            assert_eq!(table.find(address).map(|(_, end)| end), end, "{address}");
        }
        slots[1].torn.store(true, SeqCst);
        slots[1].release();
        assert!(table.find(220).is_none());
        let again = table.claim(900, 950).unwrap();
        assert!(!again.torn.load(SeqCst), "what the last mapping was says nothing of the next one");
        assert_eq!(table.find(949).map(|(_, end)| end), Some(950));
        assert!(table.claim(1000, 1050).is_none());
    }

    #[test]
    fn what_cannot_be_mapped_is_left_to_the_caller() {
        assert!(Mapped::of(&File::open("/").unwrap(), 4096).is_none());
        let file = tempfile::tempfile().unwrap();
        assert!(Mapped::of(&file, usize::MAX / 4).is_none(), "there are not that many addresses");
    }

    extern "C" fn exit_42(_: c_int) {
        // SAFETY: it ends the process at once, which a handler may do.
        unsafe { libc::_exit(42) }
    }

    /// What `faults_elsewhere_are_handed_on` has a process of its own do.
    #[test]
    fn fault() {
        let Ok(mode) = std::env::var(MODE) else { return };
        // SAFETY: all handlers have the signature that the absent flag SA_SIGINFO asks for.
        match mode.as_str() {
            "default" => unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) },
            "ignored" | "sent" => unsafe { libc::signal(libc::SIGBUS, libc::SIG_IGN) },
            "own" => unsafe { libc::signal(libc::SIGBUS, exit_42 as extern "C" fn(c_int) as libc::sighandler_t) },
            // The handler that comes with std.
            _ => 0,
        };
        let (file, mapped) = sevens();
        file.set_len(0).unwrap();
        assert_eq!((count(&mapped, 0), mapped.torn()), (SIZE, true));
        if mode == "sent" {
            // SAFETY: the signal is ignored.
            unsafe { libc::raise(libc::SIGBUS) };
            return;
        }
        // SAFETY: nobody else knows this file; reading it has to end this process.
        let outside = unsafe { memmap2::MmapOptions::new().len(SIZE).map(&file) }.unwrap();
        assert_eq!(std::hint::black_box(&outside)[0], 0);
    }

    #[test]
    fn faults_elsewhere_are_handed_on() {
        for (mode, signal, code) in [
            ("std", Some(libc::SIGBUS), None),
            ("default", Some(libc::SIGBUS), None),
            ("ignored", Some(libc::SIGBUS), None),
            ("own", None, Some(42)),
            ("sent", None, Some(0)),
        ] {
            let this = std::env::current_exe().unwrap();
            let test = ["--exact", "map::tests::fault", "--test-threads", "1"];
            let status = Command::new(this).args(test).env(MODE, mode).output().unwrap().status;
            assert_eq!((status.signal(), status.code()), (signal, code), "{mode}");
        }
    }
}
