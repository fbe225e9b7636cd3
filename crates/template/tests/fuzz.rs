//! The fuzz target `templates`, for a moment.

#[path = "../../../fuzz/src/templates.rs"]
#[allow(unreachable_pub)] // the fuzz targets are another crate
mod templates;
#[path = "../../../fuzz/src/twin.rs"]
mod twin;

#[test]
fn any_text_is_a_template() {
    let seeds = [
        "${a.b[1]} ${topic} ${.}",
        "${a.'odd key'}${f}${$}{x}",
        "pub/${topic}",
        "${big} ${s.k} ${a.b[-1].c}",
        "$ { ${",
        "text alone",
    ];
    twin::run(&seeds.map(Vec::from), 1000, templates::run);
}
