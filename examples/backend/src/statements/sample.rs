//! Statements as a broker would write them, for tests and for the traffic.

use std::iter;

use chrono::NaiveDate;
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook, XlsxError};

const COLUMNS: [&str; 4] = ["Date", "Description", "Category", "Amount"];

/// A description, its category and an amount in rupees.
const TRANSACTIONS: [(&str, &str, f64); 6] = [
    ("Sold NIFTY24DEC24500CE", "fno", 9_412.5),
    ("Bought 10 shares of RELIANCE", "equity", -28_450.75),
    ("Brokerage and taxes", "charges", -61.2),
    ("Bought BANKNIFTY24DECFUT", "fno", -1_025.0),
    ("Dividend of INFY", "dividend", 180.0),
    ("Interest", "other", 12.35),
];

/// A statement of so many transactions as CSV.
#[must_use]
pub fn sample_csv(rows: usize) -> String {
    let lines = transactions(rows).map(|(date, (description, category, amount))| {
        format!("{date},{description},{category},{amount:.2}\n")
    });
    iter::once(COLUMNS.join(",") + "\n").chain(lines).collect()
}

/// A statement of so many transactions as Excel.
pub fn sample_xlsx(rows: usize) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    let dates = Format::new().set_num_format("dd-mmm-yyyy");
    let sheet = workbook.add_worksheet();
    sheet.write_row(0, 0, COLUMNS)?;
    for (row, (date, (description, category, amount))) in (1..).zip(transactions(rows)) {
        let date = ExcelDateTime::parse_from_str(&date.to_string())?;
        sheet.write_datetime_with_format(row, 0, &date, &dates)?;
        sheet.write_string(row, 1, description)?;
        sheet.write_string(row, 2, category)?;
        sheet.write_number(row, 3, amount)?;
    }
    workbook.save_to_buffer()
}

/// Four on each day since the first of April 2024.
fn transactions(
    rows: usize,
) -> impl Iterator<Item = (NaiveDate, (&'static str, &'static str, f64))> {
    let first = NaiveDate::from_epoch_days(19_814).unwrap_or_default();
    let dates = first.iter_days().flat_map(|date| [date; 4]);
    dates.zip(TRANSACTIONS.into_iter().cycle()).take(rows)
}
