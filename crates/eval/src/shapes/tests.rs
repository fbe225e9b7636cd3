use super::seat::{SHAPES_MAX, WAIT_MAX};
use super::*;
use crate::Program;

/// A memory, with what its messages have come to.
struct Trial {
    shapes: Shapes,
    arena: Arena,
    program: Program,
    union: Union,
}

impl Trial {
    fn new(sql: &str) -> Self {
        let program = crate::prepare(sql, 0, "r").0.expect("the rule is good");
        let union = Union::of(&[&program]);
        Self { shapes: Shapes::default(), arena: Arena::new(), program, union }
    }

    /// Reads a payload as a worker does; whether it was remembered.
    fn read(&mut self, payload: &str) -> bool {
        self.read_from("t", payload)
    }

    fn read_from(&mut self, topic: &str, payload: &str) -> bool {
        self.arena.reset();
        self.shapes.settle();
        let (payload, union) = (payload.as_bytes(), &self.union);
        let found = self.shapes.find(payload, topic, union, &self.arena);
        if found.is_none() {
            let scan = Scan::new(payload, union, &self.arena).expect("JSON");
            self.shapes.walked(scan, union, &self.arena);
        }
        found.is_some()
    }

    fn known(&self) -> usize {
        self.shapes.seats.iter().map(|seat| seat.shapes.len()).sum()
    }

    /// How many of these are learned.
    fn lessons(&mut self, payloads: impl Iterator<Item = String>) -> usize {
        payloads.filter(|payload| !self.read(payload) && self.shapes.lesson.get().is_some()).count()
    }
}

fn trial() -> Trial {
    Trial::new("SELECT payload.a AS a FROM \"#\"")
}

#[test]
fn the_second_payload_is_learned_and_the_third_remembered() {
    let mut trial = trial();
    let read = [1, 22, 333, 4].map(|value| trial.read(&format!("{{\"a\":{value}}}")));
    assert_eq!(read, [false, false, true, true]);
    assert!(!trial.read("{\"a\":[1]}"));
    assert!(trial.read("{\"a\":null}"));
}

#[test]
fn devices_of_several_models_are_remembered_at_a_time() {
    let mut trial = trial();
    let mut read = |at: usize| {
        let model = at % 5;
        trial.read_from(&format!("model/{model}"), &format!("{{\"a\":{at},\"model{model}\":{{}}}}"))
    };
    (0..500).for_each(|at| _ = read(at));
    assert!((0..100).all(|at| read(at * 7)));
    assert_eq!(trial.known(), 5);
}

#[test]
fn a_fleet_of_as_many_models_as_there_is_room_for_is_known() {
    let mut trial = trial();
    let order = functions::Random::new(7);
    let mut message = |at: usize| {
        let (device, list) = (order.next() % 200, ["1", "20", "300"].join(",\"x\","));
        let model = device % SHAPES_MAX as u64;
        let payload = format!("{{\"model{model}\":{{}},\"ts\":17000000{at},\"a\":{at},\"values\":[{list}]}}");
        trial.read_from(&format!("plant/device{device}/state"), &payload)
    };
    (0..5000).for_each(|at| _ = message(at));
    let found = (0..1000).filter(|at| message(*at)).count();
    assert!(found > 900, "{found}");
}

#[test]
fn values_that_have_become_longer_are_learned_anew() {
    let mut trial = trial();
    let payload =
        |count: u64| format!("{{\"a\":{count},\"up\":{count},\"sent\":{count},\"received\":{count}}}");
    assert!((0..3).map(|at| trial.read(&payload(at))).eq([false, false, true]));
    let cost = |trial: &Trial| {
        let seat = trial.shapes.seat(&trial.union).expect("it has learned");
        seat.shapes[0].shape.fit(payload(123_456).as_bytes(), &trial.arena).expect("it fits").cost
    };
    let before = cost(&trial);
    assert!((100_000..101_000).all(|at| trial.read(&payload(at))));
    assert!(cost(&trial) < before / 3);
    let size: usize = trial.shapes.seats.iter().flat_map(|seat| &seat.shapes).map(Remembered::size).sum();
    assert_eq!((trial.known(), trial.shapes.size), (1, size));
}

#[test]
fn what_has_become_too_long_to_be_learned_is_not_tried_again_each_time() {
    let mut trial = trial();
    let payload = |length: usize| {
        let (list, text) = (format!("{},", "1".repeat(length)).repeat(300), "x".repeat(length * 1000));
        format!("{{\"a\":[{list}1],\"text\":\"{text}\"}}")
    };
    (0..3).for_each(|_| _ = trial.read(&payload(1)));
    let lessons = (0..3000).filter(|_| {
        trial.read(&payload(8));
        trial.shapes.lesson.get().is_some()
    });
    assert!((1..40).contains(&lessons.count()));
}

#[test]
fn what_costs_more_than_it_saves_is_given_up() {
    let mut trial = trial();
    let payload = |length: usize| format!("{{\"a\":[{}1]}}", format!("{},", "1".repeat(length)).repeat(50));
    (0..100).for_each(|at| _ = trial.read(&payload(1 + at % 2)));
    let found = (0..10_000).filter(|at| trial.read(&payload(1 + at % 2))).count();
    assert!((1..6000).contains(&found), "{found}");
}

#[test]
fn shapes_that_never_come_again_are_seldom_learned() {
    let mut trial = trial();
    let lessons = trial.lessons((0..20_000).map(|at| format!("{{\"a\":1,\"k{at}\":{at}}}")));
    assert!((5..40).contains(&lessons), "{lessons}");
    assert_eq!(trial.known(), 1);
    // What comes then, and stays, is found all the same.
    let mut same = (0..10_000).map(|at| format!("{{\"a\":{at},\"b\":\"x\"}}"));
    assert!(same.any(|payload| trial.read(&payload)));
    assert!(same.take(1000).all(|payload| trial.read(&payload)));
}

#[test]
fn a_shape_among_many_that_never_come_again_is_found() {
    for turn in 0..2 {
        let mut trial = trial();
        let payload = |at: usize| match at % 2 {
            own if own == turn => {
                format!("{{\"a\":{at},\"unit\":\"C\",\"ts\":1700000000000,\"ok\":true}}")
            }
            _ => format!("{{\"a\":1,\"unit\":\"C\",\"k{at}\":{at},\"ok\":true}}"),
        };
        (0..2000).for_each(|at| _ = trial.read(&payload(at)));
        let found = (2000..3000).filter(|at| trial.read(&payload(*at))).count();
        assert_eq!(found, 500, "{turn}");
    }
}

#[test]
fn another_union_finds_nothing_of_the_one_before() {
    let mut trial = trial();
    (0..5).for_each(|_| _ = trial.read("{\"a\":1}"));
    for _ in 0..2 * SEATS {
        let before = trial.union.id();
        trial.union = Union::of(&[&trial.program]);
        assert!(trial.union.id() > before);
        assert!(!trial.read("{\"a\":1}"));
    }
    let read: Vec<bool> = (0..WAIT_MAX).map(|_| trial.read("{\"a\":1}")).collect();
    assert!(read.ends_with(&[true]));
}

#[test]
fn memory_is_bounded() {
    let mut trial = trial();
    let padding = "x".repeat(Shape::BYTES_MAX - 100);
    for at in 0..100 {
        trial.union = Union::of(&[&trial.program]);
        for key in 0..8 {
            // Each once as a lesson, whatever the time.
            let payload = format!("{{\"a\":{at},\"k{key}\":\"{padding}\"}}");
            trial.read(&payload);
            let scan = Scan::new(payload.as_bytes(), &trial.union, &trial.arena).expect("JSON");
            let learned = Remembered::new(scan, &trial.union);
            assert!(learned.is_some());
            trial.shapes.put(Lesson { union: trial.union.id(), learned, instead_of: None });
            let size: usize =
                trial.shapes.seats.iter().flat_map(|seat| &seat.shapes).map(Remembered::size).sum();
            assert_eq!(trial.shapes.size, size);
            assert!(size <= SIZE_MAX);
        }
    }
    assert!(!trial.read(&format!("{{\"a\":1,\"b\":\"{}\"}}", "x".repeat(Shape::BYTES_MAX))));
}

#[test]
fn elements_of_loops_are_remembered() {
    let mut trial = Trial::new("FOREACH payload.l AS e DO e.n AS n, e.m.k AS k INCASE e.n > 1 FROM \"#\"");
    let element = |at: i32| format!("{{\"m\":{{\"k\":\"{}\"}},\"n\":{at}}}", "x".repeat(at as usize % 7));
    let payload = |at: i32| format!("{{\"l\":[{},{{}},5,{}]}}", element(at), element(at + 100));
    assert!((0..3).map(|at| trial.read(&payload(at))).eq([false, false, true]));
    let payload = payload(9);
    let scan =
        trial.shapes.find(payload.as_bytes(), "t", &trial.union, &trial.arena).expect("it is remembered");
    let walked = Scan::new(payload.as_bytes(), &trial.union, &trial.arena).expect("JSON");
    let (mut found, mut all) = (scan.elements(0).expect("a list"), walked.elements(0).expect("a list"));
    let mut count = 0;
    while all.advance() {
        assert!(found.advance());
        assert!(found.element().places().eq(all.element().places()));
        count += 1;
    }
    assert!(!found.advance());
    assert_eq!(count, 4);
}
