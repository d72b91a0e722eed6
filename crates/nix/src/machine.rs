//! What this machine can build, by itself or by other machines that its Nix knows, and what it therefore cannot.
//!
//! Nix says so itself, but older versions say it of the first such derivation and then end, with everything else
//! undone. It rests on Nix's own settings; which platforms the daemon of another user has is not known here.

use crate::command::Settings;
use narthex_closure::{Derivation, Needs};
use std::collections::BTreeSet;
use std::path::Path;

/// This machine, and others that build for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Its platforms, its own one first.
    systems: Vec<String>,
    features: BTreeSet<String>,
    /// Whether it may build by itself: `max-jobs` is not zero.
    builds: bool,
    /// Whether nothing may leave the sandbox.
    strict_sandbox: bool,
    builders: Vec<Builder>,
}

/// A remote builder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Builder {
    systems: Vec<String>,
    /// What it has, the mandatory ones included.
    features: BTreeSet<String>,
    /// What it wants to be asked for.
    mandatory: BTreeSet<String>,
}

impl Builder {
    /// As `Machine::allSupported` and `mandatoryMet` in `src/libstore/machines.cc`.
    fn can_build(&self, system: &str, needs: &Needs) -> bool {
        (system == "builtin" || self.systems.iter().any(|known| known == system))
            && needs.features.is_subset(&self.features)
            && self.mandatory.is_subset(&needs.features)
    }
}

impl Machine {
    /// Reads the settings, and the file of builders where they name one.
    pub(crate) fn of(settings: &Settings) -> Self {
        let read = |file: &str| std::fs::read_to_string(Path::new(file)).unwrap_or_default();
        Self::read(&|name| settings.get(name).unwrap_or_default(), &read)
    }

    fn read(setting: &dyn Fn(&str) -> String, file: &dyn Fn(&str) -> String) -> Self {
        let words = |name: &str| setting(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let own = setting("system");
        let mut systems = vec![own.clone()];
        systems.extend(words("extra-platforms").into_iter().filter(|system| *system != own));
        Self {
            systems,
            features: words("system-features").into_iter().collect(),
            builds: setting("max-jobs").trim() != "0",
            strict_sandbox: setting("sandbox") == "true",
            builders: builders(&setting("builders"), &own, file),
        }
    }

    /// Why a derivation cannot be built; nothing where it can.
    pub(crate) fn refuses(&self, derivation: &Derivation) -> Option<String> {
        let (system, needs) = (derivation.system.as_str(), &derivation.needs);
        if self.builders.iter().any(|builder| builder.can_build(system, needs)) {
            return None;
        }
        let any_system = needs.builtin || system == "builtin";
        let list = |names: &mut dyn Iterator<Item = &String>| names.cloned().collect::<Vec<_>>().join(", ");
        if !any_system && !self.systems.iter().any(|known| known == system) {
            let mut others = self.builders.iter().filter(|builder| builder.systems.iter().any(|known| known == system));
            if others.next().is_some() {
                let features = list(&mut needs.features.iter());
                let features = if features.is_empty() { "none".to_owned() } else { features };
                return Some(format!("needs {system}, and no remote builder for it takes its system features: {features}"));
            }
            let all = self.systems.iter().chain(self.builders.iter().flat_map(|builder| &builder.systems));
            let mut seen = BTreeSet::new();
            let systems = list(&mut all.filter(|system| seen.insert(*system)));
            return Some(format!("needs {system}, and this machine builds {systems}"));
        }
        let lacking = list(&mut needs.features.difference(&self.features));
        if !lacking.is_empty() {
            let features = list(&mut self.features.iter());
            let has = if features.is_empty() { "none".to_owned() } else { features };
            return Some(format!("needs the system feature {lacking}, and this machine has {has}"));
        }
        if needs.no_sandbox && self.strict_sandbox {
            return Some("must be built outside the sandbox (__noChroot), and `sandbox` is `true`".to_owned());
        }
        if !self.builds && !needs.builtin {
            return Some("cannot be built: `max-jobs` is 0, and no remote builder takes it".to_owned());
        }
        None
    }
}

/// Reads the setting `builders`: machines between semicolons or on lines of their own, or `@` and a file of them.
fn builders(text: &str, own: &str, file: &dyn Fn(&str) -> String) -> Vec<Builder> {
    let mut found = Vec::new();
    for line in text.split(['\n', ';']) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(name) = line.strip_prefix('@') {
            // A file that names another one is not followed for ever.
            let inner = file(name.trim());
            let lines: Vec<&str> = inner.split(['\n', ';']).filter(|line| !line.trim().starts_with('@')).collect();
            found.extend(builders(&lines.join("\n"), own, file));
            continue;
        }
        let mut fields = line.split_whitespace();
        if fields.next().is_none() {
            continue;
        }
        let fields: Vec<&str> = fields.collect();
        let list = |at: usize| {
            let text = fields.get(at).filter(|text| **text != "-").copied().unwrap_or_default();
            text.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let systems = if list(0).is_empty() { vec![own.to_owned()] } else { list(0) };
        let mandatory: BTreeSet<String> = list(5).into_iter().collect();
        let features = list(4).into_iter().chain(mandatory.iter().cloned()).collect();
        found.push(Builder { systems, features, mandatory });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn derivation(system: &str, features: &[&str], no_sandbox: bool, builtin: bool) -> Derivation {
        let features = features.iter().map(|feature| (*feature).to_owned()).collect();
        Derivation {
            name: "x".to_owned(),
            system: system.to_owned(),
            outputs: BTreeMap::new(),
            inputs: BTreeMap::new(),
            sources: BTreeSet::new(),
            main_sources: BTreeSet::new(),
            build_scripts: BTreeSet::new(),
            generated_text: false,
            fixed_output: false,
            needs: Needs { features, no_sandbox, builtin },
        }
    }

    fn machine(changed: &[(&str, &str)], machines: &str) -> Machine {
        let setting = |name: &str| {
            let changed = changed.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            changed.unwrap_or_else(|| {
                match name {
                    "system" => "x86_64-linux",
                    "extra-platforms" => "i686-linux",
                    "system-features" => "benchmark kvm",
                    "max-jobs" => "2",
                    "sandbox" => "true",
                    "builders" => "@/etc/nix/machines",
                    _ => "",
                }
                .to_owned()
            })
        };
        let file = |name: &str| if name == "/etc/nix/machines" { machines.to_owned() } else { String::new() };
        Machine::read(&setting, &file)
    }

    #[test]
    fn what_a_machine_refuses() {
        let plain = || derivation("x86_64-linux", &[], false, false);
        let arm = |features: &[&str]| derivation("aarch64-linux", features, false, false);
        let check = |changed: &[(&str, &str)], machines: &str, derivation: Derivation, expected: Option<&str>| {
            let refused = machine(changed, machines).refuses(&derivation);
            match (refused.as_deref(), expected) {
                (None, None) => {}
                (Some(why), Some(part)) => assert!(why.contains(part), "{why}"),
                (why, expected) => panic!("{why:?} in place of {expected:?}"),
            }
        };
        check(&[], "", plain(), None);
        check(&[], "", derivation("i686-linux", &["kvm"], false, false), None);
        check(&[], "", arm(&[]), Some("needs aarch64-linux, and this machine builds x86_64-linux, i686-linux"));
        check(&[("extra-platforms", "aarch64-linux")], "", arm(&[]), None);
        check(
            &[],
            "",
            derivation("x86_64-linux", &["cuda", "kvm"], false, false),
            Some("needs the system feature cuda, and this machine has benchmark, kvm"),
        );
        check(&[], "", derivation("x86_64-linux", &[], true, false), Some("__noChroot"));
        check(&[("sandbox", "relaxed")], "", derivation("x86_64-linux", &[], true, false), None);
        check(&[("max-jobs", "0")], "", plain(), Some("`max-jobs` is 0"));
        check(&[("max-jobs", "0")], "", derivation("builtin", &[], false, true), None);
        check(&[], "", derivation("builtin", &["cuda"], false, true), Some("cuda"));

        // Other machines.
        let host = "# comment\nssh://one - - 4\nssh://two aarch64-linux,armv7l-linux - 8 1 kvm,cuda big # end\n";
        check(&[], host, arm(&["big"]), None);
        check(&[], host, arm(&["big", "cuda"]), None);
        check(&[], host, arm(&[]), Some("needs aarch64-linux, and no remote builder for it takes its system features: none"));
        let mac = derivation("x86_64-darwin", &[], false, false);
        check(&[], host, mac, Some("this machine builds x86_64-linux, i686-linux, aarch64-linux, armv7l-linux"));
        check(&[("max-jobs", "0")], host, plain(), None);
        check(&[("max-jobs", "0")], host, derivation("i686-linux", &[], false, false), Some("`max-jobs` is 0"));
        let inline = ("builders", "ssh://a i686-linux ; ssh-ng://b aarch64-linux - 1 1 - -");
        check(&[inline], "", arm(&[]), None);
        check(&[inline], "", arm(&["kvm"]), Some("needs aarch64-linux"));
        check(&[("builders", "@/nowhere")], "", arm(&[]), Some("needs aarch64-linux"));
        check(&[], "@/etc/nix/machines", arm(&[]), Some("needs aarch64-linux"));
    }
}
