//! Everything that the state can say of one path: what was decided about it, or would be; what it hangs on; and what
//! would have to change. It reads and decides nothing anew about what was decided.

use crate::known::{Recognized, recognize};
use narthex_cache::{Catalog, CatalogError, KnownDerivation, Record};
use narthex_closure::StorePath;
use narthex_policy::{Code, Obstacle, Reason, Rules, Verdict, forecast, obstacles};

/// What is known of a path.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What was decided, or what would be.
    pub about: About,
    /// The derivations that make the path, as package sets described them.
    pub derivations: Vec<KnownDerivation>,
    /// Withheld paths that it refers to, where it is published: its holes.
    pub holes: Vec<Record>,
    /// Of a source: the packages made from it that are withheld.
    pub packages: Vec<Record>,
    /// What keeps the rules for what declares nothing from settling it, for people.
    pub because: Option<String>,
    /// What keeps it from being published.
    pub obstacles: Vec<Obstacle>,
}

impl Explanation {
    /// What a decision says by itself.
    pub fn of(record: Record) -> Self {
        let obstacles = obstacles(&record.reasons);
        let about = About::Decided(Box::new(record));
        Self { about, derivations: Vec::new(), holes: Vec::new(), packages: Vec::new(), because: None, obstacles }
    }
}

/// What an explanation is about.
#[derive(Clone, Debug)]
pub enum About {
    /// A path that was decided about.
    Decided(Box<Record>),
    /// One that nobody built here yet: what is declared would come to this. The audit can only add reasons to
    /// withhold it.
    Forecast {
        /// The path.
        path: StorePath,
        /// The declared license as an SPDX expression.
        license: Option<String>,
        /// Publish or withhold.
        verdict: Verdict,
        /// Why.
        reasons: Vec<Reason>,
        /// The policy that this is by.
        policy: String,
    },
}

impl About {
    /// The path.
    pub fn path(&self) -> &StorePath {
        match self {
            Self::Decided(record) => &record.path,
            Self::Forecast { path, .. } => path,
        }
    }

    /// Publish or withhold.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Decided(record) => record.verdict,
            Self::Forecast { verdict, .. } => *verdict,
        }
    }

    /// Why; the first reason decides.
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Decided(record) => &record.reasons,
            Self::Forecast { reasons, .. } => reasons,
        }
    }
}

/// What the catalog knows of a path; `None` where it never heard of it. The rules are asked where nothing was decided.
///
/// # Errors
/// When the catalog fails.
pub async fn explain(catalog: &Catalog, path: &StorePath, rules: &Rules) -> Result<Option<Explanation>, CatalogError> {
    let recognized = recognize(catalog, path, rules).await?;
    let about = match (catalog.get(path).await?, &recognized) {
        (Some(record), _) => About::Decided(Box::new(record)),
        (None, Some(known)) => foretold(path, known, rules),
        (None, None) => return Ok(None),
    };
    let mut holes = Vec::new();
    if let About::Decided(record) = &about
        && record.verdict == Verdict::Publish
    {
        for reference in record.references.iter().filter(|reference| **reference != record.path) {
            holes.extend(catalog.get(reference).await?.filter(|record| record.verdict == Verdict::Withhold));
        }
    }
    let mut packages = Vec::new();
    for user in recognized.iter().flat_map(Recognized::withheld_users) {
        let outputs = catalog.outputs_of(user).await?;
        packages.extend(outputs.into_iter().filter(|record| record.verdict == Verdict::Withhold));
    }
    let obstacles = obstacles(about.reasons());
    let (derivations, because) = recognized.map(|known| (known.derivations, known.because)).unwrap_or_default();
    let because = because.filter(|_| about.reasons().iter().any(|reason| reason.code == Code::LicenseUnknown));
    Ok(Some(Explanation { about, derivations, holes, packages, because, obstacles }))
}

fn foretold(path: &StorePath, known: &Recognized, rules: &Rules) -> About {
    let (verdict, reasons) = forecast(&known.case(), &known.provenance(), rules);
    let policy = rules.policy().name().to_owned();
    About::Forecast { path: path.clone(), license: known.license(), verdict, reasons, policy }
}
