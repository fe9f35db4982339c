//! What is left of series by `sum`, `max` and the like.

use backend_metrics::Shared;
use promql_parser::parser::{AggregateExpr, LabelModifier};

use crate::{
    evaluation::{Evaluator, Value},
    series::{Label, Number, Series},
};

impl Evaluator<'_> {
    pub(crate) fn aggregate(&mut self, aggregation: &AggregateExpr) -> Value {
        let AggregateExpr { op, expr, param, modifier } = aggregation;
        let param = param.as_ref().map(|param| self.value(param));
        let Value::Series(inner) = self.value(expr) else { return Value::Unknown };
        let op = op.to_string();
        let metric = &inner.metric;

        let named = modifier.iter().flat_map(|modifier| &modifier.labels().labels);
        for label in named.filter(|label| !inner.labels.contains_key(*label)) {
            self.fault(format!("{metric} has no label {label} for this {op}"));
        }
        match (op.as_str(), &param) {
            // They choose among the series.
            ("topk" | "bottomk" | "limitk" | "limit_ratio", _) => return Value::Series(inner),
            ("quantile", Some(Value::Number(Some(quantile)))) => self.quantile(metric, *quantile),
            _ => {}
        }

        let drops =
            |label: &str| inner.labels.contains_key(label) && !keeps(modifier.as_ref(), label);
        let merges = |label: &str| drops(label) && inner.differ_by(label);
        let extreme = matches!(op.as_str(), "max" | "min" | "group");
        if inner.is_shared() && merges("instance") && !extreme {
            self.fault(format!(
                "{metric}: {op} over replicas, which all report the same number: take their max first"
            ));
        } else if op == "avg" && merges("instance") {
            self.fault(format!(
                "{metric}: avg over replicas, where one NaN makes it NaN and each weighs the same"
            ));
        }
        if inner.buckets && merges("le") && !extreme {
            self.fault(format!("{metric}: {op} over buckets, each of which counts those below it"));
        }

        let is_count = matches!(op.as_str(), "count" | "count_values" | "group");
        let mut result = Series {
            number: if is_count { Number::Level } else { inner.number },
            buckets: inner.buckets && !drops("le"),
            shared: if drops("instance") { Shared::No } else { inner.shared },
            ..inner.clone()
        };
        result.labels.retain(|label, _| !drops(label));
        if let Some(Value::Text(label)) = param {
            result = result.with(&label, Label::ANY);
        }
        Value::Series(result)
    }

    pub(crate) fn quantile(&mut self, metric: &str, quantile: f64) {
        if !(0.0..=1.0).contains(&quantile) {
            self.fault(format!("{metric}: the quantile {quantile} is not from 0 to 1"));
        }
    }
}

fn keeps(modifier: Option<&LabelModifier>, label: &str) -> bool {
    match modifier {
        None => false,
        Some(LabelModifier::Include(labels)) => labels.labels.iter().any(|kept| kept == label),
        Some(LabelModifier::Exclude(labels)) => {
            labels.labels.iter().all(|dropped| dropped != label)
        }
    }
}
