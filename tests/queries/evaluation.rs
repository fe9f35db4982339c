//! Goes through an expression from the inside out: what series does each part give, and may they be used so?

use promql_parser::parser::{self, Expr, VectorSelector};

use crate::{
    expressions::{Expression, Kind},
    matchers::select,
    series::Series,
    vocabulary::Vocabulary,
};

/// Windows of Grafana, so that an expression parses; their lengths do not matter here.
const WINDOWS: &[(&str, &str)] =
    &[("__rate_interval", "1m"), ("__interval", "15s"), ("__range", "15m")];

/// What is known of an expression.
#[derive(Debug)]
pub(crate) struct Evaluation {
    /// The rules that it breaks, each with its metric.
    pub(crate) faults: Vec<String>,
    /// The series that it gives, if they can be told.
    pub(crate) series: Option<Series>,
    /// The metrics that it selects.
    pub(crate) metrics: Vec<String>,
}

/// Checks an expression against what it may name.
pub(crate) fn evaluate(vocabulary: &Vocabulary, expression: &Expression) -> Evaluation {
    let mut evaluator =
        Evaluator { vocabulary, kind: &expression.kind, faults: vec![], metrics: vec![] };
    let series = match parser::parse(&expression.with(WINDOWS)) {
        Ok(parsed) => evaluator.result(&parsed, &expression.printed),
        Err(fault) => {
            evaluator.faults.push(fault);
            None
        }
    };
    Evaluation { faults: evaluator.faults, series, metrics: evaluator.metrics }
}

/// What a part of an expression gives.
pub(crate) enum Value {
    /// A number, if it stands there.
    Number(Option<f64>),
    Text(String),
    Series(Series),
    /// A fault was found that leaves no more to say.
    Unknown,
}

pub(crate) struct Evaluator<'a> {
    vocabulary: &'a Vocabulary,
    kind: &'a Kind,
    faults: Vec<String>,
    metrics: Vec<String>,
}

impl Evaluator<'_> {
    fn result(&mut self, expr: &Expr, printed: &[String]) -> Option<Series> {
        let series = match self.value(expr) {
            Value::Series(series) => self.level(series),
            Value::Number(_) => Series::plain("a number"),
            Value::Text(_) | Value::Unknown => return None,
        };
        for label in printed.iter().filter(|label| !series.labels.contains_key(*label)) {
            self.fault(format!(
                "{}: {label} is printed, which the result does not have",
                series.metric
            ));
        }
        Some(series)
    }

    pub(crate) fn value(&mut self, expr: &Expr) -> Value {
        match expr {
            Expr::NumberLiteral(number) => Value::Number(Some(number.val)),
            Expr::StringLiteral(text) => Value::Text(text.val.clone()),
            Expr::VectorSelector(selector) => self.select(selector),
            Expr::MatrixSelector(range) => self.select(&range.vs),
            Expr::Subquery(query) => self.value(&query.expr),
            Expr::Paren(inner) => self.value(&inner.expr),
            Expr::Unary(inner) => match self.value(&inner.expr) {
                Value::Series(series) => Value::Series(self.level(series)),
                value => value,
            },
            Expr::Aggregate(aggregation) => self.aggregate(aggregation),
            Expr::Binary(operation) => self.operate(operation),
            Expr::Call(call) => self.call(call),
            Expr::Extension(_) => Value::Unknown,
        }
    }

    /// The series, for a use that asks how great their numbers are.
    pub(crate) fn level(&mut self, series: Series) -> Series {
        if series.is_counter() {
            self.fault(format!(
                "{}: its number counts from the start of a process: take the rate or the increase",
                series.metric
            ));
        }
        series.level()
    }

    pub(crate) fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    fn select(&mut self, selector: &VectorSelector) -> Value {
        self.metrics.extend(selector.name.clone());
        let series = select(self.vocabulary, self.kind, selector, &mut self.faults);
        series.map_or(Value::Unknown, Value::Series)
    }
}
