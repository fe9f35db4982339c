//! What happens when the cells of the process are used up, which takes enormous caps or thousands of
//! instances: no further instance is made, and what finds no place is recorded under `other`.

use std::time::Duration;

use backend_metrics::{
    BuildError, CounterFamily, Domain, LabelSet, Labels, Metrics, Open, families,
    labels::QueryType, open_labels,
};
use http::{Method, StatusCode};

/// As many label sets as `N`.
#[derive(Clone, Copy, Debug)]
struct Sets<const N: usize>;

impl<const N: usize> LabelSet for Sets<N> {
    const LIST: Labels = Labels::new(&[]);
    const COUNT: usize = N;

    fn index(self) -> usize {
        0
    }
}

open_labels! {
    /// A value with a large row of cells.
    pub struct Large(large);
}

open_labels! {
    /// A value with a row of a few chunks.
    pub struct Medium(medium);
}

open_labels! {
    /// A value with one cell.
    pub struct Small(small);
}

families! {
    /// What uses the cells up.
    pub struct Hungry = "hungry" {
        with {
            /// Values with large rows.
            pub large: Domain<Large>,
            /// Values with rows of a few chunks.
            pub medium: Domain<Medium>,
            /// Values with one cell.
            pub small: Domain<Small>,
        }

        /// A family of large rows
        pub large_rows: CounterFamily<(Open<Large>, Sets<{ 1 << 20 }>)> = "hungry_large_total",

        /// A family of rows of a few chunks
        pub medium_rows: CounterFamily<(Open<Medium>, Sets<{ 1 << 12 }>)> = "hungry_medium_total",

        /// A family of single cells
        pub small_rows: CounterFamily<Open<Small>> = "hungry_small_total",
    }
}

/// Takes values until there is no cell left for another.
fn eat(metrics: Metrics) {
    let hungry: &Hungry = metrics.mounted().unwrap();
    let values = || (0..100_000).map(|n: u32| n.to_string());
    let large = hungry.large.get("other");
    assert!(values().any(|value| hungry.large.get(&value) == large));
    let medium = hungry.medium.get("other");
    assert!(values().any(|value| hungry.medium.get(&value) == medium));
    let small = hungry.small.get("other");
    assert!(values().any(|value| hungry.small.get(&value) == small));
}

#[test]
fn without_cells_everything_new_is_other() {
    let metrics = Metrics::new();
    let answer = |endpoint, status| {
        metrics.track_http_request(&Method::GET, endpoint, status, Duration::ZERO, (0, 0));
    };
    answer("/orders", StatusCode::OK);
    eat(Metrics::builder().label_cap(100_000).mount::<Hungry>().build().unwrap());

    assert_eq!(Metrics::builder().build().unwrap_err(), BuildError::TooManyInstances);
    // Nothing is installed: what is discarded needs no cells.
    backend_metrics::track_http_request(&Method::GET, "/", StatusCode::OK, Duration::ZERO, (0, 0));
    backend_metrics::start_database_query(QueryType::Select).success();
    answer("/orders", StatusCode::OK);
    answer("/orders", StatusCode::NOT_FOUND);
    answer("/trades", StatusCode::OK);
    let text = metrics.to_text();
    for series in [
        r#"http_requests_total{method="GET",endpoint="/orders",status="200"} 2"#,
        // The status of a known endpoint has no cells, nor has a method of the endpoint `other`.
        r#"http_requests_total{method="other",endpoint="other",status="other"} 2"#,
        r#"http_request_duration_seconds_count{method="GET",endpoint="/orders"} 3"#,
        r#"http_request_duration_seconds_count{method="other",endpoint="other"} 1"#,
        r#"metrics_label_overflows_total{family="http_requests_total"} 1"#,
    ] {
        assert!(text.contains(&format!("{series}\n")), "{series}\n{text}");
    }
}
