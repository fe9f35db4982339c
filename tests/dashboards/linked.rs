//! Links of dashboards lead somewhere: to a dashboard that exists, to a runbook that exists. Those of alerts are
//! the matter of the test `alerts`.

use std::collections::HashSet;

use crate::{
    dashboard::{Dashboard, all, assert_none, items, links, root, steps, text},
    sample::sample,
};

/// From the name of an alert, in a table of alerts, to its runbook. Each has one.
const OF_AN_ALERT: &str = "${runbooks}/${__value.raw}.md";

#[test]
fn links_of_panels_lead_somewhere() {
    let known = uids();
    assert_none(|dashboard| faults(dashboard, &known));
}

/// Each dashboard leads to the others, and keeps what was chosen.
#[test]
fn dashboards_lead_to_each_other() {
    assert_none(|dashboard| {
        let among = |link: &serde_json::Value| {
            link["type"] == "dashboards"
                && link["tags"] == serde_json::json!(["backend"])
                && link["keepTime"] == true
                && link["includeVars"] == true
        };
        let found = items(&dashboard.json["links"]).filter(|link| among(link)).count();
        if found == 1 { vec![] } else { vec![format!("{found} links to the dashboards")] }
    });
}

/// What to do about a number that can turn red is one click from it.
#[test]
fn a_number_of_several_colours_leads_on() {
    assert_none(|dashboard| {
        let panels = dashboard.panels().into_iter();
        let alone = panels.filter(|panel| {
            panel["type"] == "stat" && steps(panel).len() > 1 && links(panel).is_empty()
        });
        alone.map(|panel| format!("{}: no link", text(&panel["title"]))).collect()
    });
}

fn uids() -> HashSet<String> {
    all().iter().map(|dashboard| dashboard.uid().to_owned()).collect()
}

fn faults(dashboard: &Dashboard, known: &HashSet<String>) -> Vec<String> {
    let fault = |url: &str| {
        if url == OF_AN_ALERT {
            None
        } else if let Some(runbook) = url.strip_prefix("${runbooks}/") {
            let exists = root().join("monitoring/runbooks").join(runbook).is_file();
            (!exists).then(|| format!("there is no runbook {runbook}"))
        } else if let Some(place) = url.strip_prefix("/d/") {
            let uid = place.split(['?', '/']).next().unwrap_or_default();
            (!known.contains(uid)).then(|| format!("there is no dashboard {uid}"))
        } else {
            Some(format!("{url} is neither a runbook nor a dashboard"))
        }
    };
    let mut found = Vec::new();
    for panel in dashboard.panels() {
        let urls = links(panel).into_iter().map(|link| text(&link["url"]));
        let faults = urls.filter_map(fault);
        found.extend(faults.map(|fault| format!("{}: {fault}", text(&panel["title"]))));
    }
    if dashboard.variable("runbooks").is_none_or(|variable| variable["type"] != "constant") {
        found.push("`runbooks` is no constant".to_owned());
    }
    found
}

#[test]
fn a_link_to_nowhere_is_found() {
    let known = HashSet::from(["backend-trading".to_owned()]);
    assert!(faults(&sample(), &known).is_empty());
    for url in ["${runbooks}/NoSuchAlert.md", "/d/backend-tradin?from=now", "/e/backend-trading"] {
        let mut dashboard = sample();
        *dashboard.json.pointer_mut("/panels/1/links/0/url").unwrap() = url.into();
        assert_eq!(faults(&dashboard, &known).len(), 1, "{url}");
    }
}
