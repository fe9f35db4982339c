//! The receivers as they are shipped, with their secrets, and what they say.

use std::fs;

use serde_json::{Value, json};

use crate::{
    alertmanager::Alertmanager,
    faster::faster,
    http,
    routing::CONFIG,
    rules::{path, text},
    tempdir::TempDir,
    wait::{DEADLINE, eventually},
    webhook::{Post, Webhook},
};

/// The shipped configuration with its services at the webhook, and its secrets in the directory.
fn config(webhook: &Webhook, secrets: &TempDir) -> String {
    let service = format!("http://{}", webhook.address());
    for (name, secret) in [
        ("pagerduty_routing_key", "a-routing-key"),
        ("slack_url", &*format!("{service}/slack")),
        ("tickets_token", "a-token"),
    ] {
        fs::write(secrets.join(name), format!("{secret}\n"))
            .expect("the directory can be written to");
    }
    let config = faster(&text(CONFIG), 50)
        .replace("/etc/alertmanager/secrets", &secrets.join("").display().to_string())
        .replace("https://tickets.example.com/alertmanager", &format!("{service}/tickets"));
    let mut config: Value = serde_json::from_str(&config).expect("JSON");
    config["global"]["pagerduty_url"] = format!("{service}/pagerduty").into();
    config["templates"] = json!([path("monitoring/alertmanager/templates/*.tmpl")]);
    config.to_string()
}

#[track_caller]
fn post_to(webhook: &Webhook, path: &str) -> Post {
    eventually(DEADLINE, || {
        webhook
            .posts(path)
            .into_iter()
            .next()
            .ok_or_else(|| format!("nothing was posted to {path}"))
    })
}

#[test]
#[ignore = "needs Alertmanager: run scripts/test"]
fn notifications_carry_the_secret_and_lead_to_runbook_and_dashboard() {
    let (webhook, secrets) = (Webhook::start(), TempDir::new());
    let alertmanager = Alertmanager::start(&config(&webhook, &secrets));
    let alert = |name: &str, mut labels: Value| {
        labels["alertname"] = name.into();
        labels["job"] = "backend".into();
        let annotations = json!({
            "summary": format!("{name} in short"),
            "description": format!("{name} at length."),
            "runbook_url": format!("monitoring/runbooks/{name}.md"),
            "dashboard_url": "/d/backend-api",
        });
        json!({"labels": labels, "annotations": annotations})
    };
    alertmanager.post(&[
        alert("HighAPIErrorRate", json!({"severity": "critical"})),
        alert("ElevatedDatabaseLatency", json!({"severity": "warning"})),
        alert(
            "SLOErrorBudgetBurn",
            json!({"severity": "warning", "alert_class": "ticket", "slo": "ws-errors"}),
        ),
    ]);
    let runbook = |name| {
        format!("https://git.example.com/backend-metrics/blob/main/monitoring/runbooks/{name}.md")
    };
    let dashboard = "http://localhost:3000/d/backend-api";
    let said = |name, severity| {
        let runbook = runbook(name);
        format!(
            "{name} ({severity}, firing): {name} at length.\nRunbook: {runbook}\nDashboard: {dashboard}"
        )
    };

    let page = post_to(&webhook, "/pagerduty").body;
    assert_eq!(page["routing_key"], "a-routing-key");
    assert_eq!(page["payload"]["severity"], "critical");
    assert_eq!(
        page["payload"]["summary"],
        "[FIRING:1] HighAPIErrorRate: HighAPIErrorRate in short"
    );
    assert_eq!(
        page["links"],
        json!([
            {"text": "Runbook", "href": runbook("HighAPIErrorRate")},
            {"text": "Dashboard", "href": dashboard},
        ])
    );
    assert_eq!(page["payload"]["custom_details"]["alerts"], said("HighAPIErrorRate", "critical"));

    let message = &post_to(&webhook, "/slack").body["attachments"][0];
    assert_eq!(
        message["title"],
        "[FIRING:1] ElevatedDatabaseLatency: ElevatedDatabaseLatency in short"
    );
    assert_eq!(message["text"], said("ElevatedDatabaseLatency", "warning"));

    let ticket = post_to(&webhook, "/tickets");
    assert_eq!(http::header(&ticket.head, "authorization"), Some("Bearer a-token"));
    assert_eq!(ticket.body["alerts"][0]["labels"]["slo"], "ws-errors");
}
