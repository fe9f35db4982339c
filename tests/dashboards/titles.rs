//! The panels that people and documents know by their titles.

use serde_json::json;

use crate::{
    dashboard::{Dashboard, all, assert_none, text},
    sample::sample,
};

const API: [&str; 23] = [
    "Request rate",
    "Active requests",
    "Error rate",
    "Active WebSocket connections",
    "Active users (15m)",
    "Request duration p95",
    "Request duration p99",
    "Database pool status",
    "Circuit breaker state",
    "Request duration by endpoint (p95)",
    "Request duration heatmap",
    "Requests by endpoint (top 10)",
    "HTTP status code distribution",
    "Requests by method",
    "WebSocket connections by endpoint",
    "WebSocket message rate",
    "WebSocket connection duration (p95)",
    "WebSocket errors",
    "Authentication attempts",
    "JWT validation rate",
    "Active sessions",
    "Rate limit violations",
    "Backend errors",
];

const DATABASE_CACHE: [&str; 21] = [
    "Query rate",
    "Query duration p95",
    "Query duration p99",
    "Pool active connections",
    "Pool idle connections",
    "Pool acquire timeouts",
    "Database errors/sec",
    "Transaction duration p95",
    "Pool acquire duration p95",
    "Queries by type",
    "Query duration by type (p95)",
    "Database errors by type",
    "Transaction duration heatmap",
    "Cache hit rate (L1/L2)",
    "Cache operations/sec",
    "Cache entries by layer",
    "Cache operation duration (p95)",
    "Redis command duration (p95)",
    "Redis connection errors",
    "Memory cache usage",
    "Connection pool health",
];

const TRADING: [&str; 28] = [
    "Order validations/sec",
    "Validation success rate",
    "Validation duration p95",
    "Orders placed today",
    "Rejection rate",
    "Rejection reasons",
    "Market impact assessments",
    "Margin calculations/sec",
    "Margin calculation duration by method (p95)",
    "Cost breakdowns by transaction type",
    "Ticker service success rate",
    "Circuit breaker failures",
    "Ticker service request duration (p95)",
    "Active strategies by account",
    "Strategy operations",
    "M2M calculations/sec",
    "M2M calculation duration p95",
    "Total strategy instruments",
    "Strategies created today",
    "Total P&L",
    "F&O query rate",
    "F&O query duration by type (p95)",
    "F&O instruments cached",
    "Greeks calculations/sec",
    "Active users by time window",
    "Daily active users",
    "Worker task rate",
    "Worker queue depth",
];

const SLO: [&str; 3] = ["Error budget remaining (30d)", "Burn rate", "Firing alerts"];

#[test]
fn the_panels_keep_their_titles() {
    let promised: [(&str, &[&str]); 4] = [
        ("backend-api", &API),
        ("backend-db-cache", &DATABASE_CACHE),
        ("backend-trading", &TRADING),
        ("backend-slo", &SLO),
    ];
    let dashboards = all();
    let mut missing = Vec::new();
    for (uid, titles) in promised {
        let dashboard = dashboards.iter().find(|dashboard| dashboard.uid() == uid);
        let shown = dashboard.map(titles_of).unwrap_or_default();
        let absent = titles.iter().filter(|title| !shown.contains(title));
        missing.extend(absent.map(|title| format!("{uid}: {title}")));
    }
    assert!(missing.is_empty(), "no such panel:\n{}", missing.join("\n"));
}

fn titles_of(dashboard: &Dashboard) -> Vec<&str> {
    dashboard.panels().iter().map(|panel| text(&panel["title"])).collect()
}

/// On a screen of 1,600 pixels, beside the signs for the description and the links.
#[test]
fn a_title_has_room_on_its_panel() {
    assert_none(cut);
}

fn cut(dashboard: &Dashboard) -> Vec<String> {
    let panels = dashboard.panels();
    let too_long = panels.iter().filter(|panel| {
        let columns = panel["gridPos"]["w"].as_f64().expect("a width is a number");
        let room = columns * (1600.0 - 24.0) / 24.0 - 8.0 - 80.0;
        text(&panel["title"]).chars().map(width).sum::<f64>() > room
    });
    too_long.map(|panel| format!("{} is cut", text(&panel["title"]))).collect()
}

/// The width of a letter of a title in pixels, or so: 14 pixels of Inter Medium.
fn width(letter: char) -> f64 {
    match letter {
        'I' | 'i' | 'j' | 'l' | ' ' => 3.7,
        '.' | ',' | ':' | 't' => 4.8,
        'f' | 'r' | '(' | ')' | '/' | '-' => 5.5,
        'w' => 11.6,
        'm' | 'M' => 12.6,
        'W' | '%' => 14.0,
        'A'..='Z' => 9.9,
        _ => 8.4,
    }
}

#[test]
fn a_title_that_is_cut_is_found() {
    let mut dashboard = sample();
    assert!(cut(&dashboard).is_empty());
    dashboard.json["panels"][2]["title"] = json!("Ticker service success rate");
    assert!(cut(&dashboard).is_empty());
    dashboard.json["panels"][2]["gridPos"]["w"] = json!(4);
    assert_eq!(cut(&dashboard), ["Ticker service success rate is cut"]);
}
