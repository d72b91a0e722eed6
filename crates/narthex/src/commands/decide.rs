//! `narthex policy decide`: an answer into a policy's file, which is whole at every moment.

use super::{Common, from};
use crate::cli::{AnswerArg, DecideArgs};
use crate::error::CommandError;
use crate::render;
use crate::settings;
use narthex_cache::Catalog;
use narthex_closure::StorePath;
use narthex_farm::{Inventory, Plan, PlanDiff, Recognized, recognize};
use narthex_license::Class;
use narthex_policy::{
    EditError, Entry, NewAnswer, Policy, PolicyText, Provenance, Rules, answer, names_license, names_package, shipped,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

pub(crate) async fn run(common: &Common, args: &DecideArgs) -> Result<ExitCode, CommandError> {
    let file = &args.policy;
    if shipped::POLICIES.iter().any(|(name, _)| file.as_os_str() == *name) {
        let name = file.display();
        let error = CommandError::usage(format!("the shipped policy {name} cannot be changed"));
        return Err(error.hint(format!("`narthex policy show {name} > mine.toml` makes a policy of your own from it")));
    }
    let entry = entry(args)?;
    let name = file.display().to_string();
    let policy = settings::policy_file(file)?;
    let new = NewAnswer {
        packages: &args.packages,
        licenses: &args.licenses,
        entry,
        reason: &args.reason,
        responsible: &args.responsible,
        until: args.until,
    };
    let edited = answer(&policy, &mut settings::extended, &new, settings::today());
    let edited = edited.map_err(|error| refused(&name, error))?;
    let about_nothing = if args.from.is_empty() { Vec::new() } else { preview(args, &policy, &edited.text)? };
    if args.dry_run {
        render::out(&edited.entry);
        render::warnings(about_nothing);
        render::note(&format!("nothing was written into {name}"));
        return Ok(ExitCode::SUCCESS);
    }
    replace(file, &policy.text, &edited.text).map_err(|error| {
        CommandError::failed(format!("{name} cannot be written; it is as it was")).caused_by(&error)
    })?;
    render::out(&edited.entry);
    let beside = |entry| format!("{entry} speaks of some of these as well; where one withholds, that one holds");
    render::warnings(about_nothing);
    render::warnings(edited.beside.iter().map(beside).collect());
    render::warnings(never_listed(common, args, &edited.text, &policy.called).await?);
    Ok(ExitCode::SUCCESS)
}

fn entry(args: &DecideArgs) -> Result<Entry<'_>, CommandError> {
    if let Some(means) = &args.means {
        if args.license_unknown || args.agreement.is_some() || args.replacement.is_some() {
            return Err(CommandError::usage("--means goes with --license alone"));
        }
        return Ok(Entry::Means(means));
    }
    Ok(match (args.answer, &args.agreement, &args.replacement) {
        (Some(AnswerArg::Confirmed), None, None) if args.license_unknown => Entry::Unknown,
        _ if args.license_unknown => {
            return Err(CommandError::usage(
                "--license-unknown goes with --answer confirmed only, and with no agreement",
            ));
        }
        (Some(AnswerArg::Confirmed), None, None) => Entry::Confirmed,
        (Some(AnswerArg::Confirmed), Some(agreement), None) => Entry::Grant(agreement),
        (Some(AnswerArg::Replaced), None, Some(by)) => Entry::Replaced(by),
        (Some(AnswerArg::FromVendor), None, None) => Entry::FromVendor,
        (_, Some(_), _) => return Err(CommandError::usage("--agreement goes with --answer confirmed only")),
        _ => return Err(CommandError::usage("--replacement goes with --answer replaced only")),
    })
}

/// Shows what the entry changes in a set, by licenses alone.
fn preview(args: &DecideArgs, policy: &PolicyText, edited: &str) -> Result<Vec<String>, CommandError> {
    let (inventory, _) = from::read(&args.from)?;
    let said = about_nothing(args, &inventory);
    let before = settings::rules_of(&args.policy, policy)?;
    let after = settings::rules_of(&args.policy, &PolicyText { text: edited.to_owned(), ..policy.clone() })?;
    let (was, is) = (inventory.clone().put_right(&before), inventory.put_right(&after));
    let (was, is) = (Plan::new(&was, &before, None), Plan::new(&is, &after, None));
    render::preview_table(&PlanDiff::new(&was, &is));
    Ok(said)
}

/// Patterns that are about nothing in a set, and what may be meant: an entry with such a pattern changes nothing, and nobody
/// would see that.
fn about_nothing(args: &DecideArgs, inventory: &Inventory) -> Vec<String> {
    let graph = inventory.graph();
    let names: BTreeSet<&str> = graph.nodes().map(|node| graph.name(node)).collect();
    let mut said = Vec::new();
    let meant = |all: Vec<String>| match all.len() {
        0 => String::new(),
        _ => format!("; is it {}?", all.into_iter().take(MEANT).collect::<Vec<_>>().join(" or ")),
    };
    for package in args.packages.iter().filter(|package| !names.iter().any(|name| names_package(package, name))) {
        let alike = names.iter().filter(|name| name.contains(package.as_str())).map(|name| (*name).to_owned());
        said.push(format!("nothing in the set is called {package}{}", meant(alike.collect())));
    }
    if args.means.is_some() {
        let texts = inventory.unknown_licenses();
        for text in args.licenses.iter().filter(|text| !texts.contains(*text)) {
            let alike = texts.iter().filter(|known| known.eq_ignore_ascii_case(text)).cloned();
            said.push(format!("nothing in the set has the license text {text}{}", meant(alike.collect())));
        }
        return said;
    }
    let licenses = inventory.licenses();
    for license in args.licenses.iter().filter(|pattern| !licenses.keys().any(|key| names_license(pattern, key))) {
        let is_alike =
            |(key, shown): &(&String, &String)| *shown == license || key.eq_ignore_ascii_case(license.as_str());
        let alike = licenses.iter().filter(is_alike).map(|(key, _)| key.clone());
        said.push(format!("no license in the set is called {license} in policies{}", meant(alike.collect())));
    }
    said
}

/// So many names are proposed.
const MEANT: usize = 3;

/// Packages that `policy review` never lists, as far as the state knows: the entry says nothing then.
async fn never_listed(
    common: &Common,
    args: &DecideArgs,
    text: &str,
    called: &str,
) -> Result<Vec<String>, CommandError> {
    let Some(state) = settings::state_if_any(common.state.as_deref()) else { return Ok(Vec::new()) };
    let catalog = Catalog::open_read_only(&state.catalog()).await?;
    let seen = catalog.first_seen().await?;
    let names: BTreeMap<&str, &StorePath> =
        seen.keys().map(|path| (path.name().trim_end_matches(".drv"), path)).collect();
    // A state that knows nothing cannot tell.
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let policy = Policy::read(text, called, &mut settings::extended)
        .map_err(|mistakes| settings::mistaken(called, &mistakes))?;
    let rules = Rules::new(policy, Vec::new(), settings::today());
    let mut said = Vec::new();
    for package in &args.packages {
        let mut known = names.iter().filter(|(name, _)| names_package(package, name)).peekable();
        if known.peek().is_none() {
            said.push(format!(
                "no package that this state has seen is called {package}; is it spelled as `policy review` shows it?"
            ));
            continue;
        }
        let mut all_free = true;
        for (_, path) in known {
            let recognized = recognize(&catalog, path, &rules).await?;
            let is_free = |one: Recognized| match one.provenance() {
                Provenance::Output(facts) => matches!(rules.class(facts), Class::Free | Class::MadeFromFree),
                Provenance::MadeFromFree => true,
                _ => false,
            };
            all_free &= recognized.is_some_and(is_free);
            if !all_free {
                break;
            }
        }
        if all_free {
            said.push(format!(
                "{package} is plainly free, so `policy review` never lists it, and the entry changes nothing"
            ));
        }
    }
    Ok(said)
}

fn refused(name: &str, error: EditError) -> CommandError {
    let usage = |hint: &str| CommandError::usage(format!("{name}: {error}")).hint(hint);
    match &error {
        EditError::Before(mistakes) => settings::mistaken(name, mistakes),
        EditError::After(mistakes) => {
            let mut error = settings::mistaken(&format!("{name}, with this entry,"), mistakes);
            error.hint = Some("nothing was written".to_owned());
            error
        }
        EditError::Decided { .. } => usage("change that entry where it stands, or wait until it ends"),
        EditError::StillWithheld { .. } => {
            usage("change that entry where it stands: after its end it withholds all the same")
        }
        EditError::Over(_) => usage("give --until today or a later day, in UTC"),
        EditError::OneLine(list) => usage(&format!("write its entries as [[{list}]]")),
    }
}

/// Puts a new text in the place of the old one, in one step.
fn replace(file: &Path, old: &str, new: &str) -> io::Result<()> {
    // A link stays a link.
    let file = file.canonicalize()?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let staged = folder.join(format!(".{name}.{}", std::process::id()));
    let write = || {
        let mut to = File::options().write(true).create_new(true).open(&staged)?;
        to.write_all(new.as_bytes())?;
        to.set_permissions(fs::metadata(&file)?.permissions())?;
        to.sync_all()?;
        if fs::read_to_string(&file)? != old {
            return Err(io::Error::other("somebody else changed it meanwhile"));
        }
        fs::rename(&staged, &file)?;
        File::open(folder)?.sync_all()
    };
    let result = write();
    if result.is_err() {
        let _ = fs::remove_file(&staged);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_file_is_replaced_as_a_whole_or_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("mine.toml"), dir.path().join("link.toml"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("mine.toml", &link).unwrap();
        replace(&link, "old", "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        // Somebody else was faster.
        let error = replace(&file, "old", "newer").unwrap_err();
        assert_eq!(error.to_string(), "somebody else changed it meanwhile");
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
