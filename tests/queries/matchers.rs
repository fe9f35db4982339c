//! Checks the selectors of an expression, and tells what they leave of a metric's series.

use backend_metrics::Shared;
use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{VectorSelector, token},
};

use crate::{expressions::Kind, series::Series, vocabulary::Vocabulary};

/// The series that a selector leaves; none if its metric is unknown.
pub(crate) fn select(
    vocabulary: &Vocabulary,
    kind: &Kind,
    selector: &VectorSelector,
    faults: &mut Vec<String>,
) -> Option<Series> {
    let Some(metric) = &selector.name else {
        faults.push(format!("{selector} has no name of a metric"));
        return None;
    };
    let mut series = match vocabulary.series(metric) {
        Ok(series) => series.clone(),
        Err(fault) => {
            faults.push(fault);
            return None;
        }
    };
    if !selector.matchers.or_matchers.is_empty() {
        faults.push(format!("{metric}: `or` between matchers is no PromQL"));
    }
    require_target(kind, selector, &series, faults);
    for matcher in &selector.matchers.matchers {
        if let Err(fault) = narrow(&mut series, matcher, kind) {
            faults.push(fault);
        }
    }
    series.shared = if series.is_shared() { Shared::Yes } else { Shared::No };
    Some(series)
}

/// Every metric of a target is asked of the service's targets alone, by text that can be replaced.
fn require_target(
    kind: &Kind,
    selector: &VectorSelector,
    series: &Series,
    faults: &mut Vec<String>,
) {
    let required: &[(&str, &str)] = match kind {
        Kind::Target { .. } => {
            &[("job", r#"job=~"$job""#), ("instance", r#"instance=~"$instance""#)]
        }
        // It selects from what it is about to offer.
        Kind::Variable(name) if name == "job" => &[],
        // All instances: the list of instances is one of them, and a restart may end with another address.
        Kind::Variable(_) | Kind::Annotation => &[("job", r#"job=~"$job""#)],
        Kind::Recording { .. } | Kind::Alert { .. } | Kind::Prose => &[("job", r#"job="backend""#)],
    };
    for (label, matcher) in required {
        let has_label = series.labels.get(*label).is_some_and(|label| label.always);
        let given = selector.matchers.find_matchers(label);
        if has_label && !given.iter().any(|given| given.to_string() == *matcher) {
            faults.push(format!("{} is selected without {matcher}", series.metric));
        }
    }
}

/// Keeps the values that the matcher matches, if it can match any.
fn narrow(series: &mut Series, matcher: &Matcher, kind: &Kind) -> Result<(), String> {
    let Matcher { op, name, value } = matcher;
    let metric = &series.metric;
    let label = series.labels.get_mut(name);
    let label = label.ok_or_else(|| format!("{metric} has no label {name}"))?;
    let is_dashboard = matches!(kind, Kind::Target { .. } | Kind::Annotation | Kind::Variable(_));
    if is_dashboard && value.starts_with('$') {
        return Ok(());
    }
    let Some(values) = &mut label.values else {
        if matches!(op, MatchOp::Equal) {
            label.values = Some([value.clone()].into());
        }
        return Ok(());
    };
    let is_regex = matches!(op, MatchOp::Re(_) | MatchOp::NotRe(_));
    for pattern in if is_regex { alternatives(value) } else { vec![value.as_str()] } {
        let positive = positive(name, pattern, is_regex);
        if !values.iter().any(|value| positive.is_match(value)) {
            return Err(format!("{metric}: {name} is never {pattern}"));
        }
    }
    values.retain(|value| matcher.is_match(value));
    if values.is_empty() {
        return Err(format!("{metric}: no {name} is left by {matcher}"));
    }
    Ok(())
}

/// The patterns of a plain alternation, or else the whole.
fn alternatives(pattern: &str) -> Vec<&str> {
    if pattern.contains(['(', '[', '\\']) { vec![pattern] } else { pattern.split('|').collect() }
}

/// The matcher for what equals a pattern.
fn positive(name: &str, pattern: &str, is_regex: bool) -> Matcher {
    let operator = if is_regex { token::T_EQL_REGEX } else { token::T_EQL };
    Matcher::new_matcher(operator, name.to_owned(), pattern.to_owned())
        .expect("a part of a pattern without brackets is one")
}
