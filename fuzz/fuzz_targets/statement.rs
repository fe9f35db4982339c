//! The reader of statements of the reference backend, and what holds for whatever it reads.

use std::{panic, sync::LazyLock};

use backend_metrics::{Metrics, labels::StatementFileType};

use crate::read::{self, StatementError, Transaction};

/// Lets the parsers of others panic, as the reader does, and nothing else.
#[allow(dead_code, reason = "only one of the formats has such parsers")]
pub(crate) fn let_parsers_panic() {
    let abort = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let file = info.location().map_or("", |location| location.file());
        if !["/calamine-", "/zip-", "/quick-xml-"].iter().any(|parser| file.contains(parser)) {
            abort(info);
        }
    }));
}

pub(crate) fn read(
    file_type: StatementFileType,
    file: &[u8],
) -> Result<Vec<Transaction>, StatementError> {
    static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);
    let read = read::read(file_type, file, *METRICS);
    match &read {
        Ok(transactions) => {
            assert!(transactions.len() <= 10_000);
            for it in transactions {
                assert!(it.amount_paise.unsigned_abs() <= 1_000_000_000_000, "{it:?}");
                assert!(it.description.chars().count() <= 200, "{it:?}");
                assert_eq!(it.description, it.description.trim());
                let year = chrono::Datelike::year(&it.day);
                assert!((2000..2100).contains(&year), "{it:?}");
            }
        }
        // It is shown to the client.
        Err(error) => {
            let text = error.to_string();
            assert!(text.chars().count() <= 300, "{text}");
        }
    }
    read
}
