//! Tests of passages: a text that somebody edited is found, and what only looks like it is not.

use super::*;
use crate::{AuditFile, Contents, Corpus, Fingerprints, Limits, Material, Source, audit, learn};
use proptest::prelude::*;

/// Some word for each number.
fn word(number: u64) -> String {
    const PARTS: [&str; 16] =
        ["ten", "sor", "mem", "ory", "ker", "nel", "str", "eam", "dev", "ice", "eve", "nt", "gra", "ph", "no", "de"];
    let mixed = mix(number, 7);
    (0..3).map(|part| PARTS[(mixed >> (part * 4) & 15) as usize]).collect()
}

const NOTICE: &str = "/* NOTICE TO LICENSEE: this source code is subject to the ownership rights of the vendor under the laws \
    of some country and to international treaties, and nobody may use, copy or pass on any of it without a license \
    that says so in writing, whatever else may stand in the text that came with this file or anywhere else. */\n";

/// A header with a notice, comments and declarations.
fn header(seed: u64, functions: u64) -> String {
    let mut text = NOTICE.to_owned();
    for number in 0..functions {
        let w = |part: u64| word(seed * 1_000_003 + number * 31 + part);
        text += &format!(
            "/**\n * Gives the {} of a {}, which waits for the {} and the {}.\n * \\param {} the {} that is meant\n */\n\
             extern status_t vendor_{}_{}(handle_t {}, const {} *{}, size_t {}, unsigned {});\n\n",
            w(1),
            w(2),
            w(3),
            w(4),
            w(5),
            w(6),
            w(7),
            w(8),
            w(5),
            w(9),
            w(10),
            w(11),
            w(12)
        );
    }
    text
}

fn corpus(files: &[(&str, &str)]) -> Corpus {
    let mut prints = Fingerprints::default();
    let source = Source::new("sha256:a", "n", Material::of_package("vendor-1", vec!["unfree".to_owned()]));
    let files = files.iter().map(|(path, text)| (*path, text.as_bytes()));
    let files = files.map(|(path, bytes)| AuditFile { path: path.to_owned(), contents: Contents::Bytes(bytes) });
    learn(&mut prints, &source, &files.collect::<Vec<_>>(), Limits::default());
    prints.to_corpus()
}

fn vendor() -> (String, Corpus) {
    let text = header(1, 60);
    let others: Vec<String> = (2..5).map(|seed| header(seed, 20)).collect();
    let files = [("a.h", text.as_str()), ("b.h", &others[0]), ("c.h", &others[1]), ("d.h", &others[2])];
    let corpus = corpus(&files);
    (text, corpus)
}

/// The originals that files are found to be made from.
fn found<'f>(corpus: &Corpus, files: &[(&str, &'f [u8])]) -> Vec<String> {
    let file =
        |(path, bytes): &(&str, &'f [u8])| AuditFile { path: (*path).to_owned(), contents: Contents::Bytes(bytes) };
    let findings = audit(&files.iter().map(file).collect::<Vec<_>>(), corpus, Limits::default()).findings;
    let modified = |finding: &Finding| match finding {
        Finding::ModifiedCopy { original, .. } => original.file.clone(),
        other => panic!("{other:?}"),
    };
    findings.iter().map(modified).collect()
}

/// Without comments, by a reader of its own.
fn without_comments(text: &str) -> String {
    let mut rest = text;
    let mut bare = String::new();
    while let Some((before, after)) = rest.split_once("/*") {
        bare += before;
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    bare + rest
}

#[test]
fn an_edited_text_is_a_modified_copy() {
    let (text, corpus) = vendor();
    let check = |what: &str, edited: &[u8]| assert_eq!(found(&corpus, &[("x", edited)]), ["a.h"], "{what}");
    let lines = || text.lines();
    let each = |edit: &dyn Fn(&str) -> String| lines().map(edit).collect::<Vec<_>>().join("\n");
    check("a comment more", format!("// mine\n{text}").as_bytes());
    check("a line end more", format!("{text}\n").as_bytes());
    check("other line ends", text.replace('\n', "\r\n").as_bytes());
    check("tabs", text.replace(' ', "\t").as_bytes());
    check("joined lines", text.split_whitespace().collect::<Vec<_>>().join(" ").as_bytes());
    check("a word a line", text.split_whitespace().collect::<Vec<_>>().join("\n").as_bytes());
    check("another name", text.replace("handle_t", "mine_t").as_bytes());
    check("another prefix", text.replace("vendor_", "my_").as_bytes());
    check("no notice", &text.as_bytes()[NOTICE.len()..]);
    check("no comments", without_comments(&text).as_bytes());
    check("other comments", without_comments(&text).replace("extern", "/* Declares it. */ extern").as_bytes());
    check("comments for lines", without_comments(&text).replace("extern", "// it is mine\nextern").as_bytes());
    check("only comments", text.replace("extern", "").replace(");", "").as_bytes());
    check("a third", &text.as_bytes()[text.len() / 3..text.len() * 2 / 3]);
    check("in a larger file", [header(9, 400), text.clone(), header(10, 400)].concat().as_bytes());
    check("in a script", format!("cat > vendor.h <<'END'\n{text}END\n").as_bytes());
    check("in a Python string", format!("H = {text:?}\n").as_bytes());
    check("in C strings", each(&|line| format!("{:?}", format!("{line}\n"))).as_bytes());
    check("in JSON", format!("{{\"header\": {text:?}}}").as_bytes());
    check("in a patch", each(&|line| format!("+{line}")).as_bytes());
    check("with numbers of lines", each(&|line| format!("{:6}\t{line}", line.len())).as_bytes());
    check("in UTF-16", &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    check("in UTF-16, the other way", &text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>());
    check("in UTF-32", &text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect::<Vec<u8>>());
    check(
        "in Latin-1",
        &[&b"// \xfc\xe4\xf6\n"[..], text.replace("Gives", "G\u{0}ves").replace('\0', "i").as_bytes()].concat(),
    );
    check("behind a zero", &[&[0][..], text.as_bytes()].concat());
    check("among other bytes", &[&[0xe5; 10_000][..], text.as_bytes(), &[0xe5; 10_000]].concat());
}

#[test]
fn what_only_looks_like_a_text_accuses_nobody() {
    let (text, corpus) = vendor();
    let check = |what: &str, bytes: &[u8]| {
        assert_eq!(found(&corpus, &[("x", bytes)]), Vec::<String>::new(), "{what}");
    };
    check("another text", header(77, 500).as_bytes());
    check("the notice alone", NOTICE.as_bytes());
    check("the notice above another text", format!("{NOTICE}{}", header(78, 100)).as_bytes());
    check("the names alone", text.split(|c: char| !c.is_alphanumeric()).rev().collect::<Vec<_>>().join(" ").as_bytes());
    check("too little of it", &text.as_bytes()[text.len() / 2..][..text.len() / 60]);
    let twelfth = &text[text.len() / 2..][..text.len() / 12];
    check("little of it in another text", format!("{}{twelfth}", header(79, 100)).as_bytes());
    check("nothing", b"");
}

#[test]
fn small_texts_and_tables_of_numbers_tell_nothing() {
    let numbers: String = (0..5000).map(|n| format!("0x{:08x}, ", mix(n, 1))).collect();
    let again = "static const int zero = 0; ".repeat(500);
    let small = header(1, 1)[NOTICE.len()..].to_owned();
    let corpus = corpus(&[("small.h", small.as_str()), ("numbers.h", &numbers), ("again.h", &again)]);
    for text in [small, numbers, again] {
        assert_eq!(found(&corpus, &[("x", format!("// mine\n{text}").as_bytes())]), Vec::<String>::new());
    }
}

/// No piece has enough, and together they are most of it.
#[test]
fn a_text_that_was_cut_into_files_is_found() {
    let (text, corpus) = vendor();
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(text.len() / 60).collect();
    let names: Vec<String> = (0..pieces.len()).map(|number| format!("part-{number}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(String::as_str).zip(pieces.iter().copied()).collect();
    assert_eq!(found(&corpus, &files), ["a.h"]);
    assert_eq!(found(&corpus, &files[..15]), Vec::<String>::new());
}

/// What free software has as well is nobody's own.
#[test]
fn texts_of_free_software_accuse_nobody() {
    let (shared, own) = (header(5, 40), header(6, 40));
    let all = format!("{own}{shared}");
    let mut prints = Fingerprints::default();
    let source = Source::new("sha256:a", "n", Material::of_package("vendor-1", vec![]));
    let learned = [AuditFile { path: "a.h".to_owned(), contents: Contents::Bytes(all.as_bytes()) }];
    learn(&mut prints, &source, &learned, Limits::default());
    let free = [AuditFile { path: "f.h".to_owned(), contents: Contents::Bytes(shared.as_bytes()) }];
    let corpus = prints.to_corpus();
    let source = Source::new("sha256:f", "n", Material::of_package("free-1", vec![]));
    crate::learn_free(&mut prints, &corpus, &source, &free, Limits::default());
    let corpus = prints.to_corpus();
    assert_eq!(found(&corpus, &[("x", format!("// mine\n{shared}").as_bytes())]), Vec::<String>::new());
    assert_eq!(found(&corpus, &[("x", format!("// mine\n{own}").as_bytes())]), ["a.h"]);
}

/// Words as a slow reader finds them, where there are no comments and no escapes.
fn slow(text: &[u8]) -> Vec<u64> {
    let mut window = Window::default();
    let words = text.split(|byte| !is_word(*byte)).filter(|word| word.first().is_some_and(|b| !b.is_ascii_digit()));
    words.filter_map(|word| window.push(word_hash(word, 0, word.len()), word.len())).collect()
}

proptest! {
    #[test]
    fn words_are_read_across_blocks(words in proptest::collection::vec("[a-c_A-C0-2]{0,90}[ ,.(é\u{0}-]{0,3}", 0..60)) {
        let text = words.concat();
        let mut read = Vec::new();
        Reader::new().read(text.as_bytes(), &mut |passage, _, _| read.push(passage));
        prop_assert_eq!(read, slow(text.as_bytes()));
    }

    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(proptest::sample::select(b"a/*#\n\\ b\"".to_vec()), 0..400)) {
        Reader::new().read(&bytes, &mut |_, _, _| {});
        Passages::of(&bytes);
    }
}

/// A piece of a long text has few of the passages that are kept of it, and hardly any others.
#[test]
fn a_piece_of_a_long_text_is_known_where_it_stands_alone() {
    let text = header(1, 3000);
    let others: Vec<String> = (2..5).map(|seed| header(seed, 20)).collect();
    let files = [("a.h", text.as_str()), ("b.h", &others[0]), ("c.h", &others[1]), ("d.h", &others[2])];
    let corpus = corpus(&files);
    let bare = without_comments(&text);
    let lines: Vec<&str> = bare.lines().filter(|line| !line.trim().is_empty()).collect();
    let piece = |from: usize, to: usize| lines[from * lines.len() / 100..to * lines.len() / 100].join("\n");
    let own = without_comments(&header(7, 3000));
    for (from, to) in [(0, 34), (33, 67), (66, 100), (10, 25), (80, 95)] {
        let piece = piece(from, to);
        assert_eq!(found(&corpus, &[("x.c", piece.as_bytes())]), ["a.h"], "{from} to {to}");
        // In a program of somebody's own so little of it accuses nobody.
        if to - from < 20 {
            assert!(found(&corpus, &[("x.c", format!("{own}{piece}").as_bytes())]).is_empty(), "{from} to {to}");
        }
    }
    assert!(found(&corpus, &[("x.c", piece(50, 52).as_bytes())]).is_empty());
    assert!(found(&corpus, &[("x.c", own.as_bytes())]).is_empty());
}
