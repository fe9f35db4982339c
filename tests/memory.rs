//! Memory does not grow with what open labels are called with. A process of its own, so that no other test
//! takes memory meanwhile.

#![cfg(target_os = "linux")]

mod common;

use backend_metrics::Metrics;
use common::{events::record, resident::resident_bytes};

#[test]
fn distinct_values_past_the_cap_or_for_nothing_take_no_memory() {
    let off = ["http", "http_client", "database", "cache", "websocket", "strategies", "workers"];
    let off = off.iter().chain(&["rate_limits", "errors", "market_data"]);
    let off = off.fold(Metrics::builder(), |builder, name| builder.without(*name));
    for builder in [off, Metrics::builder().label_cap(10)] {
        let metrics = builder.build().unwrap();
        for warm_up in 0..1_000 {
            record(metrics, &format!("warm-up {warm_up}"));
        }
        let (before, lines) = (resident_bytes(), metrics.to_text().lines().count());
        for number in 0..100_000 {
            record(metrics, &format!("{number:0>100}"));
        }
        // Kept, they would be a hundred megabytes for each family.
        let growth = resident_bytes().saturating_sub(before);
        assert!(growth < 8_000_000, "{growth} bytes");
        assert_eq!(metrics.to_text().lines().count(), lines);
    }
}
