//! In which entries two policies differ, for people who look at what follows from that.

use crate::entries::{Correction, Exception, Rule};
use crate::policy::{ACTIONS, CLASSES, LATER_CLASS, READINGS, Rules, TREATMENTS};

impl Rules {
    /// What is written differently in another policy, a line each: keys with both values, and entries that only one of
    /// the two has.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let (before, after) = (self.policy(), other.policy());
        let mut lines = Vec::new();
        let mut differ = |what: &str, was: &str, is: &str| {
            if was != is {
                lines.push(format!("{what}: {was} → {is}"));
            }
        };
        differ("lists", word(&READINGS, before.lists()), word(&READINGS, after.lists()));
        for (name, class) in CLASSES.iter().chain([&LATER_CLASS]) {
            let [was, is] = [before, after].map(|policy| word(&ACTIONS, policy.action(*class)));
            differ(&format!("classes.{name}"), was, is);
        }
        for ((name, was), (_, is)) in before.findings.treated().iter().zip(after.findings.treated()) {
            differ(&format!("findings.{name}"), word(&TREATMENTS, *was), word(&TREATMENTS, is));
        }
        for ((name, was), (_, is)) in before.findings.decided().iter().zip(after.findings.decided()) {
            differ(&format!("findings.{name}"), word(&ACTIONS, *was), word(&ACTIONS, is));
        }
        one_sided(&mut lines, before.terms(), after.terms(), |terms| format!("the terms {terms}"));
        let rule = |rule: &Rule| format!("the rule about {}", rule.about.shown());
        one_sided(&mut lines, &before.rules, &after.rules, rule);
        let exception = |exception: &Exception| format!("the exception about {}", exception.about.shown());
        one_sided(&mut lines, &before.exceptions, &after.exceptions, exception);
        one_sided(&mut lines, &before.grants, &after.grants, |grant| grant.shown());
        let correction = |correction: &Correction| format!("the correction about {}", correction.about.shown());
        one_sided(&mut lines, &before.corrections, &after.corrections, correction);
        one_sided(&mut lines, &before.reviews, &after.reviews, |review| review.shown());
        one_sided(&mut lines, &before.meanings, &after.meanings, |meaning| meaning.shown());
        lines
    }
}

/// The word for a value.
fn word<T: PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("?", |(word, _)| word)
}

/// Entries of one list that are not in the other.
fn one_sided<T: PartialEq>(lines: &mut Vec<String>, before: &[T], after: &[T], shown: impl Fn(&T) -> String) {
    let gone = before.iter().filter(|entry| !after.contains(entry));
    lines.extend(gone.map(|entry| format!("{}: only before", shown(entry))));
    let new = after.iter().filter(|entry| !before.contains(entry));
    lines.extend(new.map(|entry| format!("{}: only after", shown(entry))));
}

#[cfg(test)]
mod tests {
    use crate::{Date, Policy, Rules, shipped};

    #[test]
    fn what_is_written_differently_is_named() {
        let rules = |text: &str| Rules::new(Policy::parse(text).unwrap(), Vec::new(), Date::of_unix_time(0));
        let shipped = |name: &str| shipped::POLICIES.iter().find(|(known, _)| *known == name).unwrap().1;
        let entries = "[[rules]]\npackage = [\"a\"]\nthen = \"withhold\"\nreason = \"x\"\n\
             [[exceptions]]\npackage = [\"b\"]\ncodes = [\"license-unknown\"]\nreason = \"x\"\nresponsible = \"y\"\nuntil = 2027-01-01\n\
             [[grants]]\nagreement = \"C\"\npackage = [\"c\"]\nreason = \"x\"\nresponsible = \"y\"\nuntil = 2027-01-01\n\
             [[corrections]]\npackage = [\"d\"]\nlicense = [\"mit\"]\nreason = \"x\"\nsource = \"y\"\n\
             [[reviews]]\npackage = [\"e\"]\nanswer = \"confirmed\"\nreason = \"x\"\nresponsible = \"y\"\nuntil = 2027-01-01\n\
             [[licenses]]\nnamed = [\"GPL\"]\nmeans = \"MIT\"\nreason = \"x\"\nresponsible = \"y\"\n";
        let more =
            format!("{}\n{entries}", shipped("private")).replace("version = 1", "version = 1\nlists = \"lenient\"");
        let default = rules(shipped("default"));
        insta::assert_snapshot!(default.differences(&rules(&more)).join("\n"), @r#"
        lists: strict → lenient
        classes.restricted: withhold → publish
        findings.copy: terms → publish
        findings.modified-copy: terms → publish
        findings.static-code: terms → publish
        findings.cudart-static: terms → publish
        findings.device-code: terms → publish
        findings.suspected: withhold → publish
        findings.driver: withhold → publish
        findings.not-fully-audited: withhold → publish
        the terms cuda-toolkit: only before
        the terms cudnn: only before
        the terms tensorrt: only before
        the terms cutensor: only before
        the terms cusparselt: only before
        the terms cudss: only before
        the terms nvcomp: only before
        the terms nccl: only before
        the terms intel-simplified: only before
        the terms intel-compiler-runtime: only before
        the terms microsoft-visual-cpp-runtime: only before
        the rule about package a: only after
        the exception about package b: only after
        the grant `C`: only after
        the correction about package d: only after
        the review about package e: only after
        the meaning of the license `GPL`: only after
        "#);
        insta::assert_snapshot!(rules(&more).differences(&rules(&more.replace("\"a\"", "\"f\""))).join("\n"), @r#"
        the rule about package a: only before
        the rule about package f: only after
        "#);
        assert_eq!(default.differences(&default.clone()), [""; 0]);
        // Where an entry stands is no difference.
        assert_eq!(rules(&more).differences(&rules(&format!("# One line more.\n{more}"))), [""; 0]);
    }
}
