//! `narthex corpus`

use super::Common;
use crate::cli::{CorpusAddArgs, CorpusCommand, Format};
use crate::error::CommandError;
use crate::{render, settings};
use narthex_audit::Material;
use narthex_farm::{Addition, Export, Shipped};
use std::process::ExitCode;

pub(crate) async fn run(common: &Common, command: &CorpusCommand) -> Result<ExitCode, CommandError> {
    match command {
        CorpusCommand::Add(args) => add(common, args).await?,
        CorpusCommand::List { format, shipped } => {
            let state = settings::corpus_state(common.state.as_deref());
            let own = narthex_farm::load_corpus(state.as_ref(), Shipped::Without)?;
            let all = narthex_farm::load_corpus(state.as_ref(), shipped.choice())?;
            match format {
                Format::Table => render::corpus_table(&all, &own),
                Format::Json => render::corpus_json(&all, &own),
            }
        }
        CorpusCommand::Remove { names } => {
            let state = settings::state(common.state.as_deref())?;
            let gone = narthex_farm::remove_from_corpus(&state, names).await?;
            let is_gone = |name: &&String| {
                !gone.iter().any(|package| package == *name || Material::of_package(package, Vec::new()).name == **name)
            };
            if let Some(name) = names.iter().find(is_gone) {
                return Err(CommandError::usage(format!("nothing was learned here from `{name}`")).hint(
                    "`narthex corpus list --without-shipped` shows what was; what ships with the program stays",
                ));
            }
            render::note(&format!("forgotten: {}", gone.join(", ")));
        }
        CorpusCommand::Export { file, materials, free } => {
            let state = settings::state(common.state.as_deref())?;
            let what = match (free, materials.is_empty()) {
                (true, _) => Export::Free,
                (false, true) => Export::All,
                (false, false) => Export::Materials(materials.clone()),
            };
            let size = narthex_farm::export_corpus(&state, &what, file)?;
            render::note(&format!(
                "{}: {}",
                file.display(),
                if size == 1 { "1 byte".to_owned() } else { format!("{size} bytes") }
            ));
        }
        CorpusCommand::PackRecords { lines, file } => {
            let size = narthex_farm::pack_into(lines, file)?;
            render::note(&format!("{}: {}", file.display(), render::count(size as usize, "byte")));
        }
        CorpusCommand::Import { file } => {
            let state = settings::state(common.state.as_deref())?;
            let new = narthex_farm::import_corpus(&state, file)?;
            narthex_farm::note_added(&state, None).await?;
            let said = if new.is_empty() { "nothing new".to_owned() } else { packages(&new) };
            render::note(&format!("imported: {said}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(common: &Common, args: &CorpusAddArgs) -> Result<(), CommandError> {
    let state = settings::state(common.state.as_deref())?;
    for license in &args.licenses {
        if !narthex_license::is_attribute(license) {
            return Err(CommandError::usage(format!("`{license}` names no license")).hint(
                "give the attribute that it has in nixpkgs' lib.licenses, for instance nvidiaCuda, issl or unfree",
            ));
        }
    }
    for path in &args.paths {
        let (name, version) = (args.name.clone(), args.version.clone());
        let material = Material { name, version, licenses: args.licenses.clone() };
        let package = material.package();
        let shown = path.display();
        let (free_members, open_interface) = (args.free_members.clone(), args.open_interface);
        let addition = Addition { material, free: args.free, free_members, open_interface };
        match narthex_farm::add_to_corpus(&state, path, &addition, args.shipped.choice())? {
            None => render::note(&format!("{shown} was learned before")),
            Some(learned) => {
                narthex_farm::note_added(&state, Some(&package)).await?;
                for (place, gap) in &learned.gaps {
                    render::warning(&format!("not learned: {place} of {shown}: {gap}"));
                }
                let what = if args.free {
                    format!("{} of free software", render::count(learned.functions, "print"))
                } else {
                    let (files, functions, device) = (learned.files, learned.functions, learned.device);
                    format!(
                        "{}, {} and {} of device code",
                        render::count(files, "file"),
                        render::count(functions, "function"),
                        render::count(device, "print")
                    )
                };
                render::note(&format!("learned from {shown} for {package}: {what}"));
            }
        }
    }
    Ok(())
}

fn packages(materials: &[Material]) -> String {
    materials.iter().map(Material::package).collect::<Vec<_>>().join(", ")
}
