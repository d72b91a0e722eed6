//! What another policy would change, by licenses alone.
//!
//! Two plans over one graph, each under its own rules and with its own corrections. Only what differs is in the result.
//! Pure.

use crate::plan::Plan;
use narthex_closure::Node;
use narthex_policy::{Code, Reason, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of a derivation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It was published, and would be withheld.
    Withheld,
    /// It was withheld, and would be published.
    Published,
    /// The verdict stays, and another reason decides.
    OtherReason,
}

/// The differences between two plans.
#[derive(Debug)]
pub struct PlanDiff<'p, 'a> {
    before: &'p Plan<'a>,
    after: &'p Plan<'a>,
    changed: Vec<(Node, Change)>,
}

impl<'p, 'a> PlanDiff<'p, 'a> {
    /// Compares two plans for the same derivations.
    pub fn new(before: &'p Plan<'a>, after: &'p Plan<'a>) -> Self {
        let change = |node: Node| {
            let (was, is) = (before.outcome_of(node)?, after.outcome_of(node)?);
            match (was.verdict, is.verdict) {
                (Verdict::Publish, Verdict::Withhold) => Some((node, Change::Withheld)),
                (Verdict::Withhold, Verdict::Publish) => Some((node, Change::Published)),
                _ if was.code != is.code => Some((node, Change::OtherReason)),
                _ => (!is_same_reason(before, after, node, is.code)).then_some((node, Change::OtherReason)),
            }
        };
        let changed = after.derivations().into_iter().filter_map(change).collect();
        Self { before, after, changed }
    }

    /// The plan that is compared with.
    pub fn before(&self) -> &'p Plan<'a> {
        self.before
    }

    /// The plan under the other policy.
    pub fn after(&self) -> &'p Plan<'a> {
        self.after
    }

    /// The derivations that change, in the order of their paths.
    pub fn changed(&self) -> &[(Node, Change)] {
        &self.changed
    }

    /// By change and deciding reasons before and after: how many derivations, and how many attributes.
    pub fn counts(&self) -> BTreeMap<(Change, Code, Code), (usize, usize)> {
        let mut counts = BTreeMap::new();
        for (node, change) in &self.changed {
            let (derivations, attrs) = counts.entry(self.group(*node, *change)).or_insert((0, 0));
            *derivations += 1;
            *attrs += self.after.attrs(*node).len();
        }
        counts
    }

    /// What a changed derivation is counted under.
    pub fn group(&self, node: Node, change: Change) -> (Change, Code, Code) {
        // What changes has an outcome in both plans.
        let code = |plan: &Plan<'_>| plan.outcome_of(node).map_or(Code::LicenseUnknown, |outcome| outcome.code);
        (change, code(self.before), code(self.after))
    }

    /// Holes that would be there, and holes that would be gone: each with the number of published derivations that may
    /// refer to it.
    pub fn holes(&self) -> [Vec<(Node, usize)>; 2] {
        let (before, after) = (self.before.all_holes(), self.after.all_holes());
        let only = |these: &[(Node, usize)], others: &[(Node, usize)]| {
            let others: BTreeSet<Node> = others.iter().map(|(node, _)| *node).collect();
            these.iter().filter(|(node, _)| !others.contains(node)).copied().collect()
        };
        [only(&after, &before), only(&before, &after)]
    }
}

/// Whether the reason that decides says the same on both sides, where its code is the same. That of a source names the
/// packages made from it; they are shown by themselves.
fn is_same_reason(before: &Plan<'_>, after: &Plan<'_>, node: Node, code: Code) -> bool {
    let license = |plan: &Plan<'_>| plan.facts(node).map(|facts| facts.license.clone());
    let is_read_alike = || before.rules().policy().lists() == after.rules().policy().lists();
    match code {
        Code::SourceOfWithheld | Code::SourceOfPublished | Code::GraphIncomplete | Code::MadeFromFreeInputs => true,
        Code::LicenseFree
        | Code::LicenseRedistributable
        | Code::LicenseRestricted
        | Code::LicenseUnknown
        | Code::LicenseOfOriginal
            if is_read_alike() && license(before) == license(after) =>
        {
            true
        }
        _ => {
            let deciding = |plan: &Plan<'_>| -> Option<Reason> { plan.reasons(node).into_iter().next() };
            deciding(before).map(|reason| reason.message) == deciding(after).map(|reason| reason.message)
        }
    }
}
