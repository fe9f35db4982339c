//! What Grafana reads: a panel in its classic JSON, with the options of its plugin.

use serde_json::{Value, json};

use super::{Kind, Panel, Size, Span, Target, prometheus, soft_max};

/// From this width on a legend stands beside the graph.
const WIDE: u32 = 12;

impl Panel {
    /// The panel in this size, but for its number and place.
    pub(crate) fn to_json(&self, size: Size) -> Value {
        let mut panel = json!({
            "datasource": self.datasource(),
            "description": self.description,
            "fieldConfig": {"defaults": self.defaults(), "overrides": self.overrides},
            "links": self.runbooks.iter().map(|alert| runbook(alert)).collect::<Vec<_>>(),
            "options": self.options(size),
            "targets": self.targets.iter().zip('A'..).map(|target| self.target(target)).collect::<Vec<_>>(),
            "title": self.title,
            "type": self.kind.plugin(),
        });
        if !self.transformations.is_empty() {
            panel["transformations"] = self.transformations.clone().into();
        }
        if let Some(interval) = self.interval {
            panel["interval"] = interval.into();
        }
        if self.kind == Kind::Heatmap {
            // A bucket for each pixel is more than one can see.
            panel["maxDataPoints"] = 60.into();
        }
        panel
    }

    fn datasource(&self) -> Value {
        if self.kind == Kind::Logs {
            json!({"type": "loki", "uid": "${loki_datasource}"})
        } else {
            prometheus()
        }
    }

    fn target(&self, (Target { query, legend }, id): (&Target, char)) -> Value {
        if self.kind == Kind::Logs {
            return json!({
                "datasource": self.datasource(),
                "editorMode": "code",
                "expr": query,
                "queryType": "range",
                "refId": id.to_string(),
            });
        }
        let format = match self.kind {
            Kind::Heatmap => "heatmap",
            Kind::Table => "table",
            _ => "time_series",
        };
        json!({
            "datasource": self.datasource(),
            "editorMode": "code",
            "exemplar": query.contains("_bucket{"),
            "expr": query,
            "format": format,
            "instant": self.span == Span::Instant,
            "legendFormat": if legend.is_empty() { self.title } else { legend },
            "range": self.span == Span::Range,
            "refId": id.to_string(),
        })
    }

    fn defaults(&self) -> Value {
        let mut steps = vec![json!({"color": self.lowest(), "value": null})];
        steps.extend(
            self.limits.iter().map(|limit| json!({"color": limit.colour, "value": limit.value})),
        );
        let mut defaults = json!({
            "color": self.colour.clone().unwrap_or_else(|| json!({"mode": self.colours()})),
            "custom": self.custom(),
            "mappings": self.mappings,
            "thresholds": {"mode": "absolute", "steps": steps},
            "unit": self.unit,
        });
        if let Some(min) = self.min {
            defaults["min"] = min.into();
        }
        if let Some(max) = self.max {
            defaults["max"] = max.into();
        }
        if let Some(decimals) = self.decimals {
            defaults["decimals"] = decimals.into();
        }
        if self.kind != Kind::Logs {
            defaults["noValue"] = self.no_value.unwrap_or("Nothing recorded").into();
        }
        if !self.details.is_empty() {
            let link = |(title, uid): &(&str, &str)| {
                json!({
                    "targetBlank": false,
                    "title": title,
                    "url": format!("/d/{uid}?${{__url_time_range}}&${{job:queryparam}}"),
                })
            };
            defaults["links"] = self.details.iter().map(link).collect();
        }
        defaults
    }

    /// The colour below all limits. A number without any is neither good nor bad.
    fn lowest(&self) -> &'static str {
        let judged = !self.limits.is_empty() || !self.mappings.is_empty();
        if self.kind == Kind::Stat && !judged { "text" } else { self.base_colour }
    }

    fn colours(&self) -> &'static str {
        match self.kind {
            Kind::Stat | Kind::Gauge | Kind::States => "thresholds",
            Kind::Bars if !self.limits.is_empty() => "thresholds",
            Kind::Bars => "continuous-BlPu",
            _ => "palette-classic",
        }
    }

    fn custom(&self) -> Value {
        let mut custom = match self.kind {
            Kind::TimeSeries => json!({
                "drawStyle": "line",
                "fillOpacity": if self.stacked { 60 } else { 10 },
                // The line of an empty series would lie on those below it.
                "lineWidth": i32::from(!self.stacked),
                "scaleDistribution": if self.logarithmic {
                    json!({"linearThreshold": 1, "log": 10, "type": "symlog"})
                } else {
                    json!({"type": "linear"})
                },
                "showPoints": "auto",
                // A scrape that is missing is no gap; a restart is.
                "spanNulls": 60_000,
                "stacking": {"group": "A", "mode": if self.stacked { "normal" } else { "none" }},
                "thresholdsStyle": {"mode": if self.limits.is_empty() { "off" } else { "dashed" }},
            }),
            Kind::States => json!({"fillOpacity": 80, "lineWidth": 0}),
            Kind::Table => json!({"align": "auto", "cellOptions": {"type": "auto"}}),
            _ => json!({}),
        };
        if self.kind == Kind::TimeSeries {
            if let Some(min) = self.soft_min {
                custom["axisSoftMin"] = min.into();
            }
            if self.max.is_none() {
                custom["axisSoftMax"] = soft_max(self.unit).into();
            }
        }
        custom
    }

    fn options(&self, size: Size) -> Value {
        let last = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
        match self.kind {
            Kind::Bars => json!({
                "displayMode": "gradient",
                // Beside the bars, names have a fifth of the width.
                "namePlacement": "top",
                "orientation": "horizontal",
                "reduceOptions": last,
                "showUnfilled": true,
                "valueMode": "color",
            }),
            Kind::Gauge => json!({
                "orientation": "auto",
                "reduceOptions": last,
                "showThresholdLabels": false,
                "showThresholdMarkers": true,
            }),
            Kind::Heatmap => json!({
                "calculate": false,
                "cellGap": 1,
                "color": {
                    "exponent": 0.5,
                    "fill": "dark-orange",
                    "mode": "scheme",
                    "reverse": false,
                    "scheme": "Oranges",
                    "steps": 64,
                },
                "exemplars": {"color": "rgba(255,0,255,0.7)"},
                "filterValues": {"le": 1e-9},
                "legend": {"show": true},
                "rowsFrame": {"layout": "auto"},
                "tooltip": {"mode": "single", "showColorScale": false, "yHistogram": true},
                "yAxis": {"axisPlacement": "left", "reverse": false, "unit": self.unit},
            }),
            Kind::Logs => json!({
                "dedupStrategy": "none",
                "enableLogDetails": true,
                "prettifyLogMessage": false,
                "showCommonLabels": false,
                "showLabels": false,
                "showTime": true,
                "sortOrder": "Descending",
                "wrapLogMessage": true,
            }),
            Kind::Pie => json!({
                "displayLabels": ["percent"],
                "legend": {
                    "calcs": [],
                    "displayMode": "table",
                    "placement": "right",
                    "showLegend": true,
                    "values": ["value", "percent"],
                },
                "pieType": "donut",
                "reduceOptions": last,
                "tooltip": {"mode": "single", "sort": "none"},
            }),
            Kind::Stat => {
                let alone = self.targets.len() == 1;
                let mut options = json!({
                    "colorMode": "value",
                    "graphMode": "none",
                    "justifyMode": "auto",
                    // Beside each other.
                    "orientation": "vertical",
                    "reduceOptions": last,
                    "textMode": if alone { "value" } else { "value_and_name" },
                    "wideLayout": true,
                });
                if !alone {
                    // Of one size, whatever their digits.
                    options["text"] = json!({"titleSize": 14, "valueSize": 40});
                }
                options
            }
            Kind::States => json!({
                "alignValue": "left",
                "legend": {
                    "calcs": [],
                    "displayMode": "list",
                    "placement": "bottom",
                    "showLegend": false,
                },
                "mergeValues": true,
                "rowHeight": 0.9,
                "showValue": "auto",
                "tooltip": {"mode": "single", "sort": "none"},
            }),
            Kind::Table => json!({"cellHeight": "sm", "showHeader": true}),
            Kind::TimeSeries => json!({
                "legend": {
                    "calcs": ["max", "lastNotNull"],
                    "displayMode": "table",
                    "placement": if size.width < WIDE { "bottom" } else { "right" },
                    "showLegend": true,
                    "sortBy": "Max",
                    "sortDesc": true,
                },
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
        }
    }
}

impl Kind {
    /// The name of its plugin.
    fn plugin(self) -> &'static str {
        match self {
            Self::Bars => "bargauge",
            Self::Gauge => "gauge",
            Self::Heatmap => "heatmap",
            Self::Logs => "logs",
            Self::Pie => "piechart",
            Self::Stat => "stat",
            Self::States => "state-timeline",
            Self::Table => "table",
            Self::TimeSeries => "timeseries",
        }
    }
}

fn runbook(alert: &str) -> Value {
    json!({
        "targetBlank": true,
        "title": format!("Runbook: {alert}"),
        "url": format!("${{runbooks}}/{alert}.md"),
    })
}
