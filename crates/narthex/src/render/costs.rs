//! What a plan costs: a section for people, one JSON object for programs. A sum that lacks a part says so.

use super::text::{columns, count, size, terminal_width};
use super::{out, out_json};
use narthex_closure::{Audience, BuildTime, Change, Share, Tally, Way};
use narthex_farm::CostReport;
use serde_json::{Value, json};

pub(crate) fn costs_table(report: &CostReport, audience: &Audience) {
    out(&costs_text(report, audience, terminal_width()));
}

/// One object; `failed` says how many attributes did not evaluate and are no part of it.
pub(crate) fn costs_json(report: &CostReport, audience: &Audience, failed: usize) {
    out_json(&format!("{}\n", costs_value(report, audience, failed)));
}

fn costs_text(report: &CostReport, audience: &Audience, width: Option<usize>) -> String {
    let costs = &report.costs;
    let (cache, egress) = (&costs.cache, audience.egress(costs.user.with_holes.download));
    let user = costs.user.per_update(audience);
    let mut text = String::from("\nwhat it costs:\n");
    let line = |name: &str, shown: String, note: String| vec![format!("  {name}"), shown, note];
    let files = format!("{} in {}", count(cache.paths, "path"), count(cache.files, "file"));
    let builds = |time: &BuildTime| with_gaps(&time.total, count(time.total.of, "build"), "known of");
    let lines = [
        line("disk", figure(&cache.compressed, size), with_gaps(&cache.compressed, files, "size known of")),
        line(
            "disk, if not compressed",
            figure(&cache.nars, size),
            with_gaps(&cache.nars, String::new(), "size known of"),
        ),
        line(
            "to upload now",
            figure(&cache.upload, size),
            with_gaps(&cache.upload, count(cache.upload.of, "path"), "size known of"),
        ),
        line("to build everything", figure(&costs.build.total, time), builds(&costs.build)),
        line("  what is published", figure(&costs.build_published.total, time), builds(&costs.build_published)),
        line("  what is withheld", figure(&costs.build_withheld.total, time), builds(&costs.build_withheld)),
        line("  longest chain", chain(&costs.build), "with any number of builders".to_owned()),
        line(
            "egress in 30 days",
            figure(&egress.month, size),
            format!("to {}", count(audience.users as usize, "user")),
        ),
        line(
            "egress to a new user",
            figure(&egress.newcomer, size),
            with_gaps(&egress.newcomer, String::new(), "size known of"),
        ),
    ];
    push(&mut text, &columns(&lines, &[1], width));

    text.push_str("\nwhat withholding costs a user, each update:\n");
    let (holes, open) = (&user.with_holes, &user.all_published);
    let heading = ["", "AS PLANNED", "NOTHING WITHHELD", "DIFFERENCE"].map(str::to_owned).to_vec();
    let row = |name: &str, of: fn(&Way) -> &Tally, change: Change, unit: fn(u64) -> String| {
        vec![format!("  {name}"), figure(of(holes), unit), figure(of(open), unit), difference(&change, unit)]
    };
    // Without holes, nothing of the kind is there.
    let all = |tally: Tally| Change { more: tally, less: Tally::default() };
    let rows = [
        heading,
        row("download from the cache", |way| &way.download, user.download, size),
        row("download from vendors", |way| &way.from_origin, all(holes.from_origin), size),
        row("local builds", |way| &way.build.total, all(holes.build.total), time),
        row("room on disk", |way| &way.disk, user.disk, size),
    ];
    push(&mut text, &columns(&rows, &[1, 2, 3], None));
    text.push_str(&format!(
        "  {} to build locally (longest chain {}), {} to get from vendors\n",
        count(holes.build.total.of, "derivation"),
        chain(&holes.build),
        count(holes.from_origin.of, "source")
    ));

    text.push_str("\nby these assumptions:\n");
    for assumption in assumptions(report, audience) {
        text.push_str(&format!("  - {assumption}\n"));
    }
    text
}

fn push(text: &mut String, lines: &[String]) {
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
}

/// The model, and where its figures come from.
fn assumptions(report: &CostReport, audience: &Audience) -> Vec<String> {
    let origins = &report.origins;
    let mut said = vec![
        format!(
            "{} {} (--users, --update-every)",
            count(audience.users as usize, "user"),
            match audience.update_every {
                1 => "who update every day".to_owned(),
                days => format!("who update every {days} days"),
            }
        ),
        format!(
            "each of them uses {} of what was asked for (--closure-share), and {} of that changes between two updates \
             (--change-share)",
            share(audience.closure_share),
            share(audience.change_share)
        ),
    ];
    let sources = [
        (origins.recorded, "from the catalog"),
        (origins.local, "from the local store"),
        (origins.earlier, "estimated by earlier outputs of the same packages"),
        (origins.unknown, "unknown"),
    ];
    said.push(format!("sizes of paths: {}", listed(&sources)));
    let sources = [
        (origins.timed, "measured"),
        (origins.timed_by_package, "estimated by other builds of the same packages"),
        (origins.untimed, "unknown"),
    ];
    said.push(format!("times of builds: {}", listed(&sources)));
    if let Some((nars, files)) = origins.compression {
        let percent = files as f64 / nars as f64 * 100.0;
        said.push(format!(
            "where only the size of a NAR is known, it compresses to {percent:.1} %, as those in the catalog do"
        ));
    } else {
        said.push("how well NARs compress is not known, since nothing is published yet".to_owned());
    }
    let paths = |number: usize| count(number, "path");
    if origins.references_unknown > 0 {
        said.push(format!(
            "references not known, and what it is made of counted in their place, but for sources: {}",
            paths(origins.references_unknown)
        ));
    }
    if origins.withheld_before > 0 {
        said.push(format!(
            "withheld by earlier runs under this policy, though licenses permit it: {}",
            paths(origins.withheld_before)
        ));
    }
    if !origins.catalog {
        said.push("there is no catalog yet: `narthex run` makes it, and --state names its folder".to_owned());
    }
    said
}

fn share(share: Share) -> String {
    if share == Share::ALL { "all".to_owned() } else { share.to_string() }
}

fn listed(sources: &[(usize, &str)]) -> String {
    let there: Vec<String> =
        sources.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect();
    if there.is_empty() { "there are none".to_owned() } else { there.join(", ") }
}

/// A sum as far as it is known.
fn figure(tally: &Tally, unit: fn(u64) -> String) -> String {
    let about = if tally.estimated > 0 { "about " } else { "" };
    match (tally.known, tally.is_whole()) {
        (_, true) => format!("{about}{}", unit(tally.sum)),
        (0, false) => "unknown".to_owned(),
        _ => format!("at least {about}{}", unit(tally.sum)),
    }
}

/// A remark, with how much of the sum is known and how much of that is estimated, where either is not all.
fn with_gaps(tally: &Tally, remark: String, known: &str) -> String {
    let gaps = (!tally.is_whole()).then(|| format!("{known} {} of {}", tally.known, tally.of));
    let percent = tally.estimated as f64 / tally.sum.max(1) as f64 * 100.0;
    let share = if percent < 0.1 { "less than 0.1".to_owned() } else { format!("{percent:.1}") };
    let estimated = (tally.estimated > 0).then(|| format!("{share} % of it estimated"));
    let remark = Some(remark).filter(|remark| !remark.is_empty());
    [remark, gaps, estimated].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Where a part is not known, so is the difference.
fn difference(change: &Change, unit: fn(u64) -> String) -> String {
    let (more, less) = (&change.more, &change.less);
    if !more.is_whole() || !less.is_whole() {
        return "unknown".to_owned();
    }
    let about = if more.estimated > 0 || less.estimated > 0 { "about " } else { "" };
    let sign = match more.sum.cmp(&less.sum) {
        std::cmp::Ordering::Less => "−",
        std::cmp::Ordering::Equal => "",
        std::cmp::Ordering::Greater => "+",
    };
    format!("{about}{sign}{}", unit(more.sum.abs_diff(less.sum)))
}

fn chain(build: &BuildTime) -> String {
    match (build.total.known, build.total.is_whole()) {
        (_, true) => time(build.chain),
        (0, false) => "unknown".to_owned(),
        _ => format!("at least {}", time(build.chain)),
    }
}

/// Milliseconds for people.
fn time(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match milliseconds {
        0 => "0 s".to_owned(),
        1..60_000 => format!("{:.1} s", milliseconds as f64 / 1e3),
        60_000..3_600_000 => format!("{minutes} min {} s", seconds % 60),
        3_600_000..172_800_000 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

fn costs_value(report: &CostReport, audience: &Audience, failed: usize) -> Value {
    let costs = &report.costs;
    let (cache, origins) = (&costs.cache, &report.origins);
    let (user, egress) = (costs.user.per_update(audience), audience.egress(costs.user.with_holes.download));
    let way = |way: &Way| {
        json!({
            "download": bytes(&way.download),
            "fromOrigin": bytes(&way.from_origin),
            "build": build(&way.build),
            "disk": bytes(&way.disk),
        })
    };
    json!({
        "cache": {
            "paths": cache.paths,
            "files": cache.files,
            "nars": bytes(&cache.nars),
            "compressed": bytes(&cache.compressed),
            "upload": bytes(&cache.upload),
        },
        "build": {
            "all": build(&costs.build),
            "published": build(&costs.build_published),
            "withheld": build(&costs.build_withheld),
        },
        "egress": {"month": bytes(&egress.month), "newUser": bytes(&egress.newcomer)},
        "update": {
            "asPlanned": way(&user.with_holes),
            "nothingWithheld": way(&user.all_published),
            "difference": {"download": change(&user.download), "disk": change(&user.disk)},
        },
        "assumptions": {
            "users": audience.users,
            "updateEveryDays": audience.update_every,
            "daysOfMonth": Audience::MONTH,
            "closureShare": decimal(audience.closure_share),
            "changeShare": decimal(audience.change_share),
            "compression": origins.compression.map(|(nars, files)| json!({"nars": nars, "files": files})),
            "referencesUnknown": origins.references_unknown,
        },
        "origins": {
            "catalog": origins.catalog,
            "sizes": {
                "catalog": origins.recorded,
                "store": origins.local,
                "earlier": origins.earlier,
                "unknown": origins.unknown,
            },
            "times": {
                "measured": origins.timed,
                "package": origins.timed_by_package,
                "unknown": origins.untimed,
            },
            "withheldBefore": origins.withheld_before,
        },
        "notEvaluated": failed,
    })
}

fn change(change: &Change) -> Value {
    json!({"more": bytes(&change.more), "less": bytes(&change.less)})
}

fn decimal(share: Share) -> Value {
    share.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

fn sum(tally: &Tally, unit: &str, number: impl Fn(u64) -> Value) -> Value {
    let is_known = tally.known > 0 || tally.is_whole();
    json!({
        unit: is_known.then(|| number(tally.sum)),
        "estimated": number(tally.estimated),
        "known": tally.known,
        "of": tally.of,
    })
}

fn bytes(tally: &Tally) -> Value {
    sum(tally, "bytes", Value::from)
}

fn build(time: &BuildTime) -> Value {
    let seconds = |milliseconds: u64| Value::from(milliseconds as f64 / 1e3);
    let mut value = sum(&time.total, "seconds", seconds);
    let is_known = time.total.known > 0 || time.total.is_whole();
    value["chain"] = if is_known { seconds(time.chain) } else { Value::Null };
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex_closure::{CacheCosts, Costs, UserCosts};
    use narthex_farm::Origins;

    fn tally(sum: u64, estimated: u64, known: usize, of: usize) -> Tally {
        Tally { sum, estimated, known, of }
    }

    fn audience() -> Audience {
        Audience { users: 250, update_every: 7, closure_share: Share::ALL, change_share: "0.3".parse().unwrap() }
    }

    fn report() -> CostReport {
        let build = |sum, of, chain| BuildTime { total: tally(sum, 0, of, of), chain };
        let open = Way {
            download: tally(2_500_000_000, 800_000_000, 80, 80),
            disk: tally(7_000_000_000, 0, 80, 80),
            ..Way::default()
        };
        let with_holes = Way {
            download: tally(1_200_000_000, 0, 70, 70),
            from_origin: tally(3_000_000_000, 0, 2, 2),
            build: build(754_000, 3, 700_000),
            disk: tally(9_900_000_000, 0, 85, 85),
        };
        CostReport {
            costs: Costs {
                cache: CacheCosts {
                    paths: 120,
                    files: 118,
                    nars: tally(9_100_000_000, 100_000_000, 118, 120),
                    compressed: tally(3_000_000_000, 50_000_000, 118, 120),
                    upload: tally(0, 0, 0, 2),
                },
                build: BuildTime { total: tally(400_000_000, 9000, 90, 100), chain: 9_000_000 },
                build_published: BuildTime { total: tally(399_246_000, 9000, 87, 97), chain: 8_000_000 },
                build_withheld: build(754_000, 3, 700_000),
                user: UserCosts {
                    with_holes,
                    all_published: open,
                    download: Change { more: tally(1000, 0, 1, 1), less: tally(1_300_001_000, 800_000_000, 11, 11) },
                    disk: Change { more: tally(2_900_000_000, 0, 5, 5), less: tally(0, 0, 0, 0) },
                },
            },
            origins: Origins {
                catalog: true,
                recorded: 110,
                local: 5,
                earlier: 3,
                unknown: 2,
                references_unknown: 2,
                withheld_before: 1,
                compression: Some((9_000_000_000, 2_950_000_000)),
                timed: 80,
                timed_by_package: 10,
                untimed: 10,
            },
        }
    }

    #[test]
    fn costs_as_a_person_sees_them() {
        insta::assert_snapshot!(costs_text(&report(), &audience(), None));
    }

    #[test]
    fn the_keys_of_the_json() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&costs_value(&report(), &audience(), 3)).unwrap());
    }

    /// A thing of which nothing is known has no number anywhere.
    #[test]
    fn what_is_unknown_is_said_to_be() {
        let nothing = tally(0, 0, 0, 4);
        let build = BuildTime { total: nothing, chain: 0 };
        let way = Way { download: nothing, disk: nothing, build, ..Way::default() };
        let costs = Costs {
            cache: CacheCosts { paths: 4, files: 4, nars: nothing, compressed: nothing, upload: nothing },
            build,
            build_published: build,
            build_withheld: build,
            user: UserCosts {
                with_holes: way,
                all_published: way,
                download: Change::default(),
                disk: Change { more: nothing, ..Change::default() },
            },
        };
        let report = CostReport { costs, origins: Origins { unknown: 4, untimed: 4, ..Origins::default() } };
        insta::assert_snapshot!(costs_text(&report, &audience(), None));
        let value = costs_value(&report, &audience(), 0);
        assert_eq!(
            (&value["cache"]["compressed"]["bytes"], &value["build"]["all"]["chain"]),
            (&Value::Null, &Value::Null)
        );
    }

    #[test]
    fn times_for_people() {
        assert_eq!(
            [time(400), time(59_999), time(61_000), time(7_260_000), time(180_000_000), time(u64::MAX)],
            ["0.4 s", "60.0 s", "1 min 1 s", "2 h 1 min", "2 d 2 h", "213503982334 d 14 h"]
        );
    }
}
