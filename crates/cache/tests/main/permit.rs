//! Publishing without a permit does not compile, and a permit cannot be made by hand.

#[test]
fn publishing_without_a_permit_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/*.rs");
}
