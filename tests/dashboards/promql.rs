//! `PromQL` of dashboards and rules as a tree.

use std::time::Duration;

use promql_parser::parser::{self, Expr, VectorSelector};

use crate::expressions;

/// Stands for `$__rate_interval`: a length that nobody writes.
pub(crate) const RATE_INTERVAL: Duration = Duration::from_secs(4357);

pub(crate) fn parse(text: &str) -> Result<Expr, String> {
    let variables = [("__interval", "61s"), ("__range", "86413s"), ("__rate_interval", "4357s")];
    parser::parse(&expressions::fill_in(text, &variables))
        .map_err(|error| format!("{error}: {text}"))
}

/// Calls `visit` with each part of an expression, and with what it is part of, the whole first.
pub(crate) fn walk<'a>(expr: &'a Expr, visit: &mut impl FnMut(&'a Expr, &[&'a Expr])) {
    descend(expr, &mut Vec::new(), visit);
}

fn descend<'a>(
    expr: &'a Expr,
    within: &mut Vec<&'a Expr>,
    visit: &mut impl FnMut(&'a Expr, &[&'a Expr]),
) {
    visit(expr, within);
    within.push(expr);
    for part in parts(expr) {
        descend(part, within, visit);
    }
    within.pop();
}

fn parts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(of) => of.param.iter().chain([&of.expr]).map(AsRef::as_ref).collect(),
        Expr::Binary(of) => vec![&of.lhs, &of.rhs],
        Expr::Call(of) => of.args.args.iter().map(AsRef::as_ref).collect(),
        Expr::Paren(of) => vec![&of.expr],
        Expr::Subquery(of) => vec![&of.expr],
        Expr::Unary(of) => vec![&of.expr],
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => vec![],
    }
}

pub(crate) fn selectors(expr: &Expr) -> Vec<&VectorSelector> {
    let mut found = Vec::new();
    walk(expr, &mut |part, _| match part {
        Expr::VectorSelector(selector) => found.push(selector),
        Expr::MatrixSelector(matrix) => found.push(&matrix.vs),
        _ => {}
    });
    found
}

/// The number that an expression is, in parentheses or negative as well.
pub(crate) fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::NumberLiteral(literal) => Some(literal.val),
        Expr::Paren(of) => number(&of.expr),
        Expr::Unary(of) => number(&of.expr).map(|number| -number),
        _ => None,
    }
}
