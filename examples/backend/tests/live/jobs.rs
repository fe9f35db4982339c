//! Another job beside the backend's, which exposes the same families but for those that only this library has: no
//! panel, annotation or variable shows anything of it.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use serde_json::{Value, json};

use crate::{
    backend::Backend,
    grafana::{self, Query, Variable, api, instant, list},
    prometheus::Prometheus,
    tempdir::TempDir,
    wait::{DEADLINE, eventually},
    watch,
};

#[test]
#[ignore = "needs Prometheus: run scripts/test"]
fn dashboards_show_the_service_alone() {
    let [backend, stranger] = [(); 2].map(|()| Backend::start(&["--traffic", "20"]));
    let address = backend.address.to_string();
    let directory = TempDir::new();
    let prometheus = Prometheus::start(&config(&directory, backend.address, stranger.address));
    prometheus.wait_until_up();
    // So that the ranges of the queries below have rates of everything.
    eventually(DEADLINE, || match prometheus.value("min(count_over_time(up[1m]))")? {
        scrapes if scrapes >= 12.0 => Ok(()),
        scrapes => Err(format!("{scrapes} scrapes")),
    });
    assert_eq!(prometheus.value("sum(up)"), Ok(2.0));

    let dashboards = grafana::dashboards();
    for dashboard in &dashboards {
        let variables = grafana::variables(prometheus.address, dashboard);
        let options = |name: &str| -> Option<&[String]> {
            let variable = variables.iter().find(|variable| variable.name == name)?;
            Some(&variable.options)
        };
        assert_eq!(options("job"), Some(&["backend".to_owned()][..]), "{dashboard:?}");
        assert!(options("instance").is_none_or(|options| options == [address.as_str()]));

        let shown = queries(dashboard, &variables, None);
        let expected = queries(dashboard, &variables, Some(("backend", &address)));
        let of_every_job = queries(dashboard, &variables, Some((".+", ".+")));
        // The past, which no scrape that ends meanwhile changes.
        let time = chrono::Utc::now().timestamp() - 3;
        let ask = |query: &Query| {
            series(&api(prometheus.address, &format!("{}&time={time}", instant(&query.promql))))
        };
        let mut of_others = 0;
        for ((shown, expected), of_every_job) in shown.iter().zip(&expected).zip(&of_every_job) {
            let alone = ask(expected);
            assert_eq!(ask(shown), alone, "{dashboard:?}: {}", shown.place);
            of_others += usize::from(ask(of_every_job) != alone);
        }
        // The objectives are recorded for the backend alone, but for the annotations.
        let least = if options("slo").is_some() { 1 } else { shown.len() / 2 };
        assert!(of_others >= least, "{dashboard:?}: {of_others} of {} would differ", shown.len());
    }

    // The service is dead, and the other job runs on.
    drop(backend);
    prometheus.wait_for(r#"up{job="backend"}"#, 0.0);
    prometheus.wait_for("count(backend_service_info) or vector(0)", 0.0);
    assert_eq!(prometheus.value("sum(up)"), Ok(1.0));
    for dashboard in &dashboards {
        let variables = grafana::variables(prometheus.address, dashboard);
        let job = variables.iter().find(|variable| variable.name == "job").expect("there is one");
        assert_eq!(job.options, ["backend"], "{dashboard:?}");
        let all = [None, Some(("()", ".+"))];
        for query in all.iter().flat_map(|&of| queries(dashboard, &variables, of)) {
            if query.place == "Instances up, A" {
                assert_eq!(prometheus.value(&query.promql), Ok(0.0), "{}", query.promql);
            }
        }
    }
}

/// The values of a result by their labels. The order in which series are added up is not always the same, and so are
/// the last digits.
fn series(data: &Value) -> BTreeMap<String, String> {
    let value = |series: &Value| {
        let value: f64 = series["value"][1].as_str()?.parse().ok()?;
        Some((series["metric"].to_string(), format!("{value:.6e}")))
    };
    list(&data["result"]).filter_map(value).collect()
}

/// The queries of a dashboard, of the job and instance that are given or else with All chosen.
fn queries(dashboard: &Path, variables: &[Variable], of: Option<(&str, &str)>) -> Vec<Query> {
    let mut values = vec![("__rate_interval", "5s"), ("__range", "10s")];
    if let Some((job, instance)) = of {
        values.extend([("job", job), ("instance", instance)]);
    }
    values.extend(variables.iter().map(|one| (one.name.as_str(), one.all.as_str())));
    grafana::queries(dashboard, &values)
}

/// Scrapes both once a second, and evaluates the rules.
fn config(directory: &TempDir, backend: SocketAddr, stranger: SocketAddr) -> String {
    let job = |name: &str, address: SocketAddr, dropped: Value| {
        json!({
            "job_name": name,
            "static_configs": [{"targets": [address.to_string()]}],
            "metric_relabel_configs": dropped,
        })
    };
    let ours = "backend_service_info|metrics_.+";
    let config = json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": watch::rules(directory),
        "scrape_configs": [
            job("backend", backend, json!([])),
            job("stranger", stranger, json!([
                {"source_labels": ["__name__"], "regex": ours, "action": "drop"},
            ])),
        ],
    });
    config.to_string()
}
