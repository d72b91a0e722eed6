//! `narthex audit`

use super::{Common, named};
use crate::cli::{AuditArgs, AuditFormat, Named};
use crate::error::{CommandError, Kind};
use crate::render::{self, Audited, Progress, Scanning};
use crate::settings;
use narthex_audit::{Corpus, FunctionHit};
use narthex_cache::Catalog;
use std::path::PathBuf;
use std::process::ExitCode;

/// Findings are no failure: an audit does not decide.
pub(crate) async fn run(common: &Common, args: &AuditArgs) -> Result<ExitCode, CommandError> {
    if args.recheck {
        return recheck(common, args).await;
    }
    let state = settings::corpus_state(common.state.as_deref());
    let corpus = narthex_farm::load_corpus(state.as_ref(), args.shipped.choice())?;
    let (targets, missing): (Vec<PathBuf>, Vec<PathBuf>) =
        targets(common, args).await?.into_iter().partition(|path| path.exists());
    let missing: Vec<String> = missing.iter().map(|path| path.display().to_string()).collect();
    if targets.is_empty() {
        return Err(not_there(&missing));
    }
    if corpus.size() == (0, 0) {
        render::note("the corpus is empty: nothing can be recognized; `narthex run` learns from restricted packages");
    }
    if let Some(state) = settings::state_if_any(common.state.as_deref()) {
        let catalog = Catalog::open_read_only(&state.catalog()).await?;
        if let Some(materials) = narthex_farm::lacks(&catalog, &corpus).await? {
            render::warning(&format!(
                "the corpus was lost and is not whole yet: it lacks {materials}, and nothing of it can be found"
            ));
        }
    }
    let mut kept = Vec::new();
    for (index, path) in targets.into_iter().enumerate() {
        let audited = tokio::task::block_in_place(|| scan(path, &corpus));
        match (args.format, &args.explain) {
            // What one document holds, or is asked of all of them, comes behind the last.
            (AuditFormat::Sarif, _) | (_, Some(_)) => kept.push(audited),
            (AuditFormat::Table, None) => render::audit_table(&audited, index > 0, args.all),
            (AuditFormat::Json, None) => render::audit_json(&audited),
        }
    }
    if let Some(file) = &args.explain {
        kept = match file {
            Some(file) => explained(kept, file)?,
            None => only(kept)?,
        };
        for audited in &mut kept {
            audited.hits = hits(audited, &corpus);
        }
        match args.format {
            AuditFormat::Table => render::audit_explained(&kept),
            AuditFormat::Json => kept.iter().for_each(render::audit_json),
            AuditFormat::Sarif => {}
        }
    }
    if args.format == AuditFormat::Sarif {
        render::audit_sarif(&kept);
    }
    // Whatever is there was audited all the same.
    if missing.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(not_there(&missing)) }
}

fn not_there(missing: &[String]) -> CommandError {
    let are = if missing.len() == 1 { "is" } else { "are" };
    CommandError::failed(format!("{} {are} not there", missing.join(", ")))
        .hint("correct the name; what is not built yet is built first, for instance with `nix-store --realise`")
}

/// What is explained where no file is named: the one file there is.
fn only(all: Vec<Audited>) -> Result<Vec<Audited>, CommandError> {
    match all.as_slice() {
        [one] if one.report.files.len() == 1 => Ok(all),
        _ => {
            let files: Vec<String> = all.iter().flat_map(Audited::files).collect();
            let some = nearest("", files.clone()).join(", ");
            Err(CommandError::usage(format!("--explain needs a name: there are {} files", files.len()))
                .hint(format!("give one with `--explain FILE`, for instance one of {some}")))
        }
    }
}

/// Audits again what is published, and takes back what may no longer be. Exit code 3 says that something was; 1, that
/// nothing was, and that something is left for another policy or for a corpus that is whole.
async fn recheck(common: &Common, args: &AuditArgs) -> Result<ExitCode, CommandError> {
    // Before anything is taken back.
    if args.format == AuditFormat::Sarif {
        return Err(CommandError::usage("--recheck gives decisions, which SARIF has no place for")
            .hint("give --format table or json"));
    }
    let rules = settings::rules(args.policy.as_deref())?;
    let state = settings::existing_state(common.state.as_deref())?;
    let progress = Progress::start();
    let policy = settings::remembered(args.policy.as_deref());
    let result = narthex_farm::recheck(&state, &rules, policy.as_deref(), &|event| progress.show(event)).await;
    progress.finish();
    let result = result?;
    match args.format {
        AuditFormat::Table => render::recheck_table(&result),
        AuditFormat::Json => render::recheck_json(&result),
        AuditFormat::Sarif => {}
    }
    render::recheck_warnings(&result);
    Ok(match (result.withdrawn.is_empty(), result.left.is_empty() && result.lacking.is_none()) {
        (false, _) => ExitCode::from(Kind::Refused.code()),
        (true, false) => ExitCode::from(Kind::Failed.code()),
        (true, true) => ExitCode::SUCCESS,
    })
}

/// Any file or folder may be audited, not only paths of the store.
async fn targets(common: &Common, args: &AuditArgs) -> Result<Vec<PathBuf>, CommandError> {
    let mut targets = Vec::new();
    // `audit --explain FILE` is the audit of that file.
    let explained = args.explain.iter().flatten().filter(|_| args.names.is_empty());
    for name in args.names.iter().chain(explained) {
        let path = PathBuf::from(name);
        if args.attrs.is_empty() && path.exists() && path.extension().is_none_or(|end| end != "drv") {
            targets.push(path);
        } else {
            let one = Named { names: vec![name.clone()], attrs: args.attrs.clone() };
            targets.extend(named::store_paths(common, &one).await?.iter().map(|path| path.to_string().into()));
        }
    }
    Ok(targets)
}

fn scan(path: PathBuf, corpus: &Corpus) -> Audited {
    let scanning = Scanning::start(&path);
    let report = narthex_farm::audit_path_with(path.clone(), corpus, &|done| scanning.show(done));
    scanning.finish();
    Audited { path, report, hits: Vec::new() }
}

/// The functions in the one file that is explained. What lies in an archive is not taken out for it.
fn hits(audited: &Audited, corpus: &Corpus) -> Vec<FunctionHit> {
    let [file] = audited.report.files.as_slice() else { return Vec::new() };
    let path = if file.is_empty() { audited.path.clone() } else { audited.path.join(file) };
    narthex_farm::function_hits(&path, corpus)
}

/// What was found in one file, in whichever of the paths it is; members of an archive are parts of it.
fn explained(all: Vec<Audited>, file: &str) -> Result<Vec<Audited>, CommandError> {
    let mut near: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for mut audited in all {
        let path = audited.path.to_string_lossy().into_owned();
        let below = file.strip_prefix(path.as_str()).and_then(|rest| rest.strip_prefix('/')).unwrap_or(file);
        let below = below.strip_prefix("./").unwrap_or(below);
        let is_meant =
            |place: &str| place.strip_prefix(below).is_some_and(|rest| rest.is_empty() || rest.starts_with('!'));
        let files = audited.files();
        let places = audited.report.findings.iter().map(|finding| audited.place(finding).to_string());
        let known: Vec<String> = files.into_iter().chain(places).collect();
        if known.iter().any(|place| is_meant(place)) {
            let own: Vec<_> =
                audited.report.findings.iter().filter(|f| is_meant(&audited.place(f).to_string())).cloned().collect();
            audited.report.findings = own;
            // Of an archive's members only names are known, and the name that was given is one of them.
            audited.report.files.retain(|file| file.is_empty() || is_meant(file));
            if audited.report.files.is_empty() {
                audited.report.files.push(below.to_owned());
            }
            found.push(audited);
        } else {
            near.extend(known);
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let error = CommandError::usage(format!("{file} is not among what was audited"));
    let near = nearest(file, near);
    Err(if near.is_empty() {
        error.hint("give a file by its path below PATH")
    } else {
        error.hint(format!(
            "near it are {}; members of archives can be named where something was found",
            near.join(", ")
        ))
    })
}

/// The names that differ least from what was asked for: by the last part of the path, then as a whole.
fn nearest(wanted: &str, mut names: Vec<String>) -> Vec<String> {
    const SHOWN: usize = 5;
    let last = |name: &str| name.rsplit(['/', '!']).next().unwrap_or(name).to_owned();
    names.sort();
    names.dedup();
    names.sort_by_cached_key(|name| (edits(&last(wanted), &last(name)), edits(wanted, name)));
    names.truncate(SHOWN);
    names
}

/// How many characters have to be put in, taken out or changed to make one text of the other.
fn edits(a: &str, b: &str) -> usize {
    // Longer names would take their time, and nobody mistypes a whole paragraph.
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(128).collect(), b.chars().take(128).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex_audit::{Finding, Gap, Place, Report};

    fn audited() -> Vec<Audited> {
        let gap = |file: &str, members: &[&str]| Finding::NotFullyAudited {
            place: Place { file: file.to_owned(), members: members.iter().map(|m| (*m).to_owned()).collect() },
            gap: Gap::TooDeep(8),
        };
        let report = Report {
            findings: vec![gap("bin/x", &[]), gap("a.whl", &["lib/y.so"]), gap("a.whl", &["lib/y.so.zip", "z"])],
            files: ["bin/x", "bin/clean", "a.whl"].map(str::to_owned).to_vec(),
            ..Report::default()
        };
        let single = Report { findings: vec![gap("", &[])], files: vec![String::new()], ..Report::default() };
        vec![
            Audited { path: "/p".into(), report, hits: Vec::new() },
            Audited { path: "dir/one.so".into(), report: single, hits: Vec::new() },
        ]
    }

    #[test]
    fn a_file_is_explained_with_what_is_inside_it() {
        let check = |file: &str, findings: &[usize]| {
            let found: Vec<usize> =
                explained(audited(), file).unwrap().iter().map(|one| one.report.findings.len()).collect();
            assert_eq!(found, findings, "{file}");
        };
        check("bin/x", &[1]);
        check("./bin/x", &[1]);
        check("/p/bin/x", &[1]);
        check("bin/clean", &[0]);
        check("a.whl", &[2]);
        check("a.whl!lib/y.so", &[1]);
        check("a.whl!lib/y.so.zip!z", &[1]);
        check("one.so", &[1]);
    }

    #[test]
    fn a_file_that_is_not_there_names_those_near_it() {
        let error = explained(audited(), "bin/clear").unwrap_err();
        assert_eq!(error.kind.code(), 2);
        assert!(error.message.contains("bin/clear"), "{error:?}");
        assert!(error.hint.unwrap().starts_with("near it are bin/clean, "));
        assert!(explained(audited(), "a.whl!lib/y.s").unwrap_err().hint.unwrap().contains("a.whl!lib/y.so"));
    }
}
