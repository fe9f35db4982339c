//! What functions make of series, and which numbers they are for.

use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{Call, Expr, VectorSelector, value::ValueType},
};

use crate::{
    evaluation::{Evaluator, Value},
    series::{Label, Series},
};

impl Evaluator<'_> {
    pub(crate) fn call(&mut self, call: &Call) -> Value {
        let name = call.func.name;
        let args: Vec<&Expr> = call.args.args.iter().map(AsRef::as_ref).collect();
        let values: Vec<Value> = args.iter().map(|arg| self.value(arg)).collect();
        if values.iter().any(|value| matches!(value, Value::Unknown)) {
            return Value::Unknown;
        }
        let texts: Vec<String> = values.iter().filter_map(text).collect();
        let number = values.iter().find_map(|value| match value {
            Value::Number(number) => *number,
            _ => None,
        });
        let Some(series) = values.into_iter().find_map(series) else {
            return match call.func.return_type {
                ValueType::Scalar => Value::Number(None),
                _ => Value::Series(Series::plain(name)),
            };
        };
        let result = match name {
            // How often a level has fallen.
            "resets" if !series.is_counter() => series.level(),
            "rate" | "irate" | "increase" | "resets" => self.change(name, series, args[0]),
            // Only whether there are any, and when.
            "absent" | "absent_over_time" => absent(&series.metric, args[0]),
            "present_over_time" | "count_over_time" | "timestamp" => series.level(),
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => series,
            "histogram_quantile" => self.histogram_quantile(series, number),
            "label_replace" => self.label_replace(series, &texts),
            "label_join" => self.label_join(series, &texts),
            "quantile_over_time" => {
                self.quantile(&series.metric, number.unwrap_or_default());
                self.level(series)
            }
            _ => self.level(series),
        };
        match call.func.return_type {
            ValueType::Scalar => Value::Number(None),
            _ => Value::Series(result),
        }
    }

    /// The functions that tell a restart from a fall.
    fn change(&mut self, name: &str, series: Series, range: &Expr) -> Series {
        if !series.is_counter() {
            self.fault(format!("{}: {name} is for counters, which it is not", series.metric));
        } else if !matches!(range, Expr::MatrixSelector(_)) {
            self.fault(format!(
                "{}: {name} comes before anything else, or restarts are lost",
                series.metric
            ));
        }
        Series { buckets: series.buckets && name != "resets", ..series.level() }
    }

    fn histogram_quantile(&mut self, series: Series, quantile: Option<f64>) -> Series {
        if let Some(quantile) = quantile {
            self.quantile(&series.metric, quantile);
        }
        if !(series.buckets && series.differ_by("le")) {
            self.fault(format!(
                "{}: histogram_quantile is for buckets with their le",
                series.metric
            ));
        }
        let mut result = Series { buckets: false, ..self.level(series) };
        result.labels.remove("le");
        result
    }

    fn label_replace(&mut self, series: Series, texts: &[String]) -> Series {
        let [target, replacement, source, _] = texts else { return series };
        self.require_sources(&series, [source]);
        let value = if replacement.contains('$') { Label::ANY } else { Label::of([replacement]) };
        series.with(target, value)
    }

    fn label_join(&mut self, series: Series, texts: &[String]) -> Series {
        let [target, _, sources @ ..] = texts else { return series };
        self.require_sources(&series, sources);
        series.with(target, Label::ANY)
    }

    /// The empty name is a label that no series has, for a text that is always the same.
    fn require_sources<'a>(
        &mut self,
        series: &Series,
        sources: impl IntoIterator<Item = &'a String>,
    ) {
        for source in sources {
            if !(source.is_empty() || series.labels.contains_key(source)) {
                self.fault(format!("{} has no label {source} to take", series.metric));
            }
        }
    }
}

/// What `absent` gives: a series with the labels that are asked for by `=`.
fn absent(metric: &str, arg: &Expr) -> Series {
    let matchers: &[Matcher] = match arg {
        Expr::VectorSelector(VectorSelector { matchers, .. }) => &matchers.matchers,
        Expr::MatrixSelector(range) => &range.vs.matchers.matchers,
        _ => &[],
    };
    let equal = matchers.iter().filter(|matcher| matches!(matcher.op, MatchOp::Equal));
    equal.fold(Series::plain(metric), |series, Matcher { name, value, .. }| {
        series.with(name, Label::of([value]))
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn series(value: Value) -> Option<Series> {
    match value {
        Value::Series(series) => Some(series),
        _ => None,
    }
}
