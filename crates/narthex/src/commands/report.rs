//! `narthex report`

use super::{Common, named};
use crate::cli::{Named, ReportArgs, ReportFormat};
use crate::error::CommandError;
use crate::render::{self, report as documents};
use crate::settings;
use narthex_cache::{Catalog, State, mode};
use narthex_farm::{ComplianceReport, Notices, compliance_report, notices};
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) async fn run(common: &Common, args: &ReportArgs) -> Result<ExitCode, CommandError> {
    let created = settings::time_of_creation()?;
    let terms = settings::terms(args.policy.as_deref())?;
    let state = settings::existing_state(common.state.as_deref())?;
    if let (None, Some(folder)) = (args.format, &args.output) {
        expect_new(folder)?;
    }
    let named = Named { names: args.names.clone(), attrs: args.attrs.clone() };
    let catalog = Catalog::open_read_only(&state.catalog()).await?;
    let roots = named::known_paths(common, Some(&catalog), &named).await?;
    let report = compliance_report(&state, &roots, &terms, created).await?;
    tokio::task::block_in_place(|| match (args.format, &args.output) {
        (Some(format), Some(file)) => whole(file, &*document(&state, &report, format)?),
        (Some(format), None) => {
            let write = document(&state, &report, format)?;
            render::stream(&*write);
            Ok(())
        }
        (None, Some(folder)) => everything(&state, &report, folder),
        (None, None) => Err(CommandError::usage("neither --format nor --output was given")),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What writes a document.
type Writer<'r> = dyn Fn(&mut dyn Write) -> io::Result<()> + 'r;

fn document<'r>(
    state: &State,
    report: &'r ComplianceReport,
    format: ReportFormat,
) -> Result<Box<Writer<'r>>, CommandError> {
    Ok(match format {
        ReportFormat::Html => Box::new(move |out| documents::page(report, out)),
        ReportFormat::Spdx => Box::new(move |out| documents::spdx(report, out)),
        ReportFormat::Cyclonedx => Box::new(move |out| documents::cyclonedx(report, out)),
        ReportFormat::Notice => {
            let notices = notices(state, report)?;
            Box::new(move |out| documents::notice(report, &notices, true, out))
        }
    })
}

/// All documents, and each license text as a file of its own.
fn everything(state: &State, report: &ComplianceReport, folder: &Path) -> Result<(), CommandError> {
    let notices: Notices = notices(state, report)?;
    let texts = folder.join("license-texts");
    // A report is for others to read.
    mode::make_folder(&texts, mode::OPEN_FOLDER).map_err(|error| cannot_write(&texts, &error))?;
    whole(&folder.join("report.html"), &|out| documents::page(report, out))?;
    whole(&folder.join("report.spdx.json"), &|out| documents::spdx(report, out))?;
    whole(&folder.join("report.cdx.json"), &|out| documents::cyclonedx(report, out))?;
    whole(&folder.join("NOTICE.txt"), &|out| documents::notice(report, &notices, false, out))?;
    for (place, text) in notices.texts.iter().enumerate() {
        whole(&texts.join(documents::text_file(text, place)), &|out| out.write_all(&text.bytes))?;
    }
    render::note(&format!(
        "{}: report.html, report.spdx.json, report.cdx.json, NOTICE.txt, license-texts",
        folder.display()
    ));
    Ok(())
}

/// What lies in a folder already may be of another report, and would be taken for a part of this one.
fn expect_new(folder: &Path) -> Result<(), CommandError> {
    let empty = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if empty {
        return Ok(());
    }
    Err(CommandError::usage(format!("{} is no new or empty folder", folder.display()))
        .hint("name a new folder, or one document with --format"))
}

/// Writes a file that is there whole or not at all. A link stays a link, and what is no regular file is written to.
fn whole(file: &Path, write: &Writer<'_>) -> Result<(), CommandError> {
    let target = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    if target.metadata().is_ok_and(|known| !known.is_file()) {
        let written = File::options().write(true).open(&target).and_then(|opened| {
            let mut out = BufWriter::with_capacity(1 << 20, opened);
            write(&mut out)?;
            out.flush()
        });
        return written.map_err(|error| cannot_write(file, &error));
    }
    let file = target.as_path();
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let permissions =
        file.metadata().map_or_else(|_| Permissions::from_mode(mode::OPEN_FILE), |known| known.permissions());
    let written = File::create(&partial).and_then(|opened| {
        opened.set_permissions(permissions)?;
        let mut out = BufWriter::with_capacity(1 << 20, opened);
        write(&mut out)?;
        out.flush()?;
        fs::rename(&partial, file)
    });
    written.map_err(|error| {
        let _ = fs::remove_file(&partial);
        cannot_write(file, &error)
    })
}

fn cannot_write(file: &Path, error: &io::Error) -> CommandError {
    CommandError::failed(format!("cannot write {}", file.display())).caused_by(error)
}
