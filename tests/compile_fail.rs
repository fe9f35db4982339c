//! Broken rules are compile errors that name the field.

#[test]
fn broken_rules_are_compile_errors() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
