//! A process has room for so many cells. Past them no instance is made, and those that are there go on.
//!
//! A process of its own, as the room is gone for good.

mod common;

use backend_metrics::{
    BuildError, Domain, HistogramFamily, Metrics, Open, families, labels::ErrorSeverity,
    open_labels,
};
use common::{events::record, exposition::read};

/// A label of ten values.
macro_rules! digit {
    ($Digit:ident $label:literal) => {
        backend_metrics::label_values! {
            /// A digit.
            pub enum $Digit = $label {
                /// 0.
                Zero = "0",
                /// 1.
                One = "1",
                /// 2.
                Two = "2",
                /// 3.
                Three = "3",
                /// 4.
                Four = "4",
                /// 5.
                Five = "5",
                /// 6.
                Six = "6",
                /// 7.
                Seven = "7",
                /// 8.
                Eight = "8",
                /// 9.
                Nine = "9",
            }
        }
    };
}

digit!(Thousands "thousands");
digit!(Hundreds "hundreds");
digit!(Tens "tens");
digit!(Ones "ones");

open_labels! {
    /// The book a trade belongs to.
    pub struct Book(book);
}

families! {
    /// A subsystem of the largest size: a value of its open label takes 340,000 cells.
    pub struct LargeMetrics = "large" {
        with {
            /// The books seen so far.
            pub books: Domain<Book>,
        }

        /// Lots of a trade by number
        pub lots: HistogramFamily<(Open<Book>, (Thousands, Hundreds, Tens, Ones)), u64> = "large_lots"
            in &[
                0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0,
                17.0, 18.0, 19.0, 20.0, 21.0, 22.0, 23.0, 24.0, 25.0, 26.0, 27.0, 28.0, 29.0, 30.0, 31.0,
            ],
    }
}

#[test]
fn what_is_there_goes_on_when_the_room_is_used_up() {
    let builder = Metrics::builder().mount::<LargeMetrics>().cap_of::<Book>(10_000);
    let large = builder.build().unwrap();
    let metrics = Metrics::builder().label_cap(100_000).build().unwrap();

    let subsystem = large.mounted::<LargeMetrics>().unwrap();
    let digits = (Thousands::One, Hundreds::Two, Tens::Three, Ones::Four);
    for book in 0..1_000 {
        let book = subsystem.books.get(&book.to_string());
        subsystem.lots.get((book, digits)).observe(7);
    }
    let text = large.to_text();
    let sums: Vec<&str> = text.lines().filter(|line| line.starts_with("large_lots_sum")).collect();
    assert!((300..500).contains(&sums.len()), "{}", sums.len());
    let others = 1_000 - (sums.len() - 1);
    for expected in [
        r#"large_lots_sum{book="0",thousands="1",hundreds="2",tens="3",ones="4"} 7"#.to_owned(),
        format!(
            r#"large_lots_sum{{book="other",thousands="1",hundreds="2",tens="3",ones="4"}} {}"#,
            others * 7
        ),
        format!("metrics_label_overflows_total{{family=\"large_lots\"}} {others}"),
    ] {
        assert!(text.lines().any(|line| line == expected), "{expected}");
    }

    // What is left is too little for a row of that size, and enough for some instances.
    let error = (0..10_000).find_map(|_| Metrics::builder().build().err()).unwrap();
    assert_eq!(error, BuildError::TooManyInstances);
    assert_eq!(error.to_string(), "build: the process has no room for another instance");

    for number in 0..10_000 {
        metrics.track_application_error(&number.to_string(), ErrorSeverity::Error);
    }
    for number in 0..100 {
        record(metrics, &format!("more {number}"));
    }
    let exposition = read(metrics);
    let errors: u64 = exposition
        .samples()
        .filter(|sample| sample.name == "application_errors_total")
        .map(|sample| sample.value.parse::<u64>().unwrap())
        .sum();
    assert_eq!(errors, 10_100);
    assert!(exposition.values_of("application_errors_total", "error_type").len() < 10_000);
    let requests: u64 = exposition
        .samples()
        .filter(|sample| sample.name == "http_requests_total")
        .map(|sample| sample.value.parse::<u64>().unwrap())
        .sum();
    assert_eq!(requests, 200);
}
