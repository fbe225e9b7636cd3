//! Every case of `tests/conformance` in process, against what the reference answered.
//!
//! Cases that come out otherwise stand in `tests/conformance/differences.txt`, each with a reason, or as a group or
//! function that is not there yet. A difference that is not listed fails the test, and so does a listed one that has
//! gone: `UPDATE_GOLDEN=1` strikes what has gone and adds what is new with the reason `unexplained`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use eval::test::{self, Context, Outcome, Setting};
use eval::{Surroundings, Worker};
use value::Arena;

#[path = "../../../tests/conformance/cases.rs"]
mod cases;

use cases::{Answer, agrees, cases, expected, folder, known};

const SETTING: Setting<'static> = Setting { now_ms: 1_795_434_121_000, node: "nonode@nohost", seed: 7 };

/// What the test endpoint would answer.
fn answer(sql: &str, context: &str, worker: &mut Worker) -> Answer {
    let (program, diagnostics) = eval::prepare(sql, 0, "sql_tester");
    let Some(program) = program else {
        let messages: Vec<_> =
            diagnostics.iter().map(|one| format!("{} {}", one.code, one.message)).collect();
        return Answer::Refused(messages.join("; "));
    };
    let arena = Arena::new();
    let context = match Context::parse(context.as_bytes(), &SETTING, &arena) {
        Ok(context) => context,
        Err(error) => return Answer::Refused(error.to_string()),
    };
    match test::run(&program, &context, &SETTING, worker) {
        Outcome::Output(json) => Answer::Ok(serde_json::from_slice(&json).expect("the output is JSON")),
        Outcome::NoMatch(_) => Answer::NoMatch,
        Outcome::Error(error) => Answer::Refused(error.to_string()),
    }
}

/// How a difference comes about; the head of the file of differences explains each.
const KINDS: [&str; 4] = ["accepted: ", "accepted at run time: ", "found before it runs: ", "other: "];

/// Whether a case calls a function that this build says is not there yet.
fn waits_for_function(sql: &str) -> bool {
    functions::NOT_YET.iter().any(|name| {
        sql.match_indices(&format!("{name}("))
            .any(|(at, _)| !sql[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
    })
}

#[test]
fn agrees_with_the_reference() {
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 7);
    let known = known();
    let mut groups: BTreeMap<String, (u32, u32, u32)> = BTreeMap::new();
    let mut differences = BTreeMap::new();
    let mut unnoted = Vec::new();
    let mut answered = (0_usize, 0_usize);
    for case in cases() {
        let id = case["id"].as_str().expect("an id").to_owned();
        let sql = case["sql"].as_str().expect("SQL");
        let ours = answer(sql, &case["context"].to_string(), &mut worker);
        let group = groups.entry(case["group"].as_str().expect("a group").to_owned()).or_default();
        group.1 += 1;
        if !matches!(expected(&case), Answer::Refused(_)) {
            answered.1 += 1;
            answered.0 += usize::from(agrees(&case, &ours));
        }
        let waits = waits_for_function(sql) && matches!(ours, Answer::Refused(_));
        let accepted = matches!(expected(&case), Answer::Refused(_)) && !matches!(ours, Answer::Refused(_));
        let reason = known.get(&id).map_or("", String::as_str);
        if accepted && eval::portability(sql, 0).is_empty() != reason.starts_with("accepted at run time: ") {
            unnoted.push(format!("{id}: {sql}"));
        }
        if agrees(&case, &ours) {
            group.0 += 1;
        } else if waits {
            group.2 += 1;
        } else {
            differences
                .insert(id, format!("{sql}\n    expected {:?}\n    found    {ours:?}", expected(&case)));
        }
    }
    let (mut agreed, mut all, mut waiting) = (0, 0, 0);
    for (group, (same, count, waits)) in &groups {
        println!(
            "{group:24} {same:5} of {count:5}{}",
            if *waits > 0 { format!(", {waits} wait for a function") } else { String::new() }
        );
        (agreed, all, waiting) = (agreed + same, all + count, waiting + waits);
    }
    println!(
        "{:24} {agreed:5} of {all:5}, {waiting} wait for a function, {} differ",
        "total",
        differences.len()
    );

    println!("{:.2} % of the cases with an answer agree", 100.0 * answered.0 as f64 / answered.1 as f64);
    let found: BTreeSet<_> = differences.keys().cloned().collect();
    let listed: BTreeSet<_> = known.keys().cloned().collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        rewrite(&known, &found);
        return;
    }
    for id in found.difference(&listed) {
        println!("{id}: {}", differences[id]);
    }
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(
        found.is_subset(&listed),
        "{} cases differ and are not listed",
        found.difference(&listed).count()
    );
    assert!(unnoted.is_empty(), "accepted without a portability note:\n{}", unnoted.join("\n"));
    let unexplained: Vec<_> =
        known.iter().filter(|(_, reason)| !KINDS.iter().any(|kind| reason.starts_with(kind))).collect();
    assert!(unexplained.is_empty(), "a reason begins with one of {KINDS:?}: {unexplained:?}");
    assert!(gone.is_empty(), "listed as different, but they agree now: {gone:?}");
}

fn rewrite(known: &BTreeMap<String, String>, found: &BTreeSet<String>) {
    let before = std::fs::read_to_string(folder().join("differences.txt")).unwrap_or_default();
    let mut text: String =
        before.lines().filter(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    for id in found {
        let reason = known.get(id).map_or("unexplained", String::as_str);
        text.push_str(&format!("{id} {reason}\n"));
    }
    std::fs::write(folder().join("differences.txt"), text).expect("the list is written");
}
