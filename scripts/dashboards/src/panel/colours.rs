//! The colours of series: green, yellow and red for what went well, doubtfully and badly, and others for the rest.

use backend_metrics::{ValueSet, catalog};
use serde_json::{Value, json};

use super::{Kind, Panel, Target};

/// Labels that say how something went, or is.
const TELLING: [&str; 7] =
    ["decision", "direction", "level", "outcome", "severity", "state", "status"];

/// Values of these labels with their colours; where a panel has two of one kind, each has its own.
struct Verdict {
    values: &'static [&'static str],
    codes: &'static str,
    colours: [&'static str; 3],
}

const VERDICTS: [Verdict; 3] = [
    Verdict {
        values: &[
            "accepted",
            "allowed",
            "committed",
            "favourable",
            "filled",
            "hit",
            "info",
            "ok",
            "passed",
            "success",
            "valid",
        ],
        codes: "2..",
        colours: ["green", "dark-green", "light-green"],
    },
    Verdict {
        values: &["cancelled", "expired", "fallback", "warn", "warning"],
        codes: "4..",
        colours: ["yellow", "light-orange", "dark-yellow"],
    },
    Verdict {
        values: &[
            "adverse",
            "critical",
            "error",
            "failed",
            "invalid",
            "limited",
            "rejected",
            "rolled_back",
            "timeout",
        ],
        codes: "5..",
        colours: ["red", "orange", "dark-red"],
    },
];

/// The most series for a legend below the graph.
const FEW: usize = 4;

/// Colours that say nothing.
const NEUTRAL: [&str; 8] =
    ["blue", "purple", "#37bfc7", "#e377c2", "light-blue", "light-purple", "dark-blue", "#a0a7b3"];

/// What Grafana makes of a colour where several series have it.
fn shades(colour: &str) -> Value {
    json!({"mode": "shades", "fixedColor": colour})
}

impl Panel {
    /// Gives colours to the series whose names are known, or say by their end how something went. All others have
    /// the next colour of Grafana's palette.
    pub(crate) fn coloured(mut self) -> Self {
        if ![Kind::Pie, Kind::TimeSeries].contains(&self.kind) {
            return self;
        }
        let mut names = Vec::new();
        for target in std::mem::take(&mut self.targets) {
            match labels(&target.legend).as_slice() {
                [] if !target.legend.contains("{{") => names.push((false, target.legend.clone())),
                [label] if is_closed(&target, label) => {
                    let telling = TELLING.contains(label);
                    names.extend(all(&target, &[label]).into_iter().map(|name| (telling, name)));
                }
                [.., last] if TELLING.contains(last) => self = self.coloured_by(&target, last),
                several if several.iter().all(|label| is_closed(&target, label)) => {
                    let all = all(&target, several);
                    if all.len() <= NEUTRAL.len() {
                        names.extend(all.into_iter().map(|name| (false, name)));
                    }
                }
                _ => {}
            }
            self.targets.push(target);
        }
        if names.len() > 1 { self.coloured_each(&names) } else { self }
    }

    /// A different colour for each of these series; the first of a pair is whether the name tells how it went.
    fn coloured_each(self, names: &[(bool, String)]) -> Self {
        let mut neutral = NEUTRAL.iter().cycle();
        let mut verdicts = VERDICTS.each_ref().map(|verdict| verdict.colours.iter().cycle());
        names.iter().fold(self, |panel, (telling, name)| {
            let verdict = VERDICTS.iter().position(|one| one.values.contains(&name.as_str()));
            let colour = match verdict.filter(|_| *telling) {
                Some(verdict) => verdicts[verdict].next(),
                None => neutral.next(),
            };
            if panel.has_colour(name) {
                return panel;
            }
            panel.colour(name, colour.expect("it begins again"))
        })
    }

    /// Shades of a colour for series whose last label says how it went, which its others tell apart.
    fn coloured_by(mut self, target: &Target, last: &str) -> Self {
        let values = values(target, last);
        for verdict in &VERDICTS {
            let known = verdict
                .values
                .iter()
                .filter(|one| values.is_none_or(|values| values.contains(one)));
            let mut ends: Vec<&str> = known.copied().collect();
            if has_codes(target, last) {
                ends.push(verdict.codes);
            }
            if !ends.is_empty() {
                let pattern = format!("(.* )?({})", ends.join("|"));
                let matcher = json!({"id": "byRegexp", "options": pattern});
                self = self.property(&matcher, "color", &shades(verdict.colours[0]));
                self.colour = Some(shades(NEUTRAL[0]));
            }
        }
        self
    }

    /// Whether its legend is longer than a third of its height has room for.
    pub(crate) fn is_crowded(&self) -> bool {
        let series = |target: &Target| -> usize {
            labels(&target.legend).iter().map(|label| count(target, label)).product()
        };
        self.kind == Kind::TimeSeries && self.targets.iter().map(series).sum::<usize>() > FEW
    }

    fn has_colour(&self, name: &str) -> bool {
        let of_name = self.overrides.iter().filter(|one| one["matcher"]["options"] == name);
        let mut properties = of_name.filter_map(|one| one["properties"].as_array()).flatten();
        properties.any(|property| property["id"] == "color")
    }
}

/// The labels of a legend that has nothing else in it.
fn labels(legend: &str) -> Vec<&str> {
    legend.split(' ').map(label).collect::<Option<_>>().unwrap_or_default()
}

fn label(part: &str) -> Option<&str> {
    part.strip_prefix("{{")?.strip_suffix("}}")
}

/// The names of all series by these labels.
fn all(target: &Target, labels: &[&str]) -> Vec<String> {
    labels.iter().fold(vec![], |names: Vec<String>, label| {
        let values = values(target, label).unwrap_or_default();
        if names.is_empty() {
            return values.iter().map(|&value| value.to_owned()).collect();
        }
        let with = |name: &String| {
            values.iter().map(move |value| format!("{name} {value}")).collect::<Vec<_>>()
        };
        names.iter().flat_map(with).collect()
    })
}

fn is_closed(target: &Target, label: &str) -> bool {
    matches!(set(target, label), Some(ValueSet::Closed(_) | ValueSet::OnUse(_)))
}

fn has_codes(target: &Target, label: &str) -> bool {
    matches!(set(target, label), Some(ValueSet::Status(_)))
}

/// How many values of a label there are, or so. Those that are not of a family are of the target: of few.
fn count(target: &Target, label: &str) -> usize {
    match set(target, label) {
        Some(ValueSet::Closed(values) | ValueSet::OnUse(values)) => values.len(),
        Some(_) => 2 * FEW,
        None => 1,
    }
}

/// The values of a label, codes aside, if it has such.
fn values(target: &Target, label: &str) -> Option<&'static [&'static str]> {
    Some(set(target, label)?.known())
}

/// The values of a label of the first family in a query that has it.
fn set(target: &Target, label: &str) -> Option<ValueSet> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words = target.query.split(|c| !is_name(c));
    let of_family = |name: &str| {
        let family = catalog().map(|entry| entry.family);
        let mut family = family.filter(|family| {
            let suffix = name.strip_prefix(family.name);
            suffix.is_some_and(|suffix| ["", "_bucket", "_count", "_sum"].contains(&suffix))
        });
        family.next()?.labels.iter().find(|one| one.name == label).map(|one| one.values)
    };
    words.find_map(of_family)
}
