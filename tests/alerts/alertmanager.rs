//! The Alertmanager configuration knows the alerts, and no secret.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    duration::milliseconds,
    rules::{alerts, list, string, text, yaml},
};

const CONFIG: &str = "monitoring/alertmanager/alertmanager.yml";
const SECRETS: &str = "/etc/alertmanager/secrets/";

/// Each name and text in a tree, with the parts of lists under the name of the list.
fn texts<'a>(name: &'a str, value: &'a Value, found: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                texts(name, value, found);
            }
        }
        Value::Array(parts) => {
            for part in parts {
                texts(name, part, found);
            }
        }
        Value::String(text) => found.push((name, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Each name in a tree.
fn keys<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                found.push(name);
                keys(value, found);
            }
        }
        Value::Array(parts) => parts.iter().for_each(|part| keys(part, found)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The alerts that matchers name, each of `A|B`.
fn named(matchers: &Value) -> Vec<&str> {
    let matchers = list(matchers).iter().filter_map(Value::as_str);
    let of_names = matchers.filter_map(|matcher| {
        let value =
            matcher.strip_prefix("alertname=~").or_else(|| matcher.strip_prefix("alertname="))?;
        Some(value.trim_matches('"').split('|'))
    });
    of_names.flatten().collect()
}

#[test]
fn it_names_alerts_that_exist() {
    let known: BTreeSet<String> = alerts().into_iter().map(|alert| alert.name).collect();
    let config = yaml(CONFIG);
    let routes = list(&config["route"]["routes"]).iter().map(|route| &route["matchers"]);
    let inhibitions = list(&config["inhibit_rules"]).iter();
    let sides = inhibitions.flat_map(|rule| [&rule["source_matchers"], &rule["target_matchers"]]);
    let named: Vec<&str> = routes.chain(sides).flat_map(named).collect();
    assert!(named.contains(&"BackendServiceDown"));
    for name in named {
        assert!(known.contains(name), "{name} is no alert");
    }
}

#[test]
fn an_alert_is_explained_by_none_less_urgent() {
    let urgency = |name: &str| {
        let alert = alerts().into_iter().find(|alert| alert.name == name).expect(name);
        // One of severity none is for this purpose alone, and Watchdog explains nothing.
        let severities = ["info", "warning", "critical", "none"];
        let urgency = severities.iter().position(|severity| *severity == alert.label("severity"));
        urgency.expect(name)
    };
    for rule in list(&yaml(CONFIG)["inhibit_rules"]) {
        for source in named(&rule["source_matchers"]) {
            for target in named(&rule["target_matchers"]) {
                assert!(urgency(source) >= urgency(target), "{source} hides {target}");
            }
        }
    }
}

/// A clock here would know no holidays: `MarketClosed` tells it what the rules know.
#[test]
fn only_the_rules_know_when_the_market_is_open() {
    let config = yaml(CONFIG);
    let mut names = Vec::new();
    keys(&config, &mut names);
    let times: Vec<&str> =
        names.into_iter().filter(|name| name.ends_with("time_intervals")).collect();
    assert_eq!(times, [""; 0]);
    let waits: Vec<Vec<&str>> = list(&config["inhibit_rules"])
        .iter()
        .filter(|rule| named(&rule["source_matchers"]).contains(&"MarketClosed"))
        .map(|rule| named(&rule["target_matchers"]))
        .collect();
    assert_eq!(waits, [["NoActiveUsers"]]);
}

/// Whoever must not be told of an alert is nobody, and every alert of severity none is for nobody or for a machine.
#[test]
fn severity_none_reaches_no_person() {
    let config = yaml(CONFIG);
    let routes = list(&config["route"]["routes"]);
    let of = |matcher: &str| {
        routes.iter().position(|route| route["matchers"][0] == matcher).expect("a route")
    };
    let (watchdog, none) = (of("alertname=\"Watchdog\""), of("severity=\"none\""));
    assert_eq!(routes[none]["receiver"], "nobody");
    assert_eq!(routes[watchdog]["receiver"], "watchdog");
    // The first route that fits is taken.
    assert!(watchdog < none);
    let receivers = list(&config["receivers"]);
    let nobody = receivers.iter().find(|receiver| receiver["name"] == "nobody");
    assert_eq!(nobody, Some(&serde_json::json!({"name": "nobody"})));
    let silent: BTreeSet<String> = alerts()
        .into_iter()
        .filter(|alert| alert.label("severity") == "none")
        .map(|alert| alert.name)
        .collect();
    assert!(silent.iter().eq(["AllInstancesDown", "MarketClosed", "Watchdog"]), "{silent:?}");
}

/// By default Alertmanager forgets after 120 hours that it has told of an alert.
#[test]
fn no_notification_is_repeated_later_than_it_is_remembered() {
    let config = yaml(CONFIG);
    let mut found = Vec::new();
    texts("", &config, &mut found);
    let intervals = found.iter().filter(|(name, _)| *name == "repeat_interval");
    let longest = intervals.map(|(_, interval)| milliseconds(interval)).max();
    assert!(longest.is_some_and(|longest| longest <= milliseconds("120h")), "{longest:?}");
}

#[test]
fn secrets_are_files_that_git_ignores() {
    let config = yaml(CONFIG);
    let mut found = Vec::new();
    texts("", &config, &mut found);
    let secrets: BTreeSet<&str> =
        found.iter().filter(|(name, _)| name.ends_with("_file")).map(|(_, file)| *file).collect();
    assert!(!secrets.is_empty());
    let listed = text("monitoring/alertmanager/secrets/README.md");
    let listed: BTreeSet<String> = listed
        .lines()
        .filter_map(|line| {
            Some(format!("{SECRETS}{}", line.strip_prefix("| `")?.split('`').next()?))
        })
        .collect();
    assert_eq!(secrets, listed.iter().map(String::as_str).collect());
    let ignored = text("monitoring/alertmanager/secrets/.gitignore");
    assert_eq!(ignored, "*\n!.gitignore\n!README.md\n");
    // The keys of Alertmanager that would hold a secret in place of a file.
    for (name, _) in found {
        let is_secret =
            ["api_url", "service_key", "routing_key", "credentials", "token", "api_key"]
                .contains(&name)
                || name.ends_with("password")
                || name.ends_with("secret");
        assert!(!is_secret, "{name} is in the file");
    }
}

#[test]
fn links_begin_where_the_template_says() {
    let template = text("monitoring/alertmanager/templates/backend.tmpl");
    for annotation in ["runbook_url", "dashboard_url"] {
        assert_eq!(
            template.matches(annotation).count(),
            2,
            "named in the head and used once: {annotation}"
        );
    }
    let config = text(CONFIG);
    for define in template.split("{{ define \"").skip(1) {
        let name = string(&Value::from(define.split('"').next()));
        let used = format!("template \"{name}\"");
        assert!(config.contains(&used) || template.contains(&used), "{name} is used nowhere");
    }
}
