//! The stack as `scripts/stack` starts it: no panel is blank, no rule is in error, and no alert fires on a healthy
//! day.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use serde_json::Value;

use crate::{
    expressions::{self, Expression, Kind},
    grafana::{self, Query, api, instant, list, repository},
    http::percent_encode,
    script::Stack,
    wait::{DEADLINE, eventually},
    watch,
};

/// When everything has happened that happens once on a day. What is over in seconds is no alert, but would be with
/// rules that are sped up.
const TWO_MINUTES: Duration = Duration::from_mins(2);
/// When everything has moved that moves on a healthy day, and has been scraped.
const THREE_MINUTES: Duration = Duration::from_mins(3);

/// What is wrong. The alerts of severity none are not, and the calendar is left out as it ends on a day of its own.
const FIRING: &str =
    r#"ALERTS{alertstate="firing",severity!="none",alertname!="TradingCalendarEnds"}"#;

/// Panels that stay empty, and why.
const EMPTY: &[(&str, &str)] = &[
    // `Firing alerts` of the objectives.
    ("Firing alerts, A", "no alert fires"),
];

/// Recordings without a series, and why.
const UNRECORDED: &[(&str, &str)] = &[
    ("job_instance:ticker_service_unasked:bool{}", "the ticker service is asked all the time"),
    ("job:http_further_requests:increase10m{}", "no series was there 10 minutes ago"),
];

#[test]
#[ignore = "needs Prometheus and Alertmanager, and four minutes: run scripts/test"]
fn no_panel_is_blank_and_no_alert_fires() {
    let mut stack = Stack::start(&[]);
    let backend = stack.address("backend");
    let prometheus = stack.address("prometheus");

    let age = instant(r#"time() - process_start_time_seconds{job="backend"}"#);
    let wait_for_age = |least: Duration| {
        eventually(least + DEADLINE, || match values(&api(prometheus, &age)).as_slice() {
            [age] if *age >= least.as_secs_f64() => Ok(()),
            age => Err(format!("the age of the backend: {age:?}")),
        });
    };
    wait_for_age(TWO_MINUTES);
    let sped_up = watch::start(backend, None);
    let quiet_since = watch::wait_until_quiet(&sped_up);
    wait_for_age(THREE_MINUTES);

    let (mut blank, mut silent) = (targets(prometheus), recordings());
    assert!(blank.len() > 150 && silent.len() > 40, "{} {}", blank.len(), silent.len());
    eventually(DEADLINE, || {
        blank.retain(|target| values(&api(prometheus, &request(target))).is_empty());
        silent.retain(|recording| values(&api(prometheus, &instant(recording))).is_empty());
        let blank: Vec<&str> = blank.iter().map(|target| target.place.as_str()).collect();
        if blank == names(EMPTY) && silent == names(UNRECORDED) {
            Ok(())
        } else {
            Err(format!("panels {blank:?}, recordings {silent:?}"))
        }
    });

    let rules = api(prometheus, "/api/v1/rules");
    let rules: Vec<&Value> =
        list(&rules["groups"]).flat_map(|group| list(&group["rules"])).collect();
    assert!(rules.len() > 50, "{} rules", rules.len());
    let broken: Vec<&&Value> = rules.iter().filter(|rule| rule["health"] != "ok").collect();
    assert!(broken.is_empty(), "{broken:?}");
    let fired = api(prometheus, &instant(&format!("count_over_time({FIRING}[1h])")));
    assert_eq!(fired["result"], Value::Array(vec![]));

    // What runbooks and other texts tell people to ask is answered, if only with nothing on a healthy day.
    let prose = expressions::prose(&repository());
    assert!(prose.len() > 100, "{} queries", prose.len());
    for expression in prose {
        api(prometheus, &instant(&expression.text));
    }

    // The same numbers that the backend shows.
    let up = api(prometheus, &instant(r#"up{job="backend"}"#));
    assert_eq!(up["result"][0]["metric"]["instance"], backend.to_string());

    // In these minutes many an alert could only be pending. Sped up, each has had more than the time that it waits.
    let rules = api(sped_up.address, "/api/v1/rules");
    let rules = list(&rules["groups"]).flat_map(|group| list(&group["rules"]));
    let longest = rules.filter_map(|rule| rule["duration"].as_f64()).fold(0.0, f64::max);
    let enough = Duration::from_secs_f64(longest * 1.2);
    eventually(enough + DEADLINE, || match quiet_since.elapsed() {
        passed if passed >= enough => Ok(()),
        passed => Err(format!("{passed:?} of {enough:?}")),
    });
    assert_eq!(watch::fired(&sped_up, quiet_since), BTreeSet::new());
    stack.stop("INT");
}

fn names(excused: &[(&'static str, &str)]) -> Vec<&'static str> {
    excused.iter().map(|(name, _)| *name).collect()
}

/// Of every panel of every dashboard.
fn targets(prometheus: SocketAddr) -> Vec<Query> {
    let of = |dashboard: &std::path::PathBuf| {
        let variables = grafana::variables(prometheus, dashboard);
        let mut values = vec![("__rate_interval", "20s"), ("__range", "3m")];
        values.extend(variables.iter().map(|one| (one.name.as_str(), one.all.as_str())));
        grafana::queries(dashboard, &values)
    };
    let all = grafana::dashboards();
    all.iter().flat_map(of).filter(|query| query.is_panel).collect()
}

/// As Grafana asks for the last three minutes.
fn request(query: &Query) -> String {
    if query.instant {
        return instant(&query.promql);
    }
    let promql = percent_encode(&query.promql);
    let now = chrono::Utc::now().timestamp();
    let start = now - THREE_MINUTES.as_secs().cast_signed();
    format!("/api/v1/query_range?query={promql}&start={start}&end={now}&step=5")
}

/// A selector of each recording.
fn recordings() -> Vec<String> {
    let selector = |expression: Expression| {
        let Kind::Recording { name, labels } = expression.kind else {
            return None;
        };
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        Some(format!("{name}{{{}}}", labels.join(",")))
    };
    expressions::rules(&repository()).into_iter().filter_map(selector).collect()
}

/// The numbers of a result of any kind.
fn values(data: &Value) -> Vec<f64> {
    let pairs = list(&data["result"]).flat_map(|series| {
        list(&series["values"]).chain((!series["value"].is_null()).then_some(&series["value"]))
    });
    let numbers = pairs.filter_map(|pair| pair[1].as_str()?.parse::<f64>().ok());
    numbers.filter(|number| !number.is_nan()).collect()
}
