//! Tests of what is one library in several releases, and of what several products share.

use super::*;
use crate::finding::Finding;
use crate::made::{archive, library, noise, object};
use crate::{AuditFile, Contents, Fingerprints, Limits, Material, Source, audit, learn};

/// Archives by package, license, file, and members with numbers of their functions.
type Known<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a [u64])]);

fn corpus(known: &[Known<'_>]) -> Corpus {
    let mut prints = Fingerprints::default();
    for (number, (package, license, file, members)) in known.iter().enumerate() {
        let members: Vec<(&str, Vec<u8>)> = (members.iter())
            .map(|(name, functions)| (*name, object(&functions.iter().map(|f| noise(*f, 400)).collect::<Vec<_>>())))
            .collect();
        let bytes = archive(&members);
        let material = Material::of_package(package, vec![(*license).to_owned()]);
        let source = Source::new(format!("sha256:{number}"), "n", material);
        let file = AuditFile { path: (*file).to_owned(), contents: Contents::Bytes(&bytes) };
        learn(&mut prints, &source, &[file], Limits::default());
    }
    prints.to_corpus()
}

/// What is found in a program of these functions and some of its own.
fn found(corpus: &Corpus, functions: &[u64]) -> Vec<(String, Kin)> {
    let code: Vec<u8> = functions.iter().flat_map(|f| [noise(*f, 400), noise(10_000 + f, 900)].concat()).collect();
    let bytes = library(&[(".text", true, code)]);
    let file = AuditFile { path: "bin/x".to_owned(), contents: Contents::Bytes(&bytes) };
    let findings = audit(&[file], corpus, Limits::default()).findings;
    let of = |finding: &Finding| match finding {
        Finding::StaticCode { archive, kin, .. } => Some((archive.material.package(), kin.clone())),
        _ => None,
    };
    findings.iter().filter_map(of).collect()
}

fn packages(origins: &[Origin]) -> Vec<String> {
    origins.iter().map(|origin| origin.material.package()).collect()
}

#[test]
fn one_library_is_one_finding_with_the_nearest_release() {
    let corpus = corpus(&[
        ("runtime-cu11-11.0", "cuda", "lib/librt_static.a", &[("a.o", &[1, 2, 3])]),
        ("runtime-cu12-12.0", "cuda", "lib/librt_static.a", &[("a.o", &[1, 2, 4, 5])]),
        ("runtime-13.0", "cuda", "lib/x64/rt_static.lib", &[("a.o", &[1, 2, 6, 7])]),
    ]);
    let check = |functions: &[u64], package: &str, equal: &[&str], unknown| {
        let found = found(&corpus, functions);
        let [(named, kin)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (named.as_str(), packages(&kin.equal), kin.release_unknown),
            (package, equal.iter().map(|one| (*one).to_owned()).collect(), unknown)
        );
        assert!(kin.shared_by.is_empty());
    };
    check(&[1, 2, 4, 5], "runtime-cu12-12.0", &[], false);
    check(&[1, 2, 4, 5, 6, 7], "runtime-cu12-12.0", &[], true);
    check(&[1, 2], "runtime-cu11-11.0", &["runtime-13.0", "runtime-cu12-12.0"], false);
}

#[test]
fn libraries_of_one_package_are_findings_of_their_own() {
    let corpus = corpus(&[
        ("toolkit-1", "cuda", "lib/libone.a", &[("a.o", &[1, 2, 3])]),
        ("toolkit-1", "cuda", "lib/libtwo.a", &[("b.o", &[4, 5, 6])]),
    ]);
    assert_eq!(found(&corpus, &[1, 2, 3, 4, 5, 6]).len(), 2);
}

#[test]
fn code_that_several_products_share_accuses_none_alone() {
    let all: [Known<'_>; 3] = [
        ("math-1", "issl", "lib/libmath.a", &[("irc.o", &[1, 2, 3]), ("dft.o", &[4, 5, 6, 7]), ("m.o", &[8, 9, 10])]),
        ("images-1", "issl", "lib/libimages.a", &[("dft.o", &[4, 5, 20, 21]), ("i.o", &[22, 23, 24])]),
        ("compiler-1", "intel-eula", "lib/libirc.a", &[("irc.o", &[1, 2, 3])]),
    ];
    let corpus = corpus(&all);
    let check = |functions: &[u64], expected: &[(&str, &[&str])]| {
        let found: Vec<_> =
            found(&corpus, functions).into_iter().map(|(name, kin)| (name, packages(&kin.shared_by))).collect();
        let owned = |(name, by): &(&str, &[&str])| {
            ((*name).to_owned(), by.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(found, expected.iter().map(owned).collect::<Vec<_>>(), "{functions:?}");
    };
    check(&[1, 2, 3], &[("math-1", &["compiler-1"])]);
    check(&[4, 5], &[("math-1", &["images-1"])]);
    // What a product has alone is its own, with all that lies beside it.
    check(&[8, 9], &[("math-1", &[])]);
    check(&[1, 2, 3, 8, 9, 10], &[("math-1", &[])]);
    check(&[22, 23, 24], &[("images-1", &[])]);
    // Others have half of the same member: it is built anew for each of them.
    check(&[4, 5, 6], &[("math-1", &["images-1"])]);
    check(&[4, 6, 7], &[("math-1", &[])]);
    check(&[6, 7], &[("math-1", &[])]);
}

#[test]
fn members_of_one_source_are_shared() {
    let check = |member: &str, name: Option<&str>| assert_eq!(source(member), name, "{member}");
    check("pscmndft_fftssmallca_avx10.o", Some("pscmndft_fftssmallca"));
    check("pscmndft_fftssmallca_l9---ipps_crFFT_1_32f.o", Some("pscmndft_fftssmallca"));
    check("pscmndft_fftssmallcn_k0.obj", Some("pscmndft_fftssmallcn"));
    check("kmp_alloc.o", None);
    check("dgemm_k0.o", None);
    check("fast_memcpy_pp.S.o", None);
    let corpus = corpus(&[
        ("math-1", "issl", "lib/libmath.a", &[("pscmndft_x_k0.o", &[1, 2, 3])]),
        ("images-1", "issl", "lib/libimages.a", &[("pscmndft_x_l9.o", &[4, 5, 6]), ("i_one.o", &[7, 8, 9])]),
    ]);
    let shared = |functions: &[u64]| {
        let found = found(&corpus, functions);
        found.into_iter().map(|(name, kin)| (name, packages(&kin.shared_by))).collect::<Vec<_>>()
    };
    let one = |name: &str, by: &[&str]| (name.to_owned(), by.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
    assert_eq!(shared(&[7, 8, 9, 1, 2]), [one("images-1", &[]), one("math-1", &["images-1"])]);
    // Of a product of which nothing was found nothing is shared.
    assert_eq!(shared(&[1, 2, 3]), [one("math-1", &[])]);
}

/// The toolkit has the runtime, and other archives that have parts of it: none of them is another product.
#[test]
fn a_product_that_has_the_library_is_no_other_one() {
    let corpus = corpus(&[
        ("runtime-cu12-12.9", "cuda", "lib/librt_static.a", &[("a.o", &[1, 2, 3, 4])]),
        ("toolkit-12.4", "cuda", "lib/librt_static.a", &[("a.o", &[1, 2, 5, 6])]),
        ("toolkit-12.4", "cuda", "lib/libos.a", &[("os.o", &[1, 2, 3, 4])]),
    ]);
    let found = found(&corpus, &[1, 2, 3, 4]);
    let [(name, kin)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((name.as_str(), &*kin.shared_by), ("runtime-cu12-12.9", &[][..]));
}

#[test]
fn packages_of_one_product_share_nothing_with_themselves() {
    let corpus = corpus(&[
        ("blas-cu11-11.0", "cuda", "lib/libblas.a", &[("a.o", &[1, 2, 3])]),
        ("blas-cu12-12.0", "cuda", "lib/libblaslt.a", &[("a.o", &[1, 2, 3])]),
    ]);
    let found = found(&corpus, &[1, 2, 3]);
    let [(_, kin)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(kin.shared_by, []);
    assert_eq!([product("blas-cu12"), product("blas"), product("blas-cuda")], ["blas", "blas", "blas-cuda"]);
}
