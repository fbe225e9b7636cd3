//! A template of three variables, beside `format!` with the same values at hand.
//!
//! `cargo bench -p template`. Allocations are counted too: a template has none once its buffer has grown.

use divan::{AllocProfiler, Bencher, black_box};
use template::Missing;
use value::Arena;

mod rows;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Into a buffer that is used again.
#[divan::bench]
fn template(bencher: Bencher<'_, '_>) {
    let (template, arena, mut out) = (rows::template(), Arena::new(), Vec::new());
    let row = rows::Row::new(&arena);
    bencher.bench_local(|| {
        out.clear();
        template.render(black_box(&row), Missing::Empty, &arena, &mut out);
        out.len()
    });
}

/// Into a new string, without any look-up of names.
#[divan::bench]
fn format(bencher: Bencher<'_, '_>) {
    let (clientid, level, temp) = (rows::CLIENTID, rows::LEVEL, rows::TEMP);
    bencher.bench_local(|| {
        let (clientid, level, temp) = (black_box(clientid), black_box(level), black_box(temp));
        format!("plant/{clientid}/state/{level} at {temp}")
    });
}
