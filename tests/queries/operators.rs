//! What operators make of two sides: do their series find each other?

use std::collections::{BTreeMap, BTreeSet};

use backend_metrics::Shared;
use promql_parser::parser::{
    BinModifier, BinaryExpr, Expr, LabelModifier, VectorMatchCardinality as Cardinality,
};

use crate::{
    evaluation::{Evaluator, Value},
    series::{Label, Series},
};

impl Evaluator<'_> {
    pub(crate) fn operate(&mut self, operation: &BinaryExpr) -> Value {
        let compares = operation.op.is_comparison_operator();
        match (self.value(&operation.lhs), self.value(&operation.rhs)) {
            (Value::Number(_), Value::Number(_)) => Value::Number(None),
            // Whether something has happened at all is what a counter's level can tell.
            (Value::Series(series), Value::Number(Some(0.0)))
            | (Value::Number(Some(0.0)), Value::Series(series))
                if compares =>
            {
                let is_flag = operation.return_bool();
                Value::Series(if is_flag { series.level() } else { series })
            }
            (Value::Series(series), Value::Number(_))
            | (Value::Number(_), Value::Series(series)) => Value::Series(self.level(series)),
            (Value::Series(left), Value::Series(right)) => {
                let none = BinModifier::default();
                let sides = Sides {
                    op: operation.op.to_string(),
                    modifier: operation.modifier.as_ref().unwrap_or(&none),
                    left,
                    right,
                };
                let series = self.join(sides);
                Value::Series(if is_of_new_series(operation) { series.level() } else { series })
            }
            _ => Value::Unknown,
        }
    }

    fn join(&mut self, sides: Sides) -> Series {
        for fault in sides.faults() {
            self.fault(fault);
        }
        let labels = sides.labels();
        let Sides { op, left, right, .. } = sides;
        match op.as_str() {
            "or" => left.or(&right),
            // The right side is only there or not.
            "and" | "unless" => left,
            _ => {
                let shared = if right.is_shared() { Shared::Yes } else { left.shared };
                let (left, _) = (self.level(left), self.level(right));
                Series { labels, shared, ..left }
            }
        }
    }
}

/// Whether only those series are left that were not there some time ago: their counts since the start are those since
/// then.
fn is_of_new_series(operation: &BinaryExpr) -> bool {
    let name = |expr: &Expr| match expr {
        Expr::VectorSelector(selector) => selector.name.clone(),
        _ => None,
    };
    let is_past =
        matches!(&*operation.rhs, Expr::VectorSelector(selector) if selector.offset.is_some());
    let same = name(&operation.lhs).is_some_and(|left| Some(left) == name(&operation.rhs));
    operation.op.to_string() == "unless" && is_past && same
}

/// An operator between series.
struct Sides<'a> {
    op: String,
    modifier: &'a BinModifier,
    left: Series,
    right: Series,
}

impl Sides<'_> {
    fn faults(&self) -> Vec<String> {
        let mut faults = match self.op.as_str() {
            "or" => self.stands_beside().into_iter().collect(),
            "and" | "unless" => self.unmatched(),
            _ => [self.unmatched(), self.ambiguous(), self.not_included()].concat(),
        };
        faults.extend(self.unknown());
        let metric = &self.left.metric;
        faults
            .iter()
            .map(|fault| format!("{metric} {} {}: {fault}", self.op, self.right.metric))
            .collect()
    }

    /// Whether series of both sides must agree in this label.
    fn matches_by(&self, label: &str) -> bool {
        match &self.modifier.matching {
            None => true,
            Some(LabelModifier::Include(labels)) => {
                labels.labels.iter().any(|named| named == label)
            }
            Some(LabelModifier::Exclude(labels)) => {
                labels.labels.iter().all(|named| named != label)
            }
        }
    }

    /// Named labels that are not there.
    fn unknown(&self) -> Vec<String> {
        let (left, right) = (&self.left.labels, &self.right.labels);
        let named = self.modifier.matching.iter().flat_map(|matching| &matching.labels().labels);
        let is_on = self.modifier.is_matching_on();
        named
            .filter(|name| {
                let (left, right) = (left.contains_key(*name), right.contains_key(*name));
                if is_on { !(left && right) } else { !(left || right) }
            })
            .map(|name| format!("{name} is no label of {}", if is_on { "both" } else { "either" }))
            .collect()
    }

    /// Why no series finds one of the other side.
    fn unmatched(&self) -> Vec<String> {
        let names = |series: &Series| -> BTreeSet<String> {
            series.labels.keys().filter(|label| self.matches_by(label)).cloned().collect()
        };
        let (left, right) = (names(&self.left), names(&self.right));
        // A label that only one side has is told as unknown where the labels are named.
        if left != right && !self.modifier.is_matching_on() {
            let [left, right] = [left, right].map(|names| list(names.iter()));
            return vec![format!("the left side has the labels {left}, the right {right}")];
        }
        let both = left.intersection(&right);
        both.map(|name| (name, &self.left.labels[name], &self.right.labels[name]))
            .filter(|(_, left, right)| !left.meets(right))
            .map(|(name, left, right)| {
                let [left, right] = [left, right].map(|label| list(label.values.iter().flatten()));
                format!("{name} is {left} on the left and {right} on the right")
            })
            .collect()
    }

    /// Why a series finds several.
    fn ambiguous(&self) -> Vec<String> {
        let ones: &[(&str, &Series)] = match self.modifier.card {
            Cardinality::OneToOne => &[("left", &self.left), ("right", &self.right)],
            Cardinality::ManyToOne(_) => &[("right", &self.right)],
            Cardinality::OneToMany(_) => &[("left", &self.left)],
            Cardinality::ManyToMany => &[],
        };
        let mut faults = vec![];
        for (side, series) in ones {
            // A process has one series of its facts.
            if series.metric.ends_with("_info") && self.matches_by("instance") {
                continue;
            }
            let names = series.labels.keys().filter(|name| !self.matches_by(name));
            let several: Vec<&String> = names.filter(|name| series.differ_by(name)).collect();
            if !several.is_empty() {
                faults.push(format!("series of the {side} side differ by {} alone", list(several)));
            }
        }
        faults
    }

    /// Labels to include that the one side does not have.
    fn not_included(&self) -> Vec<String> {
        let (included, one) = self.included();
        let missing = included.iter().filter(|name| !one.labels.contains_key(**name));
        missing.map(|name| format!("{name} cannot be included")).collect()
    }

    /// Why `or vector(0)` is no value for what is missing: without the labels of the left side it is always there.
    fn stands_beside(&self) -> Option<String> {
        let plain = self.right.labels.is_empty() && !self.left.labels.is_empty();
        (plain && self.modifier.matching.is_none())
            .then(|| "the right side has no labels, so it is there beside the left one".to_owned())
    }

    /// The labels named by `group_left` or `group_right`, and the side they come from.
    fn included(&self) -> (Vec<&String>, &Series) {
        match &self.modifier.card {
            Cardinality::ManyToOne(labels) => (labels.labels.iter().collect(), &self.right),
            Cardinality::OneToMany(labels) => (labels.labels.iter().collect(), &self.left),
            _ => (vec![], &self.left),
        }
    }

    /// The labels of the result of arithmetic or of a comparison.
    fn labels(&self) -> BTreeMap<String, Label> {
        let many = match self.modifier.card {
            Cardinality::OneToMany(_) => &self.right,
            _ => &self.left,
        };
        let mut labels = many.labels.clone();
        if self.modifier.card == Cardinality::OneToOne {
            labels.retain(|name, _| self.matches_by(name));
        }
        let (included, one) = self.included();
        labels.extend(
            included
                .into_iter()
                .filter_map(|name| Some((name.clone(), one.labels.get(name)?.clone()))),
        );
        labels
    }
}

fn list<'a>(texts: impl IntoIterator<Item = &'a String>) -> String {
    let texts: Vec<&str> = texts.into_iter().map(String::as_str).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}
