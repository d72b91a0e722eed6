//! Functions of free libraries that live in headers, and so are compiled into everybody's programs.
//!
//! A vendor's archive that is built with TBB or with the standard library of C++ has their functions in it. Most are weak,
//! and left out for that. Those for types that no other file can name (lambdas, and whatever is in a namespace without
//! a name) are local, and are told by the names of the free libraries. They accuse nobody. Objects for Windows need none
//! of this: there all of them are in sections of which a linker takes any.

/// Namespaces as C++ compilers for Unix write them, behind `_ZN` and what may stand before a namespace.
const NAMESPACES: [&str; 17] = [
    "9__gnu_cxx",
    "10__cxxabiv1",
    "3std",
    "3tbb",
    "6oneapi3tbb",
    "5boost",
    "5Eigen",
    "6thrust",
    "3cub",
    "4cuda3std",
    "4absl",
    "3fmt",
    "6spdlog",
    "8nlohmann",
    "6google8protobuf",
    "4llvm",
    "7cutlass",
];

/// Whether this is the name of a function of such a library, or of a function inside one.
pub(crate) fn is_name(name: &[u8]) -> bool {
    let Some(mut rest) = name.strip_prefix(b"_Z") else { return false };
    // Functions inside functions, and those that adjust a pointer before they call another one.
    loop {
        rest = match rest {
            [b'Z', more @ ..] => more,
            [b'T', b'h' | b'v', more @ ..] => {
                let end = more.iter().position(|letter| *letter == b'_').map_or(more.len(), |at| at + 1);
                &more[end..]
            }
            _ => break,
        };
    }
    // The standard library has abbreviations of its own, also for functions that are in no class.
    if rest.starts_with(b"St") {
        return true;
    }
    let Some(rest) = rest.strip_prefix(b"N") else { return false };
    let qualifiers = rest.iter().take_while(|letter| b"KVrRO".contains(letter)).count();
    let rest = &rest[qualifiers..];
    let standard = [b"St".as_slice(), b"Sa", b"Ss", b"Sb", b"Si", b"So", b"Sd"];
    standard.iter().any(|start| rest.starts_with(start))
        || NAMESPACES.iter().any(|namespace| {
            // A namespace is followed by the name of what is in it, which begins with its length, or by an argument.
            rest.strip_prefix(namespace.as_bytes())
                .and_then(|rest| rest.first())
                .is_some_and(|next| next.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_headers_are_told_by_their_names() {
        let check = |name: &str, of_header: bool| assert_eq!(is_name(name.as_bytes()), of_header, "{name}");
        check("_ZN3tbb6detail2d19start_forINS1_13blocked_rangeIiEEZN3mkl4workEvEUlvE_E7executeEv", true);
        check("_ZNK3tbb6detail2d14task4doneEv", true);
        check("_ZThn16_N3tbb6detail2d14taskD0Ev", true);
        check("_ZZN3tbb6detail2d112parallel_forEvENKUlvE_clEv", true);
        check("_ZNSt6vectorIN3mkl4typeESaIS1_EE9push_backEv", true);
        check("_ZSt4sortIPiEvT_S1_", true);
        check("_ZN6thrust8cuda_cub6launchEv", true);
        // Its own functions, whatever they are called with and wherever they come from.
        check("_ZN3mkl4workESt6vectorIiSaIiEE", false);
        check("_ZN7tbbmine4workEv", false);
        check("_ZN3tbb", false);
        check("mkl_lapack_dgetrf", false);
        check("_ZL4workN3tbb4taskE", false);
        check("", false);
    }
}
