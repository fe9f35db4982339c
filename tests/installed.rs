//! The free functions and the instance of the process. A process has one, so this is one test.

mod drive;

use std::collections::BTreeSet;

use backend_metrics::Metrics;
use drive::{Driver, Via, source};

#[test]
fn free_functions_record_into_the_installed_instance() {
    let mut driver = Driver::new(Via::Functions);
    assert!(Metrics::installed().is_none());
    // Nowhere, and nor do the guards that are begun here and end later.
    driver.record();
    driver.assert_untouched();

    assert_eq!(driver.metrics.install(), Ok(()));
    assert!(Metrics::installed().is_some());
    let other = Driver::new(Via::Functions);
    for again in [other.metrics, driver.metrics] {
        let error = again.install().unwrap_err();
        assert_eq!(error.to_string(), "another instance is installed as the one of the process");
    }

    // Into the first that was installed: a step whose effect is not there fails.
    driver.drive();
    driver.watch();
    let called: BTreeSet<String> = driver.called().into_iter().map(str::to_owned).collect();
    assert_eq!(called, source::helpers());
    other.assert_untouched();
}
