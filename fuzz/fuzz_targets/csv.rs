//! Statements as CSV: a table comes back as it was written, and any bytes are read within the limits.

#![no_main]

use arbitrary::Arbitrary;
use backend_metrics::labels::StatementFileType;
use chrono::NaiveDate;
use libfuzzer_sys::fuzz_target;
use read::StatementError;

#[path = "../../examples/backend/src/statements/read.rs"]
#[allow(dead_code, reason = "the label of an error is for the backend")]
mod read;
mod statement;

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Table(Vec<Row<'a>>),
    Bytes(&'a [u8]),
}

#[derive(Arbitrary, Debug)]
struct Row<'a> {
    days: u16,
    form: u8,
    description: &'a str,
    paise: i64,
}

impl Row<'_> {
    fn day(&self) -> NaiveDate {
        let days = u64::from(self.days);
        NaiveDate::from_ymd_opt(2_000, 1, 1).unwrap() + chrono::Days::new(days % 36_500)
    }

    fn paise(&self) -> i64 {
        self.paise % 1_000_000_000_001
    }

    fn cells(&self) -> [String; 3] {
        let form = ["%Y-%m-%d", "%d-%m-%Y", "%d/%m/%Y", "%d-%b-%Y"][usize::from(self.form % 4)];
        let paise = self.paise();
        let sign = if paise < 0 { "-" } else { "" };
        let amount = format!("{sign}{}.{:02}", paise.abs() / 100, paise.abs() % 100);
        [self.day().format(form).to_string(), self.description.to_owned(), amount]
    }
}

fuzz_target!(|input: Input<'_>| {
    match input {
        Input::Bytes(file) => _ = statement::read(StatementFileType::Csv, file),
        Input::Table(rows) => {
            let mut file = csv::Writer::from_writer(Vec::new());
            file.write_record(["Date", "Description", "Amount"]).unwrap();
            for row in &rows {
                file.write_record(row.cells()).unwrap();
            }
            let read = statement::read(StatementFileType::Csv, &file.into_inner().unwrap());
            let is_long = |row: &Row| row.description.trim().chars().count() > 200;
            if rows.iter().any(is_long) {
                assert!(matches!(read, Err(StatementError::Format(_))), "{read:?}");
                return;
            }
            let read = read.unwrap();
            assert_eq!(read.len(), rows.len());
            for (read, row) in read.iter().zip(&rows) {
                assert_eq!((read.day, read.amount_paise), (row.day(), row.paise()));
                assert_eq!(read.description, row.description.trim());
            }
        }
    }
});
