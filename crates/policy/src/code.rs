//! Reason codes: stable names, one page each in `docs/reasons/`.

use serde::{Deserialize, Serialize};

/// Where a reason comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// What the package set says.
    Declared,
    /// What a license allows file by file.
    Terms,
    /// What was found in the bytes.
    Audit,
    /// What the operator's policy says.
    Policy,
}

impl Source {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Terms => "terms",
            Self::Audit => "audit",
            Self::Policy => "policy",
        }
    }
}

macro_rules! codes {
    ($($name:ident = $text:literal, $source:ident;)*) => {
        /// Why a path is published or withheld. The order is that in which reasons are shown: of
        /// several with the same effect, the first one decides.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code {
            $(#[doc = concat!("`", $text, "`; see `docs/reasons/", $text, ".md`.")]
            #[serde(rename = $text)]
            $name,)*
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Where reasons with this code come from.
            pub const fn source(self) -> Source {
                match self { $(Self::$name => Source::$source,)* }
            }
        }
    };
}

codes! {
    LicenseRestricted = "license-restricted", Declared;
    LicenseUnknown = "license-unknown", Declared;
    GraphIncomplete = "graph-incomplete", Declared;
    SourceOfWithheld = "source-of-withheld", Declared;
    PolicyRule = "policy-rule", Policy;
    PolicyReview = "policy-review", Policy;
    PolicyVendorCode = "policy-vendor-code", Policy;
    TermsFileNotListed = "terms-file-not-listed", Terms;
    TermsModified = "terms-modified", Terms;
    TermsStandalone = "terms-standalone", Terms;
    TermsTextUnknown = "terms-text-unknown", Terms;
    TermsMissing = "terms-missing", Terms;
    AuditDriver = "audit-driver", Audit;
    AuditSuspected = "audit-suspected", Audit;
    AuditIncomplete = "audit-incomplete", Audit;
    AuditMissing = "audit-missing", Audit;
    CorpusIncomplete = "corpus-incomplete", Audit;
    SetIncomplete = "set-incomplete", Declared;
    PolicyGrant = "policy-grant", Policy;
    PolicyException = "policy-exception", Policy;
    TermsPermitInclusion = "terms-permit-inclusion", Terms;
    TermsPermitCopy = "terms-permit-copy", Terms;
    LicenseFree = "license-free", Declared;
    LicenseRedistributable = "license-redistributable", Declared;
    LicenseOfOriginal = "license-of-original", Declared;
    MadeFromFreeInputs = "made-from-free-inputs", Declared;
    SourceOfPublished = "source-of-published", Declared;
    PolicyCorrection = "policy-correction", Policy;
    PolicyExpired = "policy-expired", Policy;
    TermsTextKnown = "terms-text-known", Terms;
    AuditModifiedCopy = "audit-modified-copy", Audit;
    AuditCopy = "audit-copy", Audit;
    AuditStaticCode = "audit-static-code", Audit;
    AuditCudartStatic = "audit-cudart-static", Audit;
    AuditDeviceCode = "audit-device-code", Audit;
    AuditStub = "audit-stub", Audit;
    AuditMaker = "audit-maker", Audit;
    AuditLinksDynamically = "audit-links-dynamically", Audit;
    AuditClean = "audit-clean", Audit;
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
