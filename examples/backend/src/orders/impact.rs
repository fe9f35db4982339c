//! How far an order would move the market.

use backend_metrics::{Metrics, labels::MarketImpactLevel};

use super::{matching::Quote, order::float};

/// From here on the impact is medium: a quarter of a percent.
const MEDIUM: f64 = 0.002_5;
/// From here on it is high: a percent.
const HIGH: f64 = 0.01;

/// Assesses an order of `quantity` against `offered`, what the other side offers at its best price.
///
/// It takes the order book for a ladder: `offered` at every step, the steps a spread apart. The order climbs
/// until all of it is filled; the impact is how far its average price is from the middle, as a part of that.
pub(super) fn assess(
    metrics: Metrics,
    quote: &Quote,
    quantity: i64,
    offered: i64,
) -> (MarketImpactLevel, f64) {
    let watch = metrics.stopwatch();
    let impact = quote.spread() / 2.0 * (1.0 + float(quantity) / float(offered));
    let level = match impact {
        ..MEDIUM => MarketImpactLevel::Low,
        ..HIGH => MarketImpactLevel::Medium,
        _ => MarketImpactLevel::High,
    };
    metrics.track_market_impact_assessment(level, watch.elapsed());
    (level, impact)
}

#[cfg(test)]
mod tests {
    use backend_metrics::{Metrics, labels::MarketImpactLevel};

    use super::{super::matching::Quote, assess};

    #[test]
    fn the_impact_grows_with_the_quantity_and_with_the_spread() {
        let metrics = Metrics::new();
        let level = |spread: i64, quantity| {
            let quote = Quote {
                last: 100_000,
                bid: 100_000 - spread / 2,
                ask: 100_000 + spread / 2,
                bid_quantity: 100,
                ask_quantity: 100,
            };
            assess(metrics, &quote, quantity, 100).0
        };
        // The spread is a tenth of a percent, then one percent.
        assert_eq!(level(100, 100), MarketImpactLevel::Low);
        assert_eq!(level(100, 500), MarketImpactLevel::Medium);
        assert_eq!(level(100, 2_000), MarketImpactLevel::High);
        assert_eq!(level(1_000, 50), MarketImpactLevel::Medium);
        assert_eq!(level(1_000, 200), MarketImpactLevel::High);
        assert!(
            metrics
                .to_text()
                .contains("market_impact_assessments_total{impact_level=\"medium\"} 2\n")
        );
    }
}
