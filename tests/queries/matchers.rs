//! Checks the selectors of an expression, and tells what they leave of a metric's series.

use backend_metrics::Shared;
use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{VectorSelector, token},
};

use crate::{
    expressions::Kind,
    series::Series,
    vocabulary::{OF_TARGETS, OTHER_JOBS, Vocabulary},
};

/// The label that is the name of the metric.
const NAME: &str = "__name__";

/// The series that a selector leaves; none if its metric is unknown.
pub(crate) fn select(
    vocabulary: &Vocabulary,
    kind: &Kind,
    selector: &VectorSelector,
    faults: &mut Vec<String>,
) -> Option<Series> {
    let metrics = metrics(kind, selector);
    let mut all: Option<Series> = None;
    for metric in &metrics {
        match vocabulary.series(metric) {
            Ok(series) => {
                all = Some(all.map_or_else(|| series.clone(), |others| others.or(series)));
            }
            Err(fault) => {
                faults.push(fault);
                return None;
            }
        }
    }
    let Some(mut series) = all else {
        faults.push(format!("{selector} has no name of a metric"));
        return None;
    };
    let metric = &series.metric;
    if !selector.matchers.or_matchers.is_empty() {
        faults.push(format!("{metric}: `or` between matchers is no PromQL"));
    }
    require_target(kind, selector, &series, faults);
    if is_of_jobs(kind) {
        let foreign = metrics.iter().filter(|metric| is_of_any_job(metric));
        faults.extend(foreign.map(|metric| format!("{metric} is not of this service alone")));
    }
    for matcher in selector.matchers.matchers.iter().filter(|matcher| matcher.name != NAME) {
        if let Err(fault) = narrow(&mut series, matcher, kind) {
            faults.push(fault);
        }
    }
    series.shared = if series.is_shared() { Shared::Yes } else { Shared::No };
    Some(series)
}

/// The metrics that a selector names: one, or in a rule several, or for the jobs of the service each that tells them
/// from others.
fn metrics(kind: &Kind, selector: &VectorSelector) -> Vec<String> {
    let one = selector.name.clone();
    let several = selector.matchers.find_matchers(NAME);
    let is_rule = matches!(kind, Kind::Recording { .. } | Kind::Alert { .. });
    let several = several.iter().filter(|_| is_of_jobs(kind) || is_rule);
    one.into_iter()
        .chain(several.flat_map(|names| names.value.split('|').map(str::to_owned)))
        .collect()
}

/// Whether it is the list of jobs, by which all else is narrowed down to this service.
fn is_of_jobs(kind: &Kind) -> bool {
    matches!(kind, Kind::Variable(name) if name == "job")
}

/// Whether targets that know nothing of this library have the metric too.
fn is_of_any_job(metric: &str) -> bool {
    OF_TARGETS.contains(&metric) || metric.starts_with("process_") || metric.starts_with("ALERTS")
}

/// Every metric of a target is asked of the service's targets alone, by text that can be replaced; one that all targets
/// or other jobs have may be asked of the jobs of the stack.
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
        _ if is_of_jobs(kind) => &[],
        // All instances: the list of instances is one of them, and a restart may end with another address.
        Kind::Variable(_) | Kind::Annotation => &[("job", r#"job=~"$job""#)],
        Kind::Recording { .. } | Kind::Alert { .. } | Kind::Prose => &[("job", r#"job="backend""#)],
    };
    let is_of_the_stack = |given: &[Matcher]| {
        let mut jobs = given.iter().flat_map(|given| alternatives(&given.value));
        !given.is_empty() && jobs.all(|job| OTHER_JOBS.contains(&job))
    };
    for (label, matcher) in required {
        let Some(of_series) = series.labels.get(*label).filter(|label| label.always) else {
            continue;
        };
        let given = selector.matchers.find_matchers(label);
        // One job alone has it, which is not the service.
        let own =
            of_series.values.iter().flatten().filter(|job| OTHER_JOBS.contains(&job.as_str()));
        let own = own.map(|job| format!("job={job:?}"));
        let matcher = own.last().filter(|_| *label == "job").unwrap_or((*matcher).to_owned());
        let of_any = is_of_any_job(&series.metric);
        let is_panel = matches!(kind, Kind::Target { .. });
        if of_any && !is_panel && is_of_the_stack(&given) {
            continue;
        }
        if !given.iter().any(|given| given.to_string() == matcher) {
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
