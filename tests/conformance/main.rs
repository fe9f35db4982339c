//! The rules of `OpenMetrics` 1.0 for what is written, as a checklist: each is kept by everything that the
//! crate exposes, and each can be broken.
//!
//! Most rules are those of the reader in `../common/exposition.rs`, which the other tests rely on: it refuses
//! what breaks one, here for the reason that is named. The rest are checked by `found.rs`. What the
//! specification says of the transport (the content type, the negotiation) is in `exporter.rs`.

#[path = "../common/mod.rs"]
mod common;
#[path = "../drive/mod.rs"]
mod drive;
mod found;
mod rules;

use backend_metrics::{Format, Metrics};
use common::{
    events::{hostile_texts, record},
    exposition::{Family, parse},
};
use drive::{Driver, Via};
use rules::{
    Kept::{Found, Read},
    Of::{Both, OpenMetrics, Text},
    RULES, Rule,
};

/// Expositions of all families with labels of all kinds; the name of each for a failure.
fn expositions() -> Vec<(&'static str, Metrics)> {
    let mut driven = Driver::new(Via::Methods);
    recorded(&mut driven);
    let mut labelled = Driver::built(Via::Methods, |builder| {
        builder.constant_label("region", "mumbai").constant_label("desk", "\"a\\b\nc\"")
    });
    recorded(&mut labelled);
    for text in hostile_texts() {
        record(labelled.metrics, &text);
    }
    let nothing = Metrics::builder().constant_label("desk", "\u{feff}# EOF").build().unwrap();
    vec![("driven", driven.metrics), ("hostile", labelled.metrics), ("nothing recorded", nothing)]
}

/// Drives in spans of traces, so that there are exemplars: one with an id that is too long for its label.
#[cfg(feature = "exemplars")]
fn recorded(driver: &mut Driver) {
    use backend_metrics::TraceExemplars;
    use tracing_subscriber::layer::SubscriberExt as _;

    let subscriber = tracing_subscriber::registry().with(TraceExemplars::new());
    tracing::subscriber::with_default(subscriber, || {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        tracing::info_span!("request", trace_id = id).in_scope(|| driver.record());
        let metrics = driver.metrics;
        for id in hostile_texts().iter().map(String::as_str).chain([&*"😀".repeat(200)]) {
            tracing::info_span!("request", trace_id = id).in_scope(|| record(metrics, "/orders"));
        }
    });
}

#[cfg(not(feature = "exemplars"))]
fn recorded(driver: &mut Driver) {
    driver.record();
}

#[test]
fn every_rule_is_kept() {
    for (name, metrics) in expositions() {
        for (format, of) in [(Format::OpenMetrics, OpenMetrics), (Format::Text, Text)] {
            let text = metrics.encode(format);
            let read = parse(&text, format);
            let read = read.unwrap_or_else(|broken| panic!("{name}, {of:?}: {broken}"));
            for Rule { says, kept, .. } in RULES.iter().filter(|rule| [Both, of].contains(&rule.of))
            {
                if let Found(find) = kept
                    && let Some(broken) = find(&text, &read)
                {
                    panic!("{name}, {of:?}: {says}: {broken}");
                }
            }
        }
    }
}

#[test]
#[cfg(feature = "exemplars")]
fn what_is_checked_has_exemplars() {
    let (_, driven) = expositions().remove(0);
    let read = parse(&driven.encode(Format::OpenMetrics), Format::OpenMetrics).unwrap();
    for suffix in ["_total", "_bucket"] {
        let of_suffix = read.samples().filter(|sample| sample.name.ends_with(suffix));
        let with_exemplar = of_suffix.filter(|sample| sample.exemplar.is_some()).count();
        assert!(with_exemplar > 30, "{with_exemplar} of {suffix}");
    }
}

#[test]
fn every_rule_can_be_broken() {
    let whole = "# HELP a A\n# TYPE a gauge\na 1\n# HELP b B\n# TYPE b counter\nb_total 2\n# EOF\n";
    assert_eq!(parse(whole, Format::OpenMetrics).unwrap().families.len(), 2);
    for Rule { says, of, kept, broken } in RULES {
        assert!(!broken.is_empty(), "{says}");
        for broken in *broken {
            for (format, alone) in [(Format::OpenMetrics, OpenMetrics), (Format::Text, Text)] {
                if ![Both, alone].contains(of) {
                    continue;
                }
                let mut text = broken.text();
                if format == Format::OpenMetrics && text.ends_with('\n') {
                    text.push_str("# EOF\n");
                }
                match (kept, parse(&text, format)) {
                    (Read(reason), Err(refused)) => {
                        let refused = refused.to_string();
                        assert!(refused.contains(reason), "{says}: {refused}\n{text}");
                    }
                    (Found(find), Ok(read)) => {
                        assert!(find(&text, &read).is_some(), "{says}: not found\n{text}");
                    }
                    (_, read) => panic!("{says}: {read:?}\n{text}"),
                }
            }
        }
    }
    for (text, reason) in [("", "has an end"), ("# HELP a A\n# TYPE a gauge\na 1\n", "# EOF")] {
        let refused = parse(text, Format::OpenMetrics).unwrap_err().to_string();
        assert!(refused.contains(reason), "{text}\n{refused}, not {reason}");
    }
}

/// What the specification recommends and is not so, all of it, and why.
#[test]
fn what_should_be_and_is_not() {
    let (_, driven) = expositions().remove(0);
    let text = driven.encode(Format::OpenMetrics);
    let read = parse(&text, Format::OpenMetrics).unwrap();

    // "Exposers SHOULD avoid names that could be confused with the suffixes of samples": four gauges were
    // specified with their names, and one counter counts what was created. Ingestors go by the type, and no
    // family has a name that these clash with.
    let suffixes = ["_total", "_created", "_count", "_sum", "_bucket", "_gcount", "_gsum", "_info"];
    let confused = |family: &&Family| suffixes.iter().any(|suffix| family.name.ends_with(suffix));
    let confused = read.families.iter().filter(confused);
    let confused: Vec<_> = confused.map(|family| (&*family.name, &*family.kind)).collect();
    assert_eq!(
        confused,
        [
            ("cache_entries_total", "gauge"),
            ("strategies_total", "gauge"),
            ("strategy_instruments_total", "gauge"),
            ("strategy_pnl_total", "gauge"),
            ("sessions_created", "counter"),
        ]
    );

    // "A counter and a histogram SHOULD have a Created": none has one. The scraper sees a restart by the
    // fall of the number, and `process_start_time_seconds` has the time.
    assert!(read.samples().all(|sample| !sample.name.ends_with("_created")));

    // "The ordering of metadata SHOULD be TYPE, UNIT, HELP": it is HELP, TYPE, UNIT, which is the order of
    // text 0.0.4, and of the reader.

    // "The same label SHOULD NOT appear on every metric": it does where a service asks for a constant label.
}
