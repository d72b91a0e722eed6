//! What takes the force from reasons that forbid: exceptions and grants, for as long as they last.

use crate::decide::effect;
use crate::decision::{Effect, Reason};
use crate::entries::{Exception, Grant, Rule};
use crate::policy::Rules;
use crate::{Code, Date, Evidence, Mistake};
use std::collections::BTreeMap;

/// The reason that a rule gives.
pub(crate) fn ruled(rule: &Rule, evidence: Vec<Evidence>) -> Reason {
    let message = format!("a rule about {}: {}", rule.about.shown(), rule.reason);
    Reason::new(Code::PolicyRule, effect(rule.then), message, evidence)
}

/// That an entry no longer holds.
pub(crate) fn ended(what: &str, until: Date, responsible: &str) -> String {
    format!("{what} ended on {until}; ask {responsible}")
}

impl Rules {
    /// The entries that no longer hold, each where it says until when it did.
    pub fn ended(&self) -> Vec<Mistake> {
        let policy = self.policy();
        let grants = policy.grants.iter().map(|grant| (grant.shown(), &grant.warrant));
        let exceptions = policy.exceptions.iter().map(|exception| (exception.shown(), &exception.warrant));
        let reviews = policy.reviews.iter().map(|review| (review.shown(), &review.warrant));
        let all = exceptions.chain(grants).chain(reviews).filter(|(_, warrant)| !warrant.holds_on(self.today()));
        all.map(|(what, warrant)| warrant.place.mistake(ended(&what, warrant.until, &warrant.responsible))).collect()
    }
}

/// What was lifted, and what would have been if it had not ended.
pub(crate) struct Lifted {
    /// By code and message, so that what lifts many findings is said once: what was lifted.
    used: BTreeMap<(Code, String), Vec<Evidence>>,
    today: Date,
}

impl Lifted {
    pub(crate) fn on(today: Date) -> Self {
        Self { used: BTreeMap::new(), today }
    }

    /// Whether one of the exceptions that are about the case lifts a reason with this code.
    pub(crate) fn by_exception<'r>(&mut self, code: Code, about: impl Iterator<Item = &'r Exception>) -> bool {
        let mut lifted = false;
        for exception in about.filter(|exception| exception.codes.contains(&code)) {
            let warrant = &exception.warrant;
            let (about, until) = (exception.about.shown(), warrant.until);
            if warrant.holds_on(self.today) {
                let message = format!(
                    "an exception from `{code}` about {about}, until {until}: {} ({})",
                    warrant.reason, warrant.responsible
                );
                self.used.entry((Code::PolicyException, message)).or_default();
                lifted = true;
            } else {
                self.ended(format!("the exception from `{code}` about {about}"), until, &warrant.responsible);
            }
        }
        lifted
    }

    /// Whether one of the grants that cover the case lifts a reason with this code.
    pub(crate) fn by_grant<'r>(&mut self, code: Code, covering: impl Iterator<Item = &'r Grant>) -> bool {
        Grant::lifts(code) && self.has_grant(covering)
    }

    /// Whether one of the grants that cover the case holds today.
    pub(crate) fn has_grant<'r>(&mut self, covering: impl Iterator<Item = &'r Grant>) -> bool {
        let mut lifted = false;
        for grant in covering {
            let warrant = &grant.warrant;
            if warrant.holds_on(self.today) {
                let (until, who) = (warrant.until, &warrant.responsible);
                let message = format!("{} covers it until {until}: {} ({who})", grant.shown(), warrant.reason);
                self.used.entry((Code::PolicyGrant, message)).or_default();
                lifted = true;
            } else {
                self.ended(grant.shown(), warrant.until, &warrant.responsible);
            }
        }
        lifted
    }

    fn ended(&mut self, what: String, until: Date, responsible: &str) {
        let message = ended(&what, until, responsible);
        self.used.entry((Code::PolicyExpired, message)).or_default();
    }

    /// The reasons that say so. What lifts a reason permits in its place.
    pub(crate) fn reasons(self) -> Vec<Reason> {
        let reason = |((code, message), evidence): ((Code, String), Vec<Evidence>)| {
            let effect = if code == Code::PolicyExpired { Effect::Note } else { Effect::Publish };
            Reason::new(code, effect, message, evidence)
        };
        self.used.into_iter().map(reason).collect()
    }
}
