//! A program: parsed, compiled and run by jaq.

use std::collections::HashSet;
use std::sync::LazyLock;

use jaq_core::data::{DataT, HasLut};
use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Term};
use jaq_core::load::{self, Arena as Sources, File, Lexer, Loader, Parser};
use jaq_core::path::Part;
use jaq_core::{Compiler, Ctx, Filter, Lut, Vars, compile};

use super::meter;
use super::natives;
use super::value::Val;

/// What the interpreter works with.
pub(super) struct Jq;

impl DataT for Jq {
    type V<'a> = Val;
    type Data<'a> = Surroundings<'a>;
}

/// What every filter can see.
#[derive(Clone)]
pub(super) struct Surroundings<'a> {
    lut: &'a Lut<Jq>,
    /// Seconds since 1970 UTC.
    now: f64,
    /// Contexts hold one of these each.
    _context: meter::Context,
}

impl Surroundings<'_> {
    pub(super) fn now(&self) -> f64 {
        self.now
    }
}

impl<'a> HasLut<'a, Jq> for Surroundings<'a> {
    /// The interpreter asks for this whenever it evaluates a term.
    fn lut(&self) -> &'a Lut<Jq> {
        meter::step();
        self.lut
    }
}

/// A program that can run.
pub(super) struct Program(Filter<Jq>);

/// Why there is no more output.
pub(super) enum End {
    /// An error that the program did not catch.
    Error(String),
    /// `halt`, with its exit code.
    Halt(i32),
}

/// The name of the program among the definitions; our own cannot be called otherwise.
const MAIN: &str = "__program";

impl Program {
    /// Compiles a program; what is wrong with it, in words, if it is none.
    pub(super) fn compile(code: &str) -> Result<Program, String> {
        let body = parse(code)?;
        let main = Def { name: MAIN, args: Vec::new(), body };
        let sources = Sources::default();
        let loader = Loader::new(PRELUDE.iter().cloned().chain([main]));
        // What the loader reads here is ours.
        let modules = loader.load(&sources, File { code: MAIN, path: () }).map_err(|_| "cannot be loaded")?;
        let compiler = Compiler::default().with_funs(natives::all());
        compiler.compile(modules).map(Program).map_err(|errors| undefined(&errors))
    }

    /// Runs it, handing over every output.
    pub(super) fn run(
        &self,
        input: Val,
        now: f64,
        mut each: impl FnMut(Val) -> Result<(), End>,
    ) -> Result<(), End> {
        let data = Surroundings { lut: &self.0.lut, now, _context: meter::Context::new() };
        let context = Ctx::<Jq>::new(data, Vars::new([]));
        for output in self.0.id.run((context, input)) {
            match output {
                Ok(output) => each(output)?,
                Err(exception) => {
                    return Err(match exception.get_err() {
                        Ok(error) => End::Error(shown(&error.into_val())),
                        Err(exception) => exception.get_halt().map_or_else(
                            |_| End::Error("`break` outside of its `label`".to_owned()),
                            End::Halt,
                        ),
                    });
                }
            }
        }
        Ok(())
    }
}

/// The value of an error in a message.
fn shown(value: &Val) -> String {
    match value {
        Val::Str(text) if text.get().chars().count() <= 200 => text.get().clone(),
        value => value.to_string(),
    }
}

/// The definitions that every program can use: the interpreter's, but for those that we have ourselves, then ours.
static PRELUDE: LazyLock<Vec<Def<&'static str>>> = LazyLock::new(|| {
    let ours = load::parse(include_str!("defs.jq"), |parser| parser.defs()).unwrap_or_default();
    let natives = natives::all().map(|(name, args, _)| (name, args.len()));
    let own: HashSet<_> = ours.iter().map(|def| (def.name, def.args.len())).chain(natives).collect();
    let theirs = jaq_core::defs().chain(jaq_std::defs());
    theirs.filter(|def| !own.contains(&(def.name, def.args.len()))).chain(ours).collect()
});

/// Parses a program, and lets its functions count their calls.
fn parse(code: &str) -> Result<Term<&str>, String> {
    let place = |found: &str| {
        let at = load::span(code, found).start;
        let line = code[..at].matches('\n').count() + 1;
        let column = code[..at].rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("line {line}, column {column}")
    };
    let tokens = Lexer::new(code).lex().map_err(|errors| match errors.first() {
        Some((expected, found)) => format!("expected {} at {}", expected.as_str(), place(found)),
        None => "is not jq".to_owned(),
    })?;
    let parsed = Parser::new(&tokens).parse(|parser| parser.term());
    let mut term = parsed.map_err(|errors| match errors.first() {
        Some((expected, found)) => {
            let found = load::lex::Token::opt_as_str(*found, code);
            let word = found.split_whitespace().next().unwrap_or("the end");
            format!("expected {} at {}, found {word}", expected.as_str(), place(found))
        }
        None => "is not jq".to_owned(),
    })?;
    count_calls(&mut term);
    Ok(term)
}

fn undefined(errors: &compile::Errors<&str, ()>) -> String {
    let first = errors.first().and_then(|(_, errors)| errors.first());
    match first {
        Some((name, compile::Undefined::Filter(0))) => format!("there is no filter `{name}`"),
        Some((name, compile::Undefined::Filter(arity))) => {
            format!("there is no filter `{name}` with {arity} arguments")
        }
        Some((name, kind)) => format!("there is no {} `{name}`", kind.as_str()),
        None => "cannot be compiled".to_owned(),
    }
}

/// Puts a count before the body of every function that takes functions.
fn count_calls(term: &mut Term<&str>) {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) | Term::Arr(None) => {}
        Term::Str(_, parts) => parts.iter_mut().for_each(|part| {
            if let StrPart::Term(inner) = part {
                count_calls(inner);
            }
        }),
        Term::Arr(Some(inner)) | Term::Neg(inner) | Term::Label(_, inner) => count_calls(inner),
        Term::Obj(entries) => entries.iter_mut().for_each(|(key, value)| {
            count_calls(key);
            value.iter_mut().for_each(count_calls);
        }),
        Term::BinOp(left, _, right) => {
            count_calls(left);
            count_calls(right);
        }
        Term::Fold(_, items, _, args) => {
            count_calls(items);
            args.iter_mut().for_each(count_calls);
        }
        Term::TryCatch(inner, catch) => {
            count_calls(inner);
            catch.iter_mut().for_each(|catch| count_calls(catch));
        }
        Term::IfThenElse(arms, otherwise) => {
            arms.iter_mut().for_each(|(condition, then)| {
                count_calls(condition);
                count_calls(then);
            });
            otherwise.iter_mut().for_each(|otherwise| count_calls(otherwise));
        }
        Term::Def(defs, inner) => {
            defs.iter_mut().for_each(count_calls_of);
            count_calls(inner);
        }
        Term::Call(_, args) => args.iter_mut().for_each(count_calls),
        Term::Path(inner, path) => {
            count_calls(inner);
            path.0.iter_mut().for_each(|(part, _)| match part {
                Part::Index(index) => count_calls(index),
                Part::Range(from, to) => from.iter_mut().chain(to).for_each(count_calls),
            });
        }
    }
}

fn count_calls_of(def: &mut Def<&str>) {
    count_calls(&mut def.body);
    if def.args.iter().any(|arg| !arg.starts_with('$')) {
        let body = std::mem::take(&mut def.body);
        let called = Term::Call(natives::CALLED, Vec::new());
        def.body = Term::BinOp(Box::new(called), BinaryOp::Pipe(None), Box::new(body));
    }
}
