//! Pages for people. The first one: what is published, what is withheld and why, and how to use the cache.
//!
//! All text is escaped, and shorn of what a terminal or a browser would obey: names and messages come from package sets
//! and from the bytes of files.

mod path;

pub(crate) use path::{absent_path, path_page};

use maud::{DOCTYPE, Markup, PreEscaped, html};
use narthex_cache::Record;
use narthex_closure::hash_part;
use narthex_policy::Verdict;

const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1c1c1c; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
pre { background: #f3f3f1; padding: .8rem 1rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
col.name { width: 30%; } col.license { width: 18%; } col.size { width: 6.5rem; } th { text-align: left; font-weight: 600; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #ddd; vertical-align: top; overflow-wrap: anywhere; }
td.size { text-align: right; white-space: nowrap; } .quiet { color: #5c5c5c; }
dt { font-weight: 600; float: left; width: 9rem; } dd { margin-left: 9rem; } dd, li { overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { body { color: #e6e6e6; background: #181818; } pre { background: #242424; }
th, td { border-color: #3a3a3a; } .quiet { color: #a5a5a5; } a { color: #8ab4f8; } }
";

/// The first page.
#[derive(Debug)]
pub struct Page<'a> {
    /// Every decided path, by name.
    pub records: &'a [Record],
    /// Public keys, as `trusted-public-keys` takes them.
    pub public_keys: &'a [String],
    /// The address that clients use.
    pub url: &'a str,
}

impl Page<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        let of = |verdict| self.records.iter().filter(move |record| record.verdict == verdict);
        let (published, withheld) = (of(Verdict::Publish).count(), of(Verdict::Withhold).count());
        let title = format!("Nix binary cache: {published} published, {withheld} withheld");
        let body = html! {
            h1 { "Nix binary cache" }
            p {
                (published) " paths are published. " (withheld) " are withheld: they may not be passed on, "
                "or nobody knows whether they may. Clients build those themselves."
            }
            h2 { "How to use it" }
            pre { "extra-substituters = " (self.url) "\nextra-trusted-public-keys = " (self.public_keys.join(" ")) "\n" }
            p class="quiet" {
                "in nix.conf; then " code { "narthex realise EXPR -A attr --cache " (self.url) }
                " builds what is withheld and fetches the rest."
            }
            h2 { "Withheld" }
            (table(of(Verdict::Withhold)))
            h2 { "Published" }
            (table(of(Verdict::Publish)))
            p class="quiet" { "Not legal advice. Each entry names the declaration, the clause or the file that it rests on." }
        };
        document(&title, &body)
    }
}

/// A whole page with its head.
fn document(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    narthex_text::lines(&page.into_string())
}

fn table<'r>(records: impl Iterator<Item = &'r Record>) -> Markup {
    html! {
        table {
            colgroup { col class="name"; col class="license"; col class="size"; col; }
            thead { tr { th { "Name" } th { "License" } th { "Size" } th { "Why" } } }
            tbody {
                @for record in records {
                    tr {
                        td { a href={ "./path/" (hash_part(&record.path)) } title=(record.path) { (record.path.name()) } }
                        td { (record.license.as_deref().unwrap_or("–")) }
                        td class="size" { (size(record.nar_size)) }
                        td {
                            @if let Some(reason) = record.reasons.first() {
                                (reason.message) " " span class="quiet" { "(" (reason.code) ")" }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
