//! Calls: is there such a function, does it take so many arguments, and of these kinds?

use diagnostic::{Code, Diagnostic, Span, did_you_mean};
use value::{Arena, Kind, Kinds, Signature};

use super::operator::{with_article, without_undefined};
use super::{Lower, outcome};
use crate::ast::{Name, NodeId};
use crate::catalog::{Function, Lookup};
use crate::ir::{Expr, ExprKind, FunctionId};

/// The one module whose functions may be named with it: it holds the built-in ones.
const MODULE: &str = "emqx_rule_funcs";

impl<'t> Lower<'t> {
    pub(super) fn call(&mut self, module: Option<&Name>, name: &Name, args: &[NodeId], span: Span) -> Expr {
        let args: Vec<Expr> = args.iter().map(|arg| self.expr(*arg)).collect();
        if let Some(module) = module.filter(|module| &*module.text != MODULE) {
            let message = format!("functions of the module `{}` cannot be called", module.text);
            let problem = Diagnostic::new(Code::ModuleNotAllowed, module.span, message)
                .help("only the built-in functions can be, and they need no module");
            self.report(problem);
            return unknown(args, span);
        }
        match self.catalog.function(&name.text) {
            Lookup::Known(function) => {
                let kinds = self.check_call(function, name, &args, span);
                Expr { kind: ExprKind::Call { function: function.id, args }, span, kinds }
            }
            Lookup::NotYet => {
                let message = format!("the function `{}` is not there yet", name.text);
                let problem = Diagnostic::new(Code::FunctionNotYet, name.span, message)
                    .note("the reference has it; this release does not");
                self.report(problem);
                unknown(args, span)
            }
            Lookup::Unknown => {
                let help = self.similar_function(&name.text);
                let message = format!("there is no function `{}`", name.text);
                self.report(Diagnostic::new(Code::UnknownFunction, name.span, message).maybe_help(help));
                unknown(args, span)
            }
        }
    }

    fn similar_function(&self, name: &str) -> Option<String> {
        if !self.has_room() {
            return None;
        }
        let mut names: Vec<String> = Vec::new();
        self.catalog.function_names(&mut |name| names.push(name.to_owned()));
        did_you_mean(name, names.iter().map(String::as_str))
    }

    /// Checks a call against the signatures; the kinds of its value.
    fn check_call(&mut self, function: Function<'_>, name: &Name, args: &[Expr], span: Span) -> Kinds {
        let of_this_length: Vec<&Signature> =
            function.signatures.iter().filter(|signature| takes(signature, args.len())).collect();
        if of_this_length.is_empty() {
            let problem = Diagnostic::new(
                Code::Arity,
                span,
                arity_message(&name.text, function.signatures, args.len()),
            );
            self.report(with_usage(problem, function));
            return Kinds::ANY;
        }
        let fitting: Vec<&Signature> = of_this_length
            .iter()
            .copied()
            .filter(|signature| args.iter().enumerate().all(|(at, arg)| suits(arg, wanted(signature, at))))
            .collect();
        if fitting.is_empty() {
            self.report_argument(function, name, args, &of_this_length);
            return Kinds::ANY;
        }
        self.check_constants(function, name, args, span);
        fitting.iter().fold(Kinds::NONE, |kinds, signature| kinds.union(signature.result))
    }

    /// Reports a call that its constant arguments let fail for every message.
    fn check_constants(&mut self, function: Function<'_>, name: &Name, args: &[Expr], span: Span) {
        let arena = Arena::new();
        let constants: Vec<_> = args.iter().map(|arg| outcome::constant(arg, &arena)).collect();
        if constants.iter().all(Option::is_none) || !self.has_room() {
            return;
        }
        let Some(refusal) = self.catalog.refuses(function.id, &constants) else { return };
        let code = if refusal.counts_from_one { Code::IndexZero } else { Code::AlwaysFails };
        let place = refusal.argument.and_then(|at| args.get(at)).map_or(span, |arg| arg.span);
        let problem = Diagnostic::new(code, place, format!("`{}`: {}", name.text, refusal.reason));
        self.report(with_usage(problem, function));
    }

    /// Reports the first argument that suits no signature, or else that they do not go together.
    fn report_argument(
        &mut self,
        function: Function<'_>,
        name: &Name,
        args: &[Expr],
        signatures: &[&Signature],
    ) {
        let all_wanted =
            |at| signatures.iter().fold(Kinds::NONE, |kinds, signature| kinds.union(wanted(signature, at)));
        let wrong = args.iter().enumerate().find(|(at, arg)| !suits(arg, all_wanted(*at)));
        let (at, arg) = wrong.unwrap_or((0, &args[0]));
        let found = with_article(without_undefined(arg.kinds));
        let message = match wrong {
            Some(_) => {
                let wanted = with_article(all_wanted(at));
                format!("`{}` takes {wanted} as argument {}, found {found}", name.text, at + 1)
            }
            None => format!("`{}` does not take arguments of these kinds together", name.text),
        };
        let problem = Diagnostic::new(Code::ArgumentKind, arg.span, message).label(found);
        self.report(with_usage(problem, function));
    }
}

/// A call that cannot be made; the statement has an error, so nobody runs it.
fn unknown(args: Vec<Expr>, span: Span) -> Expr {
    Expr { kind: ExprKind::Call { function: FunctionId(u32::MAX), args }, span, kinds: Kinds::ANY }
}

fn with_usage(problem: Diagnostic, function: Function<'_>) -> Diagnostic {
    if function.usage.is_empty() { problem } else { problem.help(function.usage) }
}

fn takes(signature: &Signature, count: usize) -> bool {
    count >= signature.required && (signature.variadic || count <= signature.params.len())
}

/// The kinds that argument `at` may have.
fn wanted(signature: &Signature, at: usize) -> Kinds {
    let last = signature.params.len().saturating_sub(1);
    signature.params.get(at.min(last)).copied().unwrap_or(Kinds::ANY)
}

/// Whether an argument may turn out right. What is undefined throughout has been reported already.
fn suits(arg: &Expr, wanted: Kinds) -> bool {
    arg.kinds.meets(wanted) || arg.kinds == Kinds::of(Kind::Undefined) || arg.kinds == Kinds::NONE
}

/// `` `substr` takes 2 or 3 arguments, found 1 ``
fn arity_message(name: &str, signatures: &[Signature], found: usize) -> String {
    let mut counts: Vec<usize> =
        signatures.iter().flat_map(|signature| signature.required..=signature.params.len()).collect();
    counts.sort_unstable();
    counts.dedup();
    let more = signatures.iter().any(|signature| signature.variadic);
    let takes = match (counts.as_slice(), more) {
        ([], _) | ([0], false) => "no arguments".to_owned(),
        ([least, ..], true) => format!("{least} or more arguments"),
        ([1], false) => "1 argument".to_owned(),
        ([only], false) => format!("{only} arguments"),
        ([rest @ .., last], false) => {
            let rest: Vec<String> = rest.iter().map(usize::to_string).collect();
            format!("{} or {last} arguments", rest.join(", "))
        }
    };
    format!("`{name}` takes {takes}, found {found}")
}
