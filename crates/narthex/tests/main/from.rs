//! `plan --from`: files and pipes as they come, whole and cut.

use crate::world::{Said, program};
use std::io::Write;
use std::process::{Command, Stdio};

const FREE: &str = r#"{"attr":"free","drvPath":"/nix/store/00000000000000000000000000000000-free.drv","inputDrvs":{"/nix/store/00000000000000000000000000000000-closed.drv":["out"]},"outputs":{"out":"/nix/store/00000000000000000000000000000000-free"},"meta":{"license":"mit"}}"#;
const CLOSED: &str = r#"{"drvPath":"/nix/store/00000000000000000000000000000000-closed.drv","inputDrvs":{},"outputs":{"out":"/nix/store/00000000000000000000000000000000-closed"},"meta":{"license":"unfree"}}"#;
const FAILED: &str = r#"{"attr":"bad","error":"error: no\nnot today"}"#;

fn plan(arguments: &[&str], input: &[u8]) -> Said {
    let mut command = Command::new(program());
    command.arg("plan").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    Said::of(child.wait_with_output().unwrap())
}

fn text(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn whole_and_compressed() {
    let both = text(&[FREE, CLOSED]);
    let said = plan(&["--from", "-"], both.as_bytes()).expect(0);
    assert!(said.out.contains("publish   free"), "{}", said.out);
    let packed = zstd::encode_all(both.as_bytes(), 3).unwrap();
    assert_eq!(plan(&["--from", "-"], &packed).expect(0).out, said.out);
    let rows = plan(&["--from", "-", "--format", "json"], both.as_bytes()).expect(0).rows();
    assert_eq!(rows.len(), 2);
    let free = rows.iter().find(|row| row["attr"] == "free").unwrap();
    assert_eq!(free["holes"], serde_json::json!(["/nix/store/00000000000000000000000000000000-closed.drv"]));
    assert_eq!((&free["class"], &free["verdict"]), (&"free".into(), &"publish".into()));
    // Two files are one set; one of the targets leaves the other out.
    let folder = tempfile::tempdir().unwrap();
    let files = [folder.path().join("a"), folder.path().join("b")];
    std::fs::write(&files[0], format!("{FREE}\n")).unwrap();
    std::fs::write(&files[1], zstd::encode_all(CLOSED.as_bytes(), 3).unwrap()).unwrap();
    let names = files.each_ref().map(|file| file.to_str().unwrap());
    assert_eq!(plan(&["--from", names[0], "--from", names[1]], b"").expect(0).out, said.out);
    let arguments = ["--from", names[0], "--from", names[1], "--format", "json", "--target"];
    for target in ["/nix/store/00000000000000000000000000000000-closed", "00000000000000000000000000000000-closed.drv"]
    {
        assert_eq!(plan(&[&arguments[..], &[target]].concat(), b"").expect(0).rows().len(), 1, "{target}");
    }
    assert_eq!(plan(&[&arguments[..], &["free"]].concat(), b"").expect(0).rows().len(), 2);
    let said = plan(&[&arguments[..], &["nobody"]].concat(), b"").expect(2);
    assert!(said.err.contains("nothing is called nobody there"), "{}", said.err);
}

/// Lines of `narthex eval` say that more come, until one says that none does; lines of others say nothing of it.
#[test]
fn lines_that_were_cut_off() {
    let (free, closed) = (FREE.replacen('{', "{\"last\":false,", 1), CLOSED.replacen('{', "{\"last\":false,", 1));
    let whole = plan(&["--from", "-"], text(&[&free, &closed, "{\"last\":true}"]).as_bytes()).expect(0);
    assert_eq!(whole.out, plan(&["--from", "-"], text(&[FREE, CLOSED]).as_bytes()).expect(0).out);
    let cut = plan(&["--from", "-"], text(&[&free, &closed]).as_bytes()).expect(1);
    assert!(cut.err.contains("standard input: it was cut off: the line is missing"), "{}", cut.err);
    assert_eq!(cut.out, whole.out);
    // Each of several files has an end of its own.
    let folder = tempfile::tempdir().unwrap();
    let files = ["a", "b"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    std::fs::write(&files[0], text(&[&free])).unwrap();
    std::fs::write(&files[1], text(&[&closed, "{\"last\":true}"])).unwrap();
    let said = plan(&["--from", &files[0], "--from", &files[1]], b"").expect(1);
    assert!(said.err.contains(&format!("{}: it was cut off", files[0])), "{}", said.err);
    assert!(!said.err.contains(&format!("{}: it was", files[1])), "{}", said.err);
    // What says neither is no line still, whatever else it calls itself.
    for line in ["{\"last\":false}", "{\"last\":\"true\"}", "{}"] {
        let said = plan(&["--from", "-"], text(&[FREE, CLOSED, line]).as_bytes()).expect(1);
        assert!(said.err.contains("neither `drvPath` nor `error`"), "{line}: {}", said.err);
    }
}

/// Who holds back a change until somebody has answered must not be told that all is well because nothing was read, or
/// because nobody takes the answer.
#[test]
fn nothing_read_and_nobody_listening() {
    let narthex = |arguments: &[&str], input: &str, out: Stdio| {
        let mut command = Command::new(program());
        command.args(arguments).stdin(Stdio::piped()).stdout(out).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Said::of(child.wait_with_output().unwrap())
    };
    let review = ["policy", "review", "--from", "-"];
    for arguments in [&review[..], &["plan", "--from", "-"]] {
        let said = narthex(arguments, "", Stdio::piped()).expect(1);
        assert!(said.err.contains("standard input: it is empty"), "{}", said.err);
    }
    let lines = text(&[CLOSED]).replace("\"drvPath\"", "\"attr\":\"closed\",\"drvPath\"");
    narthex(&review, &lines, Stdio::piped()).expect(3);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let said = narthex(&review, &lines, full.into()).expect(1);
    assert!(said.err.contains("error: the standard output cannot be written to"), "{}", said.err);
    // A reader that went away wanted no more, and changes nothing about what is decided.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let said = narthex(&review, &lines, writer.into()).expect(3);
    assert!(!said.err.contains("error"), "{}", said.err);
}

/// What was read is shown, what was not is named, and the exit code tells.
#[test]
fn cut_and_broken() {
    let both = text(&[CLOSED, FREE]);
    let half = plan(&["--from", "-"], &both.as_bytes()[..both.len() - 20]).expect(1);
    assert!(half.err.contains("standard input:2: ") && half.err.contains("was it cut?"), "{}", half.err);
    assert!(half.out.contains("withhold  closed"), "{}", half.out);
    let packed = zstd::encode_all(both.as_bytes(), 3).unwrap();
    let half = plan(&["--from", "-"], &packed[..packed.len() - 8]).expect(1);
    assert!(half.err.contains("before it should"), "{}", half.err);
    let missing = plan(&["--from", "-"], text(&[FREE]).as_bytes()).expect(1);
    assert!(missing.err.contains("-closed.drv is missing"), "{}", missing.err);
    assert!(missing.out.contains("graph-incomplete"), "{}", missing.out);
    // Of jobs alone it is still told what they declare.
    let job = CLOSED.replace(
        "\"inputDrvs\":{}",
        r#""attr":"closed","inputDrvs":{"/nix/store/00000000000000000000000000000000-gone.drv":["out"]}"#,
    );
    let rows = plan(&["--from", "-", "--format", "json"], text(&[FREE, &job]).as_bytes()).expect(1).rows();
    let told = |attr: &str| {
        let row = rows.iter().find(|row| row["attr"] == attr).unwrap();
        let codes: Vec<&str> =
            row["reasons"].as_array().unwrap().iter().filter_map(|reason| reason["code"].as_str()).collect();
        (row["class"].as_str(), row["license"].as_str(), row["verdict"].as_str(), codes)
    };
    let restricted = vec!["license-restricted", "graph-incomplete"];
    assert_eq!(told("closed"), (Some("restricted"), Some("LicenseRef-unfree"), Some("withhold"), restricted));
    let free = vec!["graph-incomplete", "license-free"];
    assert_eq!(told("free"), (Some("free"), Some("MIT"), Some("withhold"), free));
    let failed = plan(&["--from", "-"], text(&[FREE, CLOSED, FAILED]).as_bytes()).expect(1);
    assert!(failed.out.contains("`bad` does not evaluate:\n  no\n  not today"), "{}", failed.out);
    let absent = plan(&["--from", "/nowhere"], b"").expect(2);
    assert!(absent.err.contains("/nowhere cannot be read"), "{}", absent.err);
}
