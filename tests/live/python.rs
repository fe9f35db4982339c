//! The parsers of the Python client, of which that of `OpenMetrics` is the reference.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use backend_metrics::Format;
use serde_json::Value;

use crate::process::spawn;

/// Debian's, which has Debian's packages.
const PYTHON: &str = "/usr/bin/python3";

/// Numbers are printed as text, as JSON has neither NaN nor infinity.
const SCRIPT: &str = r#"
import json, sys
if sys.argv[1] == "openmetrics":
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
else:
    from prometheus_client.parser import text_string_to_metric_families as parse
def exemplar(of):
    return of and {"labels": of.labels, "value": repr(of.value), "timestamp": repr(float(of.timestamp))}
text = sys.stdin.buffer.read().decode()
print(json.dumps([{
    "name": family.name, "kind": family.type, "unit": family.unit, "help": family.documentation,
    "samples": [{
        "name": sample.name, "labels": sample.labels, "value": repr(float(sample.value)),
        "exemplar": exemplar(sample.exemplar), "timestamp": sample.timestamp,
    } for sample in family.samples],
} for family in parse(text)]))
"#;

/// A family as the parser understood it.
#[derive(Debug, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) unit: String,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample>,
}

/// A sample as the parser understood it.
#[derive(Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: Number,
    pub(crate) exemplar: Option<Exemplar>,
}

/// What a sample is exemplified by.
#[derive(Debug, PartialEq)]
pub(crate) struct Exemplar {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: Number,
    pub(crate) timestamp: Number,
}

/// The bits of a number; all that are none are one.
#[derive(Debug, PartialEq)]
pub(crate) struct Number(u64);

impl Number {
    pub(crate) fn of(number: f64) -> Self {
        Self(if number.is_nan() { f64::NAN } else { number }.to_bits())
    }
}

/// What the parser makes of an exposition.
///
/// # Panics
///
/// When it refuses it.
#[track_caller]
pub(crate) fn parse(exposition: &str, format: Format) -> Vec<Family> {
    let format = if format == Format::OpenMetrics { "openmetrics" } else { "text" };
    let mut child = spawn(
        Command::new(PYTHON)
            .args(["-c", SCRIPT, format])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    // It reads all before it writes. Dropping the pipe ends the input.
    let written = child.stdin.take().expect("the input is a pipe").write_all(exposition.as_bytes());
    let output = child.wait_with_output().expect("a child can be waited for");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "python3-prometheus-client, {format}: {complaints}");
    written.expect("the script reads all");
    let families: Value = serde_json::from_slice(&output.stdout).expect("the script prints JSON");
    let families = families.as_array().expect("it is a list").iter();
    families.map(|answer| family(answer).unwrap_or_else(|| panic!("{answer}"))).collect()
}

fn family(of: &Value) -> Option<Family> {
    Some(Family {
        name: of["name"].as_str()?.into(),
        kind: of["kind"].as_str()?.into(),
        unit: of["unit"].as_str()?.into(),
        help: of["help"].as_str()?.into(),
        samples: of["samples"].as_array()?.iter().map(sample).collect::<Option<_>>()?,
    })
}

fn sample(of: &Value) -> Option<Sample> {
    let exemplar = match &of["exemplar"] {
        Value::Null => None,
        exemplar => Some(Exemplar {
            labels: texts(&exemplar["labels"])?,
            value: number(&exemplar["value"])?,
            timestamp: number(&exemplar["timestamp"])?,
        }),
    };
    of["timestamp"].is_null().then_some(Sample {
        name: of["name"].as_str()?.into(),
        labels: texts(&of["labels"])?,
        value: number(&of["value"])?,
        exemplar,
    })
}

fn texts(of: &Value) -> Option<BTreeMap<String, String>> {
    let texts = of.as_object()?.iter();
    texts.map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned()))).collect()
}

fn number(of: &Value) -> Option<Number> {
    of.as_str()?.parse().ok().map(Number::of)
}
