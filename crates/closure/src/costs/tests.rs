//! Costs of small graphs, computed by hand.

use super::*;
use crate::testing::path;
use crate::{FlatBuilder, Order};

/// A derivation: name, what it is made of, and its size. A name that begins with `src` is fixed by its hash, one that
/// ends in `!` is withheld.
type Row<'a> = (&'a str, &'a [&'a str], u64);

struct Case {
    graph: FlatGraph,
    order: Order,
    scope: Vec<bool>,
}

fn plain(name: &str) -> &str {
    name.trim_end_matches('!')
}

impl Case {
    fn new(rows: &[Row<'_>]) -> Self {
        let drv = |name: &str| path(&format!("{}.drv", plain(name))).to_string();
        let mut builder = FlatBuilder::default();
        for (name, inputs, _) in rows {
            inputs.iter().for_each(|input| builder.input(&drv(input)).unwrap());
            builder.output("out", Some(&path(plain(name)).to_string())).unwrap();
            builder.describe(&drv(name)).unwrap();
        }
        let graph = builder.finish();
        let order = graph.order(&graph.users());
        Self { scope: vec![true; graph.len()], graph, order }
    }

    fn node(&self, name: &str) -> Node {
        self.graph.find(&path(&format!("{name}.drv")).to_string()).unwrap()
    }

    fn path(&self, name: &str) -> usize {
        self.graph.find_output(&path(name).to_string()).unwrap().index()
    }

    /// NARs have the given size, files a tenth of it, builds take as many milliseconds; references are not known.
    fn known(&self, rows: &[Row<'_>], wanted: &[&str]) -> Known<'_> {
        let mut known = Known {
            graph: &self.graph,
            inputs_first: &self.order.inputs_first,
            in_scope: &self.scope,
            fixed: vec![false; self.graph.len()],
            withheld: vec![false; self.graph.len()],
            wanted: wanted.iter().map(|name| self.node(name)).collect(),
            paths: vec![KnownPath::default(); self.graph.output_path_count()],
            times: vec![Figure::Unknown; self.graph.len()],
        };
        for (name, _, size) in rows {
            let node = self.node(plain(name));
            known.fixed[node.index()] = name.starts_with("src");
            known.withheld[node.index()] = name.ends_with('!');
            known.times[node.index()] = Figure::Exact(*size);
            let path = &mut known.paths[self.path(plain(name))];
            (path.nar_size, path.file_size) = (Figure::Exact(*size), Figure::Exact(size / 10));
        }
        known
    }
}

fn whole(sum: u64, of: usize) -> Tally {
    Tally { sum, estimated: 0, known: of, of }
}

/// The graph of the facts about holes: the program refers to the hole and not to the compiler.
const ROWS: [Row<'static>; 5] = [
    ("cc", &[], 10_000),
    ("unzip", &[], 300),
    ("src!", &[], 5000),
    ("hole!", &["unzip", "src!"], 2000),
    ("top", &["cc", "hole!"], 100),
];

#[test]
fn what_the_cache_needs() {
    let case = Case::new(&ROWS);
    let mut known = case.known(&ROWS, &["top"]);
    let costs = costs(&known).cache;
    assert_eq!((costs.paths, costs.files), (3, 3));
    assert_eq!((costs.nars, costs.compressed, costs.upload), (whole(10_400, 3), whole(1040, 3), whole(1040, 3)));

    // Two paths with one NAR have one file; what is there is not uploaded, and neither is what shares its file.
    for name in ["unzip", "top"] {
        let path = &mut known.paths[case.path(name)];
        (path.content, path.nar_size, path.file_size) = (Some(7), Figure::Exact(300), Figure::Exact(30));
    }
    known.paths[case.path("top")].uploaded = true;
    let costs = super::costs(&known).cache;
    assert_eq!((costs.paths, costs.files), (3, 2));
    assert_eq!(
        (costs.nars, costs.compressed),
        (Tally { sum: 10_300, ..whole(0, 3) }, Tally { sum: 1030, ..whole(0, 3) })
    );
    assert_eq!(costs.upload, whole(1000, 2));
}

#[test]
fn what_is_withheld_for_its_bytes_is_not_in_the_cache() {
    let case = Case::new(&ROWS);
    let mut known = case.known(&ROWS, &["top"]);
    known.paths[case.path("top")].withheld = true;
    let costs = costs(&known);
    assert_eq!((costs.cache.paths, costs.cache.nars), (2, whole(10_300, 2)));
    assert_eq!(costs.build_withheld.total, whole(2100, 2));
    // Whoever wants it builds it, and needs the compiler for that.
    assert_eq!(costs.user.with_holes.download, whole(1030, 2));
    assert_eq!(costs.user.with_holes.build.total, whole(2100, 2));
}

#[test]
fn what_is_not_known_is_counted_and_what_is_estimated_is_told() {
    let case = Case::new(&ROWS);
    let mut known = case.known(&ROWS, &["top"]);
    known.paths[case.path("cc")].nar_size = Figure::Unknown;
    known.paths[case.path("unzip")].nar_size = Figure::Estimated(250);
    known.times[case.node("cc").index()] = Figure::Unknown;
    let costs = costs(&known);
    assert_eq!(costs.cache.nars, Tally { sum: 350, estimated: 250, known: 2, of: 3 });
    assert!(!costs.cache.nars.is_whole());
    assert_eq!(costs.build.total, Tally { sum: 2400, estimated: 0, known: 3, of: 4 });
}

#[test]
fn the_longest_chain_of_a_diamond() {
    let rows: [Row<'_>; 5] = [
        ("base", &[], 10),
        ("left!", &["base"], 500),
        ("right", &["base"], 30),
        ("src", &[], 9999),
        ("tip", &["left!", "right", "src"], 4),
    ];
    let case = Case::new(&rows);
    let costs = costs(&case.known(&rows, &["tip"]));
    assert_eq!(costs.build, BuildTime { total: whole(544, 4), chain: 514 });
    assert_eq!(costs.build_published, BuildTime { total: whole(44, 3), chain: 44 });
    assert_eq!(costs.build_withheld, BuildTime { total: whole(500, 1), chain: 500 });
}

#[test]
fn cycles_and_what_nobody_described_end() {
    let rows: [Row<'_>; 4] =
        [("one!", &["other!"], 5), ("other!", &["one!"], 6), ("behind!", &["one!", "absent"], 7), ("fine", &[], 8)];
    let case = Case::new(&rows);
    let mut known = case.known(&rows, &["behind", "fine"]);
    known.withheld[case.node("absent").index()] = true;
    let costs = costs(&known);
    assert_eq!(costs.build, BuildTime { total: Tally { sum: 26, estimated: 0, known: 4, of: 5 }, chain: 8 });
    assert_eq!(costs.user.with_holes.build.total, whole(18, 3));
    assert_eq!(costs.user.with_holes.download, Tally { sum: 0, estimated: 0, known: 1, of: 2 });
    assert_eq!(costs.user.all_published.disk, Tally { sum: 26, estimated: 0, known: 4, of: 5 });
}

/// With references, a user fetches no compiler; without, the inputs stand in for them.
#[test]
fn what_a_user_pays_for_a_hole() {
    let case = Case::new(&ROWS);
    let mut known = case.known(&ROWS, &["top"]);
    let user = costs(&known).user;
    assert_eq!(user.with_holes.download, whole(10 + 1000 + 30, 3));
    for (name, references) in [("top", &["hole", "top"] as &[&str]), ("hole", &[]), ("unzip", &[])] {
        known.paths[case.path(name)].references =
            Some(references.iter().map(|to| case.path(to) as u32).chain([u32::MAX]).collect());
    }
    let user = costs(&known).user;
    let expected = Way {
        download: whole(10 + 30, 2),
        from_origin: whole(5000, 1),
        build: BuildTime { total: whole(2000, 1), chain: 2000 },
        disk: whole(100 + 300 + 5000 + 2000, 4),
    };
    assert_eq!(user.with_holes, expected);
    let expected = Way { download: whole(10 + 200, 2), disk: whole(2100, 2), ..Way::default() };
    assert_eq!(user.all_published, expected);
    assert_eq!(user.download, Change { more: whole(30, 1), less: whole(200, 1) });
    assert_eq!(user.disk, Change { more: whole(5300, 2), less: whole(0, 0) });

    // What is fetched either way does not matter for the difference.
    known.paths[case.path("top")].file_size = Figure::Unknown;
    let unsure = costs(&known).user;
    assert!(!unsure.with_holes.download.is_whole());
    assert_eq!(unsure.download, user.download);

    let audience = audience(1, 1, "0.5", "0.1");
    let update = user.per_update(&audience).with_holes;
    assert_eq!((update.download.sum, update.build.total.sum, update.disk.sum), (2, 100, 3700));
}

/// Files that evaluation put into the store are fetched where the cache has them, and there otherwise.
#[test]
fn paths_outside_the_graph() {
    let case = Case::new(&ROWS);
    let mut known = case.known(&ROWS, &["unzip"]);
    let size = |withheld| KnownPath {
        nar_size: Figure::Exact(7),
        file_size: Figure::Exact(1),
        withheld,
        ..KnownPath::default()
    };
    let first = known.paths.len() as u32;
    known.paths.extend([size(false), size(true)]);
    known.paths[case.path("unzip")].references = Some(vec![first, first + 1]);
    let costs = costs(&known);
    assert_eq!((costs.cache.paths, costs.cache.compressed.sum), (4, 1041));
    assert_eq!((costs.user.with_holes.download, costs.user.with_holes.disk), (whole(31, 2), whole(307, 2)));
    assert_eq!(costs.user.with_holes, costs.user.all_published);
}

fn audience(users: u32, update_every: u32, closure: &str, change: &str) -> Audience {
    let share = |text: &str| text.parse().unwrap();
    Audience { users, update_every, closure_share: share(closure), change_share: share(change) }
}

#[test]
fn egress_of_the_model() {
    let closure = Tally { sum: 1000, estimated: 100, known: 3, of: 4 };
    let check = |audience: Audience, month: u64, newcomer: u64| {
        let egress = audience.egress(closure);
        assert_eq!((egress.month.sum, egress.newcomer.sum), (month, newcomer), "{audience:?}");
        assert_eq!((egress.month.known, egress.month.of), (3, 4));
    };
    check(audience(100, 30, "1", "1"), 100_000, 1000);
    check(audience(100, 7, "1", "1"), 428_571, 1000);
    check(audience(100, 7, "0.5", "0.1"), 21_428, 500);
    check(audience(100, 0, "1", "1"), 3_000_000, 1000);
    check(audience(0, 1, "1", "1"), 0, 1000);
    assert_eq!(audience(100, 30, "1", "1").egress(closure).month.estimated, 10_000);
}

#[test]
fn hostile_sizes_do_not_overflow() {
    let case = Case::new(&ROWS);
    let mut known = case.known(&ROWS, &["top"]);
    for path in &mut known.paths {
        (path.nar_size, path.file_size) = (Figure::Estimated(u64::MAX), Figure::Estimated(u64::MAX));
    }
    known.times.fill(Figure::Exact(u64::MAX));
    let costs = costs(&known);
    assert_eq!((costs.cache.nars.sum, costs.build.total.sum, costs.build.chain), (u64::MAX, u64::MAX, u64::MAX));
    let egress = audience(u32::MAX, 1, "1", "1").egress(costs.user.with_holes.download);
    assert_eq!((egress.month.sum, egress.newcomer.estimated), (u64::MAX, u64::MAX));
}

#[test]
fn shares_are_read_and_shown() {
    for (text, shown) in
        [("0", "0"), ("1", "1"), ("0.25", "0.25"), ("1.000000", "1"), ("0.000001", "0.000001"), ("0.", "0")]
    {
        assert_eq!(text.parse::<Share>().unwrap().to_string(), shown);
    }
    for text in ["", ".5", "1.1", "2", "-1", "0.1234567", "1e3", "x", "0,5", "9999999"] {
        assert_eq!(text.parse::<Share>(), Err(ShareError), "{text}");
    }
}
