//! Uploaded account statements.
//!
//! | family | labels | recorded by |
//! | --- | --- | --- |
//! | `statement_uploads_total`, `statement_parsing_duration_seconds`, `statement_upload_size_bytes` | `file_type`; `status` | [`Metrics::start_statement_upload`], [`Metrics::track_statement_upload`] |
//! | `statement_parsing_errors_total` | `error_type` | [`StatementUploadGuard::error`], [`Metrics::track_statement_error`] |
//! | `transactions_parsed_total` | `category` | [`StatementUploadGuard::transactions`], [`Metrics::track_transactions_parsed`] |
//!
//! ```
//! use backend_metrics::{
//!     Metrics,
//!     labels::{StatementErrorType, StatementFileType, TransactionCategory},
//! };
//!
//! fn parse(metrics: Metrics, file: &str) -> Option<usize> {
//!     let upload = metrics.start_statement_upload(StatementFileType::Csv, file.len() as u64);
//!     let mut lines = file.lines();
//!     if lines.next() != Some("date,amount") {
//!         upload.error(StatementErrorType::MissingColumns);
//!         return None;
//!     }
//!     let charges = lines.count();
//!     upload.transactions(TransactionCategory::Charges, charges as u64);
//!     upload.success();
//!     Some(charges)
//! }
//!
//! let metrics = Metrics::new();
//! assert_eq!(parse(metrics, "date,amount\n2024-04-01,-20\n"), Some(1));
//! assert_eq!(parse(metrics, "amount\n"), None);
//! let text = metrics.to_text();
//! assert!(text.contains("statement_uploads_total{status=\"error\",file_type=\"csv\"} 1\n"));
//! assert!(text.contains("statement_parsing_errors_total{error_type=\"missing_columns\"} 1\n"));
//! assert!(text.contains("transactions_parsed_total{category=\"charges\"} 1\n"));
//! ```
//!
//! [`Metrics::start_statement_upload`]: crate::Metrics::start_statement_upload
//! [`Metrics::track_statement_upload`]: crate::Metrics::track_statement_upload
//! [`Metrics::track_statement_error`]: crate::Metrics::track_statement_error
//! [`Metrics::track_transactions_parsed`]: crate::Metrics::track_transactions_parsed

use std::time::Duration;

use crate::{CounterFamily, HistogramFamily, Stopwatch, guard::dropped};

use super::helpers::helpers;

families! {
    /// Uploaded account statements.
    pub struct StatementMetrics = "statements" {
        /// Statements uploaded by how their parsing ended
        pub uploads: CounterFamily<(StatementStatus, StatementFileType)> = "statement_uploads_total",

        /// Time to parse a statement
        ///
        /// Failed and cancelled parses are included.
        pub parsing_duration: HistogramFamily<StatementFileType> =
            "statement_parsing_duration_seconds"
            in &[0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0],

        /// Transactions read from statements
        ///
        /// They are counted as they are read, also from a statement that fails later on.
        pub transactions_parsed: CounterFamily<TransactionCategory> = "transactions_parsed_total",

        /// Errors in statements by kind
        ///
        /// A statement that is read in spite of bad rows adds to them and is a success.
        pub parsing_errors: CounterFamily<StatementErrorType> = "statement_parsing_errors_total",

        /// Size of the file of a statement
        ///
        /// Failed and cancelled parses are included.
        pub upload_size: HistogramFamily<StatementFileType, u64> =
            "statement_upload_size_bytes"
            in &[1_000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0, 100_000_000.0],
    }
}

label_values! {
    /// How the parsing of a statement ended.
    pub enum StatementStatus = "status" {
        /// It was read.
        Success = "success",
        /// It could not be read, or the guard was dropped by a panic.
        Error = "error",
        /// The guard was dropped without an outcome: the caller went away.
        Cancelled = "cancelled",
    }
}

label_values! {
    /// The format of a statement.
    pub enum StatementFileType = "file_type" {
        /// Comma-separated values.
        Csv = "csv",
        /// A spreadsheet, `.xls` or `.xlsx`.
        Excel = "excel",
    }
}

label_values! {
    /// What a transaction of a statement is about.
    pub enum TransactionCategory = "category" {
        /// Futures and options.
        Fno = "fno",
        /// Shares.
        Equity = "equity",
        /// Brokerage, taxes and fees.
        Charges = "charges",
        /// A dividend.
        Dividend = "dividend",
        /// Anything else.
        Other = "other",
    }
}

label_values! {
    /// What is wrong with a statement.
    pub enum StatementErrorType = "error_type" {
        /// It is not a file of its type, or not a statement.
        InvalidFormat = "invalid_format",
        /// A column that is needed is not there.
        MissingColumns = "missing_columns",
        /// A date cannot be read.
        Date = "date_error",
        /// An amount or a price cannot be read.
        Decimal = "decimal_error",
    }
}

helpers! {
    /// Counts a statement whose parsing ended, and observes how large it is and how long it took.
    ///
    /// Moves `statement_uploads_total`, `statement_parsing_duration_seconds` and `statement_upload_size_bytes`.
    /// [`Metrics::start_statement_upload`](crate::Metrics::start_statement_upload) measures the time itself.
    pub fn track_statement_upload(self, file_type: StatementFileType, bytes: u64, duration: Duration, status: StatementStatus) {
        let uploads = self.statements.uploads.get((status, file_type));
        self.statements.parsing_duration.get(file_type).observe_counted(duration, uploads);
        self.statements.upload_size.get(file_type).observe(bytes);
    }

    /// Starts to parse a statement of `bytes` bytes; the guard records how it ended.
    pub fn start_statement_upload(self, file_type: StatementFileType, bytes: u64) -> StatementUploadGuard {
        StatementUploadGuard { watch: self.stopwatch(), bytes, file_type, status: None }
    }

    /// Counts transactions read from a statement in `transactions_parsed_total`.
    pub fn track_transactions_parsed(self, category: TransactionCategory, transactions: u64) {
        self.statements.transactions_parsed.get(category).add(transactions);
    }

    /// Counts an error in a statement in `statement_parsing_errors_total`.
    ///
    /// For a row that is left out; an error that ends the parsing goes to [`StatementUploadGuard::error`].
    pub fn track_statement_error(self, error_type: StatementErrorType) {
        self.statements.parsing_errors.get(error_type).inc();
    }
}

/// A statement that is being parsed. Dropped without an outcome it is `cancelled`, dropped by a panic `error`.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a cancelled upload"]
pub struct StatementUploadGuard {
    watch: Stopwatch,
    bytes: u64,
    file_type: StatementFileType,
    status: Option<StatementStatus>,
}

impl StatementUploadGuard {
    /// Counts transactions that were read, at once and whatever becomes of the rest.
    pub fn transactions(&self, category: TransactionCategory, transactions: u64) {
        self.watch.metrics().track_transactions_parsed(category, transactions);
    }

    /// The statement was read.
    pub fn success(mut self) {
        self.status = Some(StatementStatus::Success);
    }

    /// The statement could not be read, which `statement_parsing_errors_total` counts as well.
    pub fn error(mut self, error_type: StatementErrorType) {
        self.watch.metrics().track_statement_error(error_type);
        self.status = Some(StatementStatus::Error);
    }

    /// The parsing returned `result`; `error_type` says what kind of error it is.
    pub fn finish<T, E>(
        self,
        result: &Result<T, E>,
        error_type: impl FnOnce(&E) -> StatementErrorType,
    ) {
        match result {
            Ok(_) => self.success(),
            Err(error) => self.error(error_type(error)),
        }
    }
}

impl Drop for StatementUploadGuard {
    fn drop(&mut self) {
        let status = self
            .status
            .unwrap_or_else(|| dropped(StatementStatus::Error, StatementStatus::Cancelled));
        let duration = self.watch.elapsed();
        self.watch.metrics().track_statement_upload(self.file_type, self.bytes, duration, status);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{StatementErrorType, StatementFileType, TransactionCategory};
    use crate::testing::Fixture;

    #[test]
    fn a_statement_is_counted_timed_and_measured_once_whatever_its_end() {
        let test = Fixture::new();
        let start = || {
            let upload = test.metrics.start_statement_upload(StatementFileType::Excel, 20_000);
            test.clock.advance(Duration::from_millis(500));
            upload
        };
        start().success();
        start().finish(&Ok::<_, ()>(1), |()| StatementErrorType::InvalidFormat);
        start().error(StatementErrorType::Date);
        start().finish(&Err::<(), _>(1), |_| StatementErrorType::Decimal);
        drop(start());
        std::panic::catch_unwind(|| {
            let _upload = start();
            panic!("the guard unwinds");
        })
        .unwrap_err();
        test.assert_series(&[
            (r#"statement_uploads_total{status="success",file_type="excel"}"#, 2.0),
            (r#"statement_uploads_total{status="error",file_type="excel"}"#, 3.0),
            (r#"statement_uploads_total{status="cancelled",file_type="excel"}"#, 1.0),
            (r#"statement_uploads_total{status="success",file_type="csv"}"#, 0.0),
            (r#"statement_parsing_duration_seconds_count{file_type="excel"}"#, 6.0),
            (r#"statement_parsing_duration_seconds_sum{file_type="excel"}"#, 3.0),
            (r#"statement_upload_size_bytes_count{file_type="excel"}"#, 6.0),
            (r#"statement_upload_size_bytes_sum{file_type="excel"}"#, 120_000.0),
            (r#"statement_parsing_errors_total{error_type="date_error"}"#, 1.0),
            (r#"statement_parsing_errors_total{error_type="decimal_error"}"#, 1.0),
            (r#"statement_parsing_errors_total{error_type="invalid_format"}"#, 0.0),
        ]);
    }

    #[test]
    fn a_statement_with_a_bad_row_can_succeed() {
        let test = Fixture::new();
        let upload = test.metrics.start_statement_upload(StatementFileType::Csv, 900);
        upload.transactions(TransactionCategory::Fno, 12);
        test.metrics.track_statement_error(StatementErrorType::Date);
        upload.transactions(TransactionCategory::Charges, 3);
        upload.success();
        test.assert_series(&[
            (r#"statement_uploads_total{status="success",file_type="csv"}"#, 1.0),
            (r#"statement_uploads_total{status="error",file_type="csv"}"#, 0.0),
            (r#"statement_upload_size_bytes_bucket{file_type="csv",le="1000.0"}"#, 1.0),
            (r#"statement_parsing_errors_total{error_type="date_error"}"#, 1.0),
            (r#"transactions_parsed_total{category="fno"}"#, 12.0),
            (r#"transactions_parsed_total{category="charges"}"#, 3.0),
            (r#"transactions_parsed_total{category="equity"}"#, 0.0),
        ]);
    }
}
