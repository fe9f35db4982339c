//! A panel: what it is called, what it means, what it asks for, and its limits.

mod colours;
mod json;

use serde_json::{Map, Value, json};

use crate::query::{self, expand, legend};

/// Units by their names in Grafana.
pub(crate) mod unit {
    pub(crate) const BYTES: &str = "bytes";
    pub(crate) const EVENTS: &str = "cps";
    pub(crate) const NUMBER: &str = "short";
    pub(crate) const OPERATIONS: &str = "ops";
    /// From 0 to 100.
    pub(crate) const PERCENT: &str = "percent";
    pub(crate) const QUERIES: &str = "qps";
    /// From 0 to 1.
    pub(crate) const RATIO: &str = "percentunit";
    pub(crate) const REQUESTS: &str = "reqps";
    pub(crate) const RUPEES: &str = "currencyINR";
    pub(crate) const SECONDS: &str = "s";
}

#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// What is drawn.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Bars,
    Gauge,
    Heatmap,
    Logs,
    Pie,
    Stat,
    States,
    Table,
    TimeSeries,
}

/// What a query is read as.
#[derive(Clone, Copy, PartialEq)]
enum Span {
    /// Every moment of the range.
    Range,
    /// The last moment.
    Instant,
}

struct Target {
    query: String,
    legend: String,
}

/// A level from which on a panel has a colour.
struct Limit {
    value: f64,
    colour: &'static str,
}

pub(crate) struct Panel {
    title: &'static str,
    description: &'static str,
    kind: Kind,
    unit: &'static str,
    span: Span,
    /// Where it does not go with the others of its row.
    pub(crate) size: Option<Size>,
    targets: Vec<Target>,
    base_colour: &'static str,
    limits: Vec<Limit>,
    /// What series are coloured by in place of what panels of its kind are.
    colour: Option<Value>,
    min: Option<f64>,
    max: Option<f64>,
    /// The shortest time between two points.
    interval: Option<&'static str>,
    stacked: bool,
    logarithmic: bool,
    /// What the axis reaches down to, at least.
    soft_min: Option<f64>,
    decimals: Option<u8>,
    no_value: Option<&'static str>,
    mappings: Vec<Value>,
    overrides: Vec<Value>,
    transformations: Vec<Value>,
    runbooks: Vec<&'static str>,
    details: Vec<(&'static str, &'static str)>,
}

/// Lines over time.
pub(crate) fn timeseries(title: &'static str, unit: &'static str) -> Panel {
    Panel::new(Kind::TimeSeries, title, unit).min(0.0)
}

/// One number, of now: a range would go on to show the last one of a service that is down.
pub(crate) fn stat(title: &'static str, unit: &'static str) -> Panel {
    Panel::new(Kind::Stat, title, unit).size(4, 4).instant()
}

/// A share of a whole, of now.
pub(crate) fn gauge(title: &'static str) -> Panel {
    Panel::new(Kind::Gauge, title, unit::RATIO).range(0.0, 1.0).instant()
}

/// The largest values at the end of the range.
pub(crate) fn bars(title: &'static str, unit: &'static str) -> Panel {
    Panel::new(Kind::Bars, title, unit).min(0.0).instant()
}

/// The shares of a total over the range.
pub(crate) fn pie(title: &'static str) -> Panel {
    Panel::new(Kind::Pie, title, unit::NUMBER).instant()
}

/// A histogram over time.
pub(crate) fn heatmap(title: &'static str, histogram: &str) -> Panel {
    let query = format!("sum by (le) (increase({histogram}_bucket{{@}}[$__rate_interval]))");
    Panel::new(Kind::Heatmap, title, unit::SECONDS).query("{{le}}", query)
}

/// States over time.
pub(crate) fn states(title: &'static str) -> Panel {
    Panel::new(Kind::States, title, "none")
}

/// Series as rows, at the end of the range. A cell of a series without the label has no more than a dash: the text
/// for a table without rows is not for it.
pub(crate) fn table(title: &'static str) -> Panel {
    let cells = json!({"id": "byRegexp", "options": ".*"});
    Panel::new(Kind::Table, title, "none").instant().property(&cells, "noValue", &json!("–"))
}

/// Lines of the log.
pub(crate) fn logs(title: &'static str, logql: &str) -> Panel {
    Panel::new(Kind::Logs, title, "none").query("", logql)
}

impl Panel {
    fn new(kind: Kind, title: &'static str, unit: &'static str) -> Self {
        Self {
            title,
            description: "",
            kind,
            unit,
            span: Span::Range,
            size: None,
            targets: Vec::new(),
            base_colour: "green",
            limits: Vec::new(),
            colour: None,
            min: None,
            max: None,
            interval: None,
            stacked: false,
            logarithmic: false,
            soft_min: None,
            decimals: None,
            no_value: None,
            mappings: Vec::new(),
            overrides: Vec::new(),
            transformations: Vec::new(),
            runbooks: Vec::new(),
            details: Vec::new(),
        }
    }

    /// What it means, and what to do about it.
    pub(crate) fn says(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    pub(crate) fn size(mut self, width: u32, height: u32) -> Self {
        self.size = Some(Size { width, height });
        self
    }

    pub(crate) fn query(mut self, legend: &str, query: impl AsRef<str>) -> Self {
        let target = Target { query: expand(query.as_ref()), legend: legend.to_owned() };
        self.targets.push(target);
        self
    }

    /// Events per second of a counter, by labels.
    pub(crate) fn rate(self, counter: &str, by: &[&str]) -> Self {
        self.query(&legend(by), query::rate(counter, by))
    }

    /// The share that some events of a counter have in others of it, by labels.
    pub(crate) fn share(self, counter: &str, by: &[&str], some: &str, of: &str) -> Self {
        let query = query::share(counter, by, some, of);
        self.query(&legend(by), query).over_a_minute().range(0.0, 1.0)
    }

    /// The sum of a gauge, by labels.
    pub(crate) fn level(self, gauge: &str, by: &[&str]) -> Self {
        self.query(&legend(by), query::level(gauge, by))
    }

    /// The 95th percentile of a histogram, by labels.
    pub(crate) fn p95(self, histogram: &str, by: &[&str]) -> Self {
        let name = if by.is_empty() { "p95".to_owned() } else { legend(by) };
        self.query(&name, query::quantile(0.95, histogram, by)).over_a_minute()
    }

    /// The 99th percentile of a histogram.
    pub(crate) fn p99(self, histogram: &str) -> Self {
        self.query("p99", query::quantile(0.99, histogram, &[])).over_a_minute()
    }

    /// The median, the 95th and the 99th percentile of a histogram.
    pub(crate) fn quantiles(self, histogram: &str) -> Self {
        self.query("p50", query::quantile(0.5, histogram, &[])).p95(histogram, &[]).p99(histogram)
    }

    /// Rates of a minute at least: a ratio or a quantile of a handful of events is noise.
    pub(crate) fn over_a_minute(mut self) -> Self {
        self.interval = Some("1m");
        self
    }

    /// Yellow from `warning` on, red from `critical` on.
    pub(crate) fn limits(self, warning: f64, critical: f64) -> Self {
        self.steps(&[(warning, "yellow"), (critical, "red")])
    }

    /// Red below `critical`, yellow below `warning`.
    pub(crate) fn at_least(mut self, critical: f64, warning: f64) -> Self {
        self.base_colour = "red";
        self.steps(&[(critical, "yellow"), (warning, "green")])
    }

    /// Red from `value` on.
    pub(crate) fn limit(self, value: f64) -> Self {
        self.steps(&[(value, "red")])
    }

    /// Red below `value`.
    pub(crate) fn floor(mut self, value: f64) -> Self {
        self.base_colour = "red";
        self.steps(&[(value, "green")])
    }

    /// A colour from each value on.
    pub(crate) fn steps(mut self, steps: &[(f64, &'static str)]) -> Self {
        self.limits = steps.iter().map(|&(value, colour)| Limit { value, colour }).collect();
        self
    }

    pub(crate) fn range(self, min: f64, max: f64) -> Self {
        self.min(min).max(max)
    }

    pub(crate) fn min(mut self, min: f64) -> Self {
        self.min = Some(min);
        self
    }

    /// Values may be below zero.
    pub(crate) fn signed(mut self) -> Self {
        self.min = None;
        self
    }

    /// Small values can be told apart beside large ones.
    pub(crate) fn logarithmic(mut self) -> Self {
        self.logarithmic = true;
        self
    }

    /// The axis reaches down to this at least.
    pub(crate) fn soft_min(mut self, soft_min: f64) -> Self {
        self.soft_min = Some(soft_min);
        self
    }

    pub(crate) fn decimals(mut self, decimals: u8) -> Self {
        self.decimals = Some(decimals);
        self
    }

    pub(crate) fn max(mut self, max: f64) -> Self {
        self.max = Some(max);
        self
    }

    pub(crate) fn stacked(mut self) -> Self {
        self.stacked = true;
        self
    }

    /// Links to the runbook of an alert.
    pub(crate) fn alert(mut self, alert: &'static str) -> Self {
        self.runbooks.push(alert);
        self
    }

    /// Links to this runbook if there is none of its own.
    pub(crate) fn or_alert(mut self, alert: &'static str) -> Self {
        if self.runbooks.is_empty() {
            self.runbooks.push(alert);
        }
        self
    }

    /// The colour of the series with this name from a value on.
    pub(crate) fn series_limit(self, series: &str, value: f64, colour: &str) -> Self {
        let steps = json!([{"color": "green", "value": null}, {"color": colour, "value": value}]);
        let thresholds = json!({"mode": "absolute", "steps": steps});
        self.property(&json!({"id": "byName", "options": series}), "thresholds", &thresholds)
    }

    /// Links to the dashboard that shows more.
    pub(crate) fn details(mut self, title: &'static str, uid: &'static str) -> Self {
        self.details.push((title, uid));
        self
    }

    /// The colour of the series with this name.
    pub(crate) fn colour(self, series: &str, colour: &str) -> Self {
        let fixed = json!({"mode": "fixed", "fixedColor": colour});
        self.property(&json!({"id": "byName", "options": series}), "color", &fixed)
    }

    /// Draws series whose name matches below the axis.
    pub(crate) fn below(mut self, pattern: &str) -> Self {
        self.min = None;
        let matcher = json!({"id": "byRegexp", "options": pattern});
        self.property(&matcher, "custom.transform", &json!("negative-Y"))
    }

    /// Draws the series with this name as a dashed line that is not stacked.
    pub(crate) fn dashed(self, series: &str) -> Self {
        let matcher = json!({"id": "byName", "options": series});
        self.property(&matcher, "custom.lineStyle", &json!({"dash": [10, 10], "fill": "dash"}))
            .property(&matcher, "custom.fillOpacity", &json!(0))
            .property(&matcher, "custom.stacking", &json!({"group": "A", "mode": "none"}))
    }

    /// Shows a value as a coloured text.
    pub(crate) fn state(mut self, value: &str, text: &str, colour: &str) -> Self {
        let index = self.mappings.len();
        let result = json!({"color": colour, "index": index, "text": text});
        self.mappings.push(json!({"type": "value", "options": {value: result}}));
        self
    }

    /// The columns of a table in order, and how they are called; others are left out.
    pub(crate) fn columns(mut self, columns: &[(&str, &str)]) -> Self {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let order: Map<String, Value> = names
            .iter()
            .enumerate()
            .map(|(index, name)| ((*name).to_owned(), index.into()))
            .collect();
        let renamed: Map<String, Value> =
            columns.iter().map(|(name, title)| ((*name).to_owned(), (*title).into())).collect();
        self.transformations = vec![
            json!({"id": "filterFieldsByName", "options": {"include": {"names": names}}}),
            json!({
                "id": "organize",
                "options": {"excludeByName": {}, "indexByName": order, "renameByName": renamed},
            }),
        ];
        self
    }

    /// Makes a link of each value of a column.
    pub(crate) fn linked(self, column: &str, title: &str, url: &str) -> Self {
        let links = json!([{"targetBlank": true, "title": title, "url": url}]);
        self.property(&json!({"id": "byName", "options": column}), "links", &links)
    }

    /// The unit of a column.
    pub(crate) fn column_unit(self, column: &str, unit: &str) -> Self {
        self.property(&json!({"id": "byName", "options": column}), "unit", &json!(unit))
    }

    /// What is shown where there is nothing to show.
    pub(crate) fn nothing(mut self, text: &'static str) -> Self {
        self.no_value = Some(text);
        self
    }

    fn property(mut self, matcher: &Value, id: &str, value: &Value) -> Self {
        let property = json!({"id": id, "value": value});
        match self.overrides.iter_mut().find(|one| one["matcher"] == *matcher) {
            Some(one) => one["properties"].as_array_mut().expect("it is a list").push(property),
            None => self.overrides.push(json!({"matcher": matcher, "properties": [property]})),
        }
        self
    }

    fn instant(mut self) -> Self {
        self.span = Span::Instant;
        self
    }
}

/// What an axis from zero reaches to at least: without, Grafana draws nothing but zeros on an axis to 100.
fn soft_max(unit: &str) -> f64 {
    match unit {
        unit::BYTES => 1000.0,
        unit::NUMBER | unit::RUPEES => 1.0,
        unit::RATIO => 0.01,
        unit::SECONDS => 0.001,
        // Rates: one event in ten seconds.
        _ => 0.1,
    }
}

/// The source of metrics that is chosen on the dashboard.
pub(crate) fn prometheus() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}
