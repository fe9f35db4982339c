//! Three replicas, scraped by the agent of `monitoring/scale-out`, which passes every sample on to a Prometheus and
//! to a `VictoriaMetrics`. Both get the same samples, so what differs is how they answer.

use std::{
    array,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde_json::Value;

use crate::{
    backend::Backend,
    expressions::{self, Expression, Kind},
    http::percent_encode,
    postgres::Postgres,
    prometheus::{Prometheus, texts},
    redis::Redis,
    tempdir::TempDir,
    victoria::Victoria,
    wait::{DEADLINE, eventually},
};

/// When the day of the reference backend has brought all that it brings, in seconds from its start.
const DAY: f64 = 105.0;

/// How long there are scrapes, and what rates look back, in seconds. They begin with the window, so both servers see
/// the same samples in it: `VictoriaMetrics` would add the last one before it.
const WINDOW: f64 = 60.0;

/// How far rates may be apart, of the greater one.
const TOLERANCE: f64 = 0.25;

/// How far the rank of a quantile may be apart: with few observations the one beside it can be in another bucket.
const RANKS: f64 = 0.02;

/// How far other values may be apart, of themselves: `VictoriaMetrics` keeps twelve decimal digits or more.
const DIGITS: f64 = 1e-11;

type Labels = BTreeMap<String, String>;

/// The values of an instant query.
type Answer = BTreeMap<Labels, f64>;

#[test]
#[ignore = "needs PostgreSQL, Redis, Prometheus and VictoriaMetrics: run scripts/test"]
fn dashboards_get_the_same_answers_from_victoria_metrics() {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let (database, cache) = (postgres.url(), redis.url());
    let arguments = ["--traffic", "10", "--database", &database, "--redis", &cache];
    let replicas: [Backend; 3] = array::from_fn(|_| Backend::start(&arguments));
    let directory = TempDir::new();
    let rules = hurried_rules(&directory);
    let prometheus = Prometheus::receiving(&format!("rule_files: ['{rules}']\n"));
    let victoria = Victoria::metrics();
    let vmalert = Victoria::alert(&rules, &victoria);
    let servers = Servers { prometheus: &prometheus, victoria: &victoria };

    // From then on all series are there that an ordinary minute moves.
    eventually(Duration::from_secs(150), || {
        let ages = replicas.iter().map(|replica| now() - started(replica));
        let youngest = ages.fold(f64::INFINITY, f64::min);
        if youngest > DAY {
            Ok(())
        } else {
            Err(format!("the youngest replica is {youngest} s old"))
        }
    });
    let end = now().floor() + WINDOW;
    let agent = Prometheus::agent(&agent_config(&replicas, &prometheus, &victoria, &vmalert));
    agent.wait_until_up();
    servers.wait_for_samples(end);

    let late = servers.late(end);
    let mut wrong = Vec::new();
    let mut tally = Tally::default();
    for target in expressions::dashboards(&repository()) {
        if let Kind::Target { .. } = target.kind {
            let comparison = Comparison::of(&target);
            if let Err(difference) = servers.compare(&comparison, end, &late, &mut tally) {
                let Expression { file, place, .. } = target;
                wrong.push(format!("{file}, {place}: {}\n{difference}", comparison.promql));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {tally:?}\n\n{}", wrong.len(), wrong.join("\n"));
    // An answer without samples is easily the same.
    assert!(tally.answered * 10 >= tally.queries * 9, "{tally:?}");
    assert!(tally.measured * 10 >= tally.samples * 8, "{tally:?}");
    rules_are_healthy(&prometheus, &vmalert);
}

/// The shipped rules, evaluated every 5 seconds: one that reads the result of another waits for that one's round.
/// Without `keep_firing_for`, which needs vmalert 1.92, and Debian's is older.
fn hurried_rules(directory: &TempDir) -> String {
    for path in expressions::files(&repository().join("alerts"), "yml") {
        let rules = fs::read_to_string(&path).expect("it can be read");
        let known = |line: &&str| !line.trim_start().starts_with("keep_firing_for:");
        let rules: String = rules.split_inclusive('\n').filter(known).collect();
        let hurried = rules.replace("interval: 30s", "interval: 5s");
        let name = path.file_name().expect("it is a file");
        fs::write(directory.join(name), hurried).expect("the directory can be written to");
    }
    directory.join("*.yml").display().to_string()
}

/// The shipped configuration with the addresses of this test, and one more receiver.
fn agent_config(
    replicas: &[Backend; 3],
    prometheus: &Prometheus,
    victoria: &Victoria,
    vmalert: &Victoria,
) -> String {
    let path = repository().join("monitoring/scale-out/prometheus-agent.yml");
    let mut config = fs::read_to_string(&path).expect("it can be read");
    for (shipped, here) in [
        ("${PROMETHEUS_SCRAPE_INTERVAL}", "15s".to_owned()),
        ("'backend:8081'", format!("'{}'", replicas[0].address)),
        ("'backend-2:8081'", format!("'{}'", replicas[1].address)),
        ("'backend-3:8081'", format!("'{}'", replicas[2].address)),
        // It is not known yet, and the agent itself is not looked at.
        ("'localhost:9090'", String::new()),
        ("'victoria-metrics:8428'", format!("'{}'", victoria.address)),
        ("//victoria-metrics:8428", format!("//{}", victoria.address)),
        ("'vmalert:8880'", format!("'{}'", vmalert.address)),
    ] {
        assert!(config.contains(shipped), "{}: {shipped}", path.display());
        config = config.replace(shipped, &here);
    }
    format!("{config}  - url: http://{}/api/v1/write\n", prometheus.address)
}

/// Every rule is known to both and evaluated by both without an error.
fn rules_are_healthy(prometheus: &Prometheus, vmalert: &Victoria) {
    let rules = |data: &Value| -> Vec<Value> {
        let groups = data["groups"].as_array().expect("groups are a list").iter();
        groups
            .flat_map(|group| group["rules"].as_array().expect("rules are a list").clone())
            .collect()
    };
    let theirs = rules(&vmalert.api("/api/v1/rules"));
    assert_eq!(theirs.len(), rules(&prometheus.api("/api/v1/rules")).len());
    for rule in theirs {
        assert!(rule["health"] == "ok" && rule["lastError"] == "", "{rule}");
    }
}

/// What was compared.
#[derive(Debug, Default)]
struct Tally {
    queries: usize,
    /// Of the queries, those with a result.
    answered: usize,
    samples: usize,
    /// Of the samples, those of which the values were compared as well.
    measured: usize,
}

/// How a query is compared.
struct Comparison {
    promql: String,
    by: By,
}

enum By {
    /// By label sets alone, as soon as they are the same.
    Labels,
    /// Also by values, which are of samples.
    Samples,
    /// Also by values, which are of rates.
    Rates,
}

impl Comparison {
    fn of(target: &Expression) -> Self {
        let promql = target.with(&[
            ("job", "backend"),
            ("instance", ".+"),
            ("slo", ".+"),
            ("__rate_interval", "60s"),
            ("__range", "60s"),
        ]);
        // Among equals at the limit each chooses its own.
        let promql = without_limit(&without_limit(&promql, "topk("), "bottomk(");
        // A counter that is new to VictoriaMetrics increases from 0. Without that, `increase` is a rate times its
        // window.
        let promql = promql.replace("increase(", "rate(");
        let by = match promql {
            // A constant, though a rule records it.
            _ if promql.starts_with("slo:objective:ratio{") => By::Samples,
            // Recorded by each at moments of its own, from windows that are longer than this test.
            _ if promql.contains(':') => By::Labels,
            _ if promql.contains("rate(") => By::Rates,
            _ => By::Samples,
        };
        Self { promql, by }
    }

    /// Whether a sample with these labels is made of this series, among others.
    fn reads(&self, series: &Labels, sample: &Labels) -> bool {
        let has_label = |(name, value)| series.get(name).is_none_or(|other| other == value);
        self.promql.contains(&format!("{}{{", series["__name__"])) && sample.iter().all(has_label)
    }

    /// The limits of what `VictoriaMetrics` may answer, each in `PromQL`.
    fn limits(&self) -> [String; 2] {
        let Some((before, rest)) = self.promql.split_once("histogram_quantile(") else {
            return [self.promql.clone(), self.promql.clone()];
        };
        let (rank, rest) = rest.split_once(',').expect("a quantile has two arguments");
        let rank: f64 = rank.parse().expect("a rank is a number");
        [rank - RANKS, (rank + RANKS).min(1.0)]
            .map(|rank| format!("{before}histogram_quantile({rank},{rest}"))
    }
}

/// Two that have the same samples.
struct Servers<'a> {
    prometheus: &'a Prometheus,
    victoria: &'a Victoria,
}

impl Servers<'_> {
    /// What both answer to a query about a moment.
    fn ask(&self, promql: &str, time: f64) -> [Answer; 2] {
        let query = format!("/api/v1/query?time={time}&query={}", percent_encode(promql));
        [self.prometheus.api(&query), self.victoria.api(&query)].map(|data| answer(&data))
    }

    /// Waits until both have every sample up to this moment.
    fn wait_for_samples(&self, end: f64) {
        eventually(Duration::from_secs_f64(WINDOW) + DEADLINE, || {
            let promql = format!(r#"count(timestamp(up{{job="backend"}}) > {end})"#);
            let complete = self.ask(&promql, now()).map(|answer| answer.into_values().eq([3.0]));
            if complete == [true, true] {
                Ok(())
            } else {
                Err(format!("all replicas are in Prometheus and in VictoriaMetrics: {complete:?}"))
            }
        });
        // Those of a scrape come in any order.
        eventually(DEADLINE, || {
            let [ours, theirs] = self.samples(end);
            let missing = ours.iter().find(|(series, count)| theirs.get(*series) != Some(*count));
            match missing {
                None if ours.len() == theirs.len() => Ok(()),
                None => Err(format!("{} series, not {}", theirs.len(), ours.len())),
                Some(missing) => Err(format!("{missing:?}")),
            }
        });
    }

    /// How many samples of each series of the replicas are in the window. What rules add to them is of another moment
    /// in vmalert.
    fn samples(&self, end: f64) -> [BTreeMap<Labels, usize>; 2] {
        let scraped = r#"{job="backend",instance!="",__name__!~".*:.*|ALERTS.*"}"#;
        let selector = format!("{scraped}[{WINDOW}s]");
        let query = format!("/api/v1/query?time={end}&query={}", percent_encode(&selector));
        [self.prometheus.api(&query), self.victoria.api(&query)].map(|data| {
            let series = data["result"].as_array().expect("a matrix is a list").iter();
            let count = |series: &Value| series["values"].as_array().map_or(0, Vec::len);
            series
                .map(|one| (texts(&one["metric"]).expect("labels are texts"), count(one)))
                .collect()
        })
    }

    /// The series that have fewer samples than their replica was scraped: they began within the window.
    fn late(&self, end: f64) -> Vec<Labels> {
        let [samples, _] = self.samples(end);
        let scrapes: BTreeMap<_, _> = samples
            .iter()
            .filter(|(labels, _)| labels["__name__"] == "up")
            .map(|(labels, count)| (labels["instance"].clone(), *count))
            .collect();
        let is_late = |labels: &Labels, count| count < scrapes[&labels["instance"]];
        samples
            .into_iter()
            .filter(|(labels, count)| is_late(labels, *count))
            .map(|(labels, _)| labels)
            .collect()
    }

    /// Says what `VictoriaMetrics` answers otherwise.
    fn compare(
        &self,
        comparison: &Comparison,
        time: f64,
        late: &[Labels],
        tally: &mut Tally,
    ) -> Result<(), String> {
        let promql = &comparison.promql;
        let [ours, theirs] = self.ask(promql, time);
        tally.queries += 1;
        tally.answered += usize::from(!ours.is_empty());
        tally.samples += ours.len();
        if let By::Labels = comparison.by {
            // A rule that reads what another recorded does so a round later in vmalert, and a round that is late
            // ends a line of VictoriaMetrics: so it counts what was there within the last minute.
            let lately = format!("last_over_time(({promql})[1m:5s])");
            eventually(2 * DEADLINE, || {
                let [ours, theirs] =
                    self.ask(&lately, now()).map(|answer| answer.into_keys().collect::<Vec<_>>());
                if ours == theirs {
                    Ok(())
                } else {
                    Err(format!("{promql}: {theirs:?}, not {ours:?}"))
                }
            });
            return Ok(());
        }
        let [low, high] = comparison.limits().map(|promql| self.ask(&promql, time)[0].clone());
        let mut wrong = Vec::new();
        for labels in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
            let (Some(our), Some(their)) = (ours.get(labels), theirs.get(labels)) else {
                wrong.push(format!(
                    "  {labels:?}: {:?}, not {:?}",
                    theirs.get(labels),
                    ours.get(labels)
                ));
                continue;
            };
            let is_rate = matches!(comparison.by, By::Rates);
            // Of a series that is younger than the window, VictoriaMetrics divides by its age.
            if is_rate && late.iter().any(|series| comparison.reads(series, labels)) {
                continue;
            }
            tally.measured += 1;
            let is_close = if is_rate {
                let (low, high) = (low[labels], high[labels]);
                *their >= low - TOLERANCE * low.abs() && *their <= high + TOLERANCE * their.abs()
            } else {
                let now = if promql.contains("time()") { time } else { 0.0 };
                (our - their).abs() <= DIGITS * our.abs().max(now)
            };
            if !is_close {
                wrong.push(format!("  {labels:?}: {their}, not {our}"));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }
}

/// The query with all that there is in place of the first few.
fn without_limit(promql: &str, aggregation: &str) -> String {
    let mut parts = promql.split(aggregation);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |promql, part| {
        let rest = part.trim_start_matches(|digit: char| digit.is_ascii_digit());
        format!("{promql}{aggregation}1000{rest}")
    })
}

/// The samples of an instant vector. Where Prometheus answers NaN, `VictoriaMetrics` leaves the sample out; and it
/// keeps the name of a metric where a function gives its values in their own unit.
fn answer(data: &Value) -> Answer {
    assert_eq!(data["resultType"], "vector", "{data}");
    let samples = data["result"].as_array().expect("a vector is a list").iter();
    samples
        .map(|sample| {
            let mut labels = texts(&sample["metric"]).expect("labels are texts");
            labels.remove("__name__");
            let value = sample["value"][1].as_str().and_then(|value| value.parse::<f64>().ok());
            (labels, value.expect("it is a number"))
        })
        .filter(|(_, value)| !value.is_nan())
        .collect()
}

/// When a replica started, in seconds since 1970.
fn started(replica: &Backend) -> f64 {
    let text = replica.ask("GET", "/metrics", "", "").text();
    let line = text.lines().find_map(|line| line.strip_prefix("process_start_time_seconds "));
    line.and_then(|value| value.parse().ok()).expect("it says when it started")
}

fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970").as_secs_f64()
}

fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
