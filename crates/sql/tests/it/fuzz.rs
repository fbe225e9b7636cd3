//! The fuzz target `parser`, for a moment.

#[path = "../../../../fuzz/src/parser.rs"]
#[allow(unreachable_pub)] // the fuzz targets are another crate
mod parser;
#[path = "../../../../fuzz/src/twin.rs"]
mod twin;

#[test]
fn any_text_is_parsed() {
    let seeds: Vec<Vec<u8>> =
        crate::conformance::cases().into_iter().step_by(10).map(|(sql, _)| sql.into_bytes()).collect();
    twin::run(&seeds, 500, parser::run);
}
