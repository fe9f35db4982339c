//! Reads the transactions of a statement out of a file that anyone may have made.

use std::{
    io::{Cursor, Read},
    panic::{AssertUnwindSafe, catch_unwind},
};

use backend_metrics::{
    Metrics,
    labels::{StatementErrorType, StatementFileType, TransactionCategory},
};
use calamine::{DataRef, Reader, Xlsx};
use chrono::{Datelike, NaiveDate};
use csv::Trim;
use rust_decimal::{
    Decimal,
    prelude::{FromPrimitive, ToPrimitive},
};
use zip::ZipArchive;

/// The most transactions of a statement.
const MOST_ROWS: usize = 10_000;
/// The columns further right are not looked at.
const MOST_COLUMNS: usize = 64;
/// The most characters of a cell.
const LONGEST_TEXT: usize = 200;
/// The most that an Excel file may unpack to.
const LARGEST_UNPACKED: u64 = 20 * 1024 * 1024;
/// The largest amount: ten billion rupees.
const LARGEST_PAISE: u64 = 1_000_000_000_000;
/// How brokers write dates: the last is `01-Apr-2024`.
const DATE_FORMATS: [&str; 4] = ["%Y-%m-%d", "%d-%m-%Y", "%d/%m/%Y", "%d-%b-%Y"];

/// A row of a statement.
#[derive(Debug, PartialEq)]
pub(super) struct Transaction {
    pub(super) day: NaiveDate,
    pub(super) description: String,
    pub(super) category: TransactionCategory,
    pub(super) amount_paise: i64,
}

/// What is wrong with a statement. Rows are counted from one, with that of the names.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum StatementError {
    #[error("not a statement: {0}")]
    Format(String),
    #[error("no column {0}")]
    Column(&'static str),
    #[error("row {0}, column date: not a date")]
    Date(u64),
    #[error("row {0}, column amount: not an amount in rupees")]
    Amount(u64),
}

impl StatementError {
    /// The label's value.
    pub(super) fn error_type(&self) -> StatementErrorType {
        match self {
            Self::Format(_) => StatementErrorType::InvalidFormat,
            Self::Column(_) => StatementErrorType::MissingColumns,
            Self::Date(_) => StatementErrorType::Date,
            Self::Amount(_) => StatementErrorType::Decimal,
        }
    }
}

/// Reads a file. One that makes a parser panic is no statement.
pub(super) fn read(
    file_type: StatementFileType,
    file: &[u8],
    metrics: Metrics,
) -> Result<Vec<Transaction>, StatementError> {
    catch_unwind(AssertUnwindSafe(|| read_table(file_type, file, metrics)))
        .unwrap_or_else(|_| Err(StatementError::Format("it broke the reader".to_owned())))
}

fn read_table(
    file_type: StatementFileType,
    file: &[u8],
    metrics: Metrics,
) -> Result<Vec<Transaction>, StatementError> {
    let mut table = Table { metrics, columns: None, transactions: Vec::new() };
    match file_type {
        StatementFileType::Csv => read_csv(file, &mut table)?,
        _ => read_xlsx(file, &mut table)?,
    }
    match table.columns {
        Some(_) => Ok(table.transactions),
        None => Err(StatementError::Format("it is empty".to_owned())),
    }
}

fn read_csv(file: &[u8], table: &mut Table) -> Result<(), StatementError> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(file);
    for record in reader.records() {
        let record = record.map_err(format)?;
        let cells: Vec<Cell> = record.iter().take(MOST_COLUMNS).map(Cell::text).collect();
        table.add(record.position().map_or(0, |position| line(file, position)), &cells)?;
    }
    Ok(())
}

/// The line of a record, whose position is before the empty lines in front of it.
fn line(file: &[u8], position: &csv::Position) -> u64 {
    let before = usize::try_from(position.byte()).ok().and_then(|byte| file.get(byte..));
    let empty = before.unwrap_or_default().iter().take_while(|byte| byte.is_ascii_whitespace());
    position.line() + empty.filter(|byte| **byte == b'\n').count() as u64
}

/// Reads the first sheet, cell by cell: a sheet that claims to be huge takes no room.
fn read_xlsx(file: &[u8], table: &mut Table) -> Result<(), StatementError> {
    check_unpacked(file)?;
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(file)).map_err(format)?;
    let sheet = workbook.sheet_names().into_iter().next().unwrap_or_default();
    let mut cells = workbook.worksheet_cells_reader(&sheet).map_err(format)?;
    let (mut row, mut row_cells) = (0, Vec::new());
    while let Some(cell) = cells.next_cell().map_err(format)? {
        let (cell_row, column) = cell.get_position();
        if cell_row != row {
            table.add(u64::from(row) + 1, &row_cells)?;
            row_cells.clear();
            row = cell_row;
        }
        let column = column as usize;
        if column < MOST_COLUMNS {
            row_cells.resize_with(row_cells.len().max(column + 1), Cell::default);
            row_cells[column] = Cell::from(cell.get_value());
        }
    }
    table.add(u64::from(row) + 1, &row_cells)
}

/// Unpacks a file once without keeping it, as what it says of its size may be a lie.
fn check_unpacked(file: &[u8]) -> Result<(), StatementError> {
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(format)?;
    let mut left = LARGEST_UNPACKED;
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(format)?;
        let strings =
            part.name().map_err(format)?.to_ascii_lowercase().ends_with("sharedstrings.xml");
        let mut bytes = Vec::new();
        part.take(left + 1).read_to_end(&mut bytes).map_err(format)?;
        left = left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| StatementError::Format("it unpacks to too much".to_owned()))?;
        if strings && !has_few_strings(&bytes) {
            return Err(StatementError::Format("it has too many strings".to_owned()));
        }
    }
    Ok(())
}

/// Whether a table of strings says that there are few: the reader takes room for as many at once.
fn has_few_strings(part: &[u8]) -> bool {
    // In UTF-8 without control characters, so that the name cannot be there in disguise.
    let Ok(text) = str::from_utf8(part) else { return false };
    let is_plain = !text.contains(|c: char| c.is_ascii_control() && !c.is_ascii_whitespace());
    let digits = |rest: &str| {
        let number = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
        number.bytes().take_while(u8::is_ascii_digit).count()
    };
    is_plain && text.split("uniqueCount").skip(1).all(|rest| digits(rest) < 8)
}

/// What a parser says, which may be as long as the file.
fn format(error: impl std::error::Error) -> StatementError {
    StatementError::Format(error.to_string().chars().take(LONGEST_TEXT).collect())
}

/// A cell of either format.
#[derive(Debug, Default)]
enum Cell {
    #[default]
    Empty,
    Text(String),
    Number(f64),
    Date(NaiveDate),
}

impl Cell {
    /// A text, one character longer at most than it may be.
    fn text(text: &str) -> Self {
        match text.trim() {
            "" => Self::Empty,
            text => Self::Text(text.chars().take(LONGEST_TEXT + 1).collect()),
        }
    }

    fn as_text(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Date(date) => date.to_string(),
        }
    }

    fn as_date(&self) -> Option<NaiveDate> {
        let date = match self {
            Self::Date(date) => *date,
            Self::Text(text) => DATE_FORMATS
                .iter()
                .find_map(|format| NaiveDate::parse_from_str(text, format).ok())?,
            _ => return None,
        };
        // A year of two digits would be one of antiquity.
        (2000..2100).contains(&date.year()).then_some(date)
    }

    /// Rupees with two places at most; commas between digits as in `1,25,000.50` are left out.
    fn as_paise(&self) -> Option<i64> {
        let rupees = match self {
            Self::Text(text) => text.replace(',', "").parse().ok()?,
            Self::Number(number) => Decimal::from_f64(*number)?,
            _ => return None,
        };
        let paise = rupees.checked_mul(Decimal::ONE_HUNDRED)?;
        let whole = if paise.is_integer() { paise.to_i64() } else { None };
        whole.filter(|paise| paise.unsigned_abs() <= LARGEST_PAISE)
    }
}

impl From<&DataRef<'_>> for Cell {
    fn from(value: &DataRef<'_>) -> Self {
        match value {
            #[expect(clippy::cast_precision_loss, reason = "larger ones are no amounts")]
            DataRef::Int(number) => Self::Number(*number as f64),
            DataRef::Float(number) => Self::Number(*number),
            DataRef::String(text) | DataRef::DateTimeIso(text) => Self::text(text),
            DataRef::SharedString(text) => Self::text(text),
            DataRef::DateTime(time) => {
                let (year, month, day, ..) = time.to_ymd_hms_milli();
                let date = NaiveDate::from_ymd_opt(year.into(), month.into(), day.into());
                date.map_or(Self::Empty, Self::Date)
            }
            _ => Self::Empty,
        }
    }
}

/// Where the columns are.
#[derive(Clone, Copy)]
struct Columns {
    date: usize,
    description: usize,
    amount: usize,
    category: Option<usize>,
}

impl Columns {
    fn find(names: &[Cell]) -> Result<Self, StatementError> {
        let find = |name| names.iter().position(|cell| cell.as_text().eq_ignore_ascii_case(name));
        let need = |name| find(name).ok_or(StatementError::Column(name));
        Ok(Self {
            date: need("date")?,
            description: need("description")?,
            amount: need("amount")?,
            category: find("category"),
        })
    }
}

/// What was read so far.
struct Table {
    metrics: Metrics,
    columns: Option<Columns>,
    transactions: Vec<Transaction>,
}

impl Table {
    /// Reads a row: the first has the names, and empty ones are left out.
    fn add(&mut self, row: u64, cells: &[Cell]) -> Result<(), StatementError> {
        if cells.iter().all(|cell| matches!(cell, Cell::Empty)) {
            return Ok(());
        }
        let Some(columns) = self.columns else {
            self.columns = Some(Columns::find(cells)?);
            return Ok(());
        };
        let cell = |column: usize| cells.get(column).unwrap_or(&Cell::Empty);
        let day = cell(columns.date).as_date().ok_or(StatementError::Date(row))?;
        let amount_paise = cell(columns.amount).as_paise().ok_or(StatementError::Amount(row))?;
        let description = cell(columns.description).as_text();
        if description.chars().count() > LONGEST_TEXT {
            let longer =
                format!("row {row}, column description: longer than {LONGEST_TEXT} characters");
            return Err(StatementError::Format(longer));
        }
        if self.transactions.len() == MOST_ROWS {
            return Err(StatementError::Format(format!("it has more than {MOST_ROWS} rows")));
        }
        let category = columns.category.map(|column| cell(column).as_text()).unwrap_or_default();
        let category = if category.is_empty() { guess(&description) } else { named(&category) };
        self.metrics.track_transactions_parsed(category, 1);
        self.transactions.push(Transaction { day, description, category, amount_paise });
        Ok(())
    }
}

/// The category of a name.
fn named(name: &str) -> TransactionCategory {
    let is_it = |category: &&TransactionCategory| category.as_str().eq_ignore_ascii_case(name);
    TransactionCategory::ALL.iter().find(is_it).copied().unwrap_or(TransactionCategory::Other)
}

/// The category of a transaction by the words of its description.
fn guess(description: &str) -> TransactionCategory {
    let category = |word: &str| match word.to_ascii_lowercase().as_str() {
        "dividend" => Some(TransactionCategory::Dividend),
        "brokerage" | "charges" | "gst" | "stamp" | "stt" => Some(TransactionCategory::Charges),
        "equity" | "shares" => Some(TransactionCategory::Equity),
        // As in NIFTY24DEC24500CE.
        symbol
            if symbol.len() > 10 && ["ce", "pe", "fut"].iter().any(|end| symbol.ends_with(end)) =>
        {
            Some(TransactionCategory::Fno)
        }
        _ => None,
    };
    description
        .split(|c: char| !c.is_alphanumeric())
        .find_map(category)
        .unwrap_or(TransactionCategory::Other)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rust_xlsxwriter::Workbook;
    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::{
        super::sample::{sample_csv, sample_xlsx},
        *,
    };

    fn csv(text: &str) -> Result<Vec<Transaction>, StatementError> {
        read(StatementFileType::Csv, text.as_bytes(), Metrics::new())
    }

    fn xlsx(file: &[u8]) -> Result<Vec<Transaction>, StatementError> {
        read(StatementFileType::Excel, file, Metrics::new())
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn both_formats_of_a_statement_say_the_same() {
        let metrics = Metrics::new();
        let transactions =
            read(StatementFileType::Csv, sample_csv(60).as_bytes(), metrics).unwrap();
        assert_eq!(xlsx(&sample_xlsx(60).unwrap()).unwrap(), transactions);
        assert_eq!(transactions.len(), 60);
        assert_eq!(
            transactions[0],
            Transaction {
                day: day("2024-04-01"),
                description: "Sold NIFTY24DEC24500CE".to_owned(),
                category: TransactionCategory::Fno,
                amount_paise: 941_250,
            }
        );
        let text = metrics.to_text();
        for counted in
            ["fno\"} 20", "equity\"} 10", "charges\"} 10", "dividend\"} 10", "other\"} 10"]
        {
            assert!(text.contains(&format!("transactions_parsed_total{{category=\"{counted}\n")));
        }
    }

    #[test]
    fn columns_are_found_by_name_and_dates_and_amounts_in_the_usual_formats() {
        let read = csv("\u{feff}AMOUNT,note,description,Date\r\n\
             \"1,25,000.50\",,Stamp duty,2024-04-01\r\n\
             \r\n\
             -0.5,,Final dividend,02-04-2024\r\n\
             7,,NIFTY24DEC24500PE,03/04/2024\r\n\
             +7.10,,,04-Apr-2024\r\n");
        let read: Vec<_> =
            read.unwrap().into_iter().map(|it| (it.day, it.category, it.amount_paise)).collect();
        let expected = [
            (day("2024-04-01"), TransactionCategory::Charges, 12_500_050),
            (day("2024-04-02"), TransactionCategory::Dividend, -50),
            (day("2024-04-03"), TransactionCategory::Fno, 700),
            (day("2024-04-04"), TransactionCategory::Other, 710),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn what_cannot_be_read_is_named_by_row_and_column() {
        let with = |row: &str| csv(&format!("date,description,amount\n2024-04-01,x,1\n\n{row}\n"));
        for date in ["2024-02-30", "01-04-24", "1", "", "yesterday"] {
            assert_eq!(with(&format!("{date},x,1")), Err(StatementError::Date(4)), "{date}");
        }
        let huge = "9".repeat(40);
        for amount in ["", "1.005", "NaN", "one", "10000000000.01", &huge] {
            let read = with(&format!("2024-04-02,x,{amount}"));
            assert_eq!(read, Err(StatementError::Amount(4)), "{amount}");
        }
        let long = "x".repeat(LONGEST_TEXT + 1);
        let error = with(&format!("2024-04-02,{long},1")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "not a statement: row 4, column description: longer than 200 characters"
        );
        assert_eq!(csv("date,amount\n"), Err(StatementError::Column("description")));
        assert_eq!(csv("date,description,amount\n"), Ok(Vec::new()));

        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        sheet.write_row(2, 1, ["date", "description", "amount"]).unwrap();
        sheet.write_row(8, 1, ["2024-04-01", "x", "1"]).unwrap();
        sheet.write_row(9, 1, ["2024-04-01", "x", "-"]).unwrap();
        let error = xlsx(&workbook.save_to_buffer().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "row 10, column amount: not an amount in rupees");
    }

    #[test]
    fn what_is_no_file_of_its_type_is_an_error() {
        let is_format =
            |read: Result<_, StatementError>| matches!(read, Err(StatementError::Format(_)));
        assert!(is_format(csv("")));
        assert!(is_format(read(StatementFileType::Csv, b"date,\xff\n", Metrics::new())));
        assert!(is_format(xlsx(b"")));
        assert!(is_format(xlsx(sample_csv(3).as_bytes())));
        let file = sample_xlsx(3).unwrap();
        assert!(is_format(xlsx(&file[..file.len() / 2])));
        assert!(is_format(xlsx(&packed(&[("xl/workbook.xml", b"<workbook")]))));
    }

    /// Found by `fuzz/fuzz_targets/xlsx.rs`.
    #[test]
    fn an_error_does_not_repeat_the_file() {
        let part = format!("</{}>", "x".repeat(100_000));
        let error = xlsx(&workbook(part.as_bytes(), b"")).unwrap_err().to_string();
        assert!(error.contains("</xxx") && error.chars().count() < 250, "{error}");
    }

    /// Found by `fuzz/fuzz_targets/xlsx.rs`: the parser multiplies without looking.
    #[test]
    fn a_file_that_breaks_the_parser_is_an_error() {
        let file = workbook(
            b"<workbook><sheets><sheet name='a' sheetId='1' r:id='r'/></sheets></workbook>",
            b"<worksheet><sheetData><row r='1'><c r='A99999999999'><v>1</v></c></row></sheetData></worksheet>",
        );
        let error = xlsx(&file).unwrap_err();
        if cfg!(debug_assertions) {
            assert_eq!(error.to_string(), "not a statement: it broke the reader");
        }
    }

    #[test]
    fn a_statement_has_so_many_rows_and_no_more() {
        assert_eq!(csv(&sample_csv(MOST_ROWS)).unwrap().len(), MOST_ROWS);
        let error = csv(&sample_csv(MOST_ROWS + 1)).unwrap_err();
        assert_eq!(error.to_string(), "not a statement: it has more than 10000 rows");
    }

    #[test]
    fn a_file_that_would_take_all_memory_is_refused() {
        let bomb = packed(&[("xl/anything.xml", &vec![0; 30 * 1024 * 1024])]);
        assert!(bomb.len() < 100_000);
        assert_eq!(xlsx(&bomb).unwrap_err().to_string(), "not a statement: it unpacks to too much");

        let liar = packed(&[("xl/SharedStrings.xml", b"<sst uniqueCount = '99999999999'></sst>")]);
        let error = xlsx(&liar).unwrap_err();
        assert_eq!(error.to_string(), "not a statement: it has too many strings");

        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        sheet.write_row(0, 0, ["date", "description", "amount"]).unwrap();
        sheet.write(1_048_575, 16_383, "far away").unwrap();
        let error = xlsx(&workbook.save_to_buffer().unwrap());
        assert_eq!(error, Ok(Vec::new()), "a column that nobody looks at");
    }

    /// A workbook of one sheet.
    fn workbook(book: &[u8], sheet: &[u8]) -> Vec<u8> {
        const RELATIONS: &str =
            "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        let relation = |to: &str, kind: &str| {
            let kind = format!("{RELATIONS}/{kind}");
            format!(
                "<Relationships><Relationship Id='r' Type='{kind}' Target='{to}'/></Relationships>"
            )
        };
        packed(&[
            ("_rels/.rels", relation("xl/workbook.xml", "officeDocument").as_bytes()),
            ("xl/_rels/workbook.xml.rels", relation("worksheets/a.xml", "worksheet").as_bytes()),
            ("xl/workbook.xml", book),
            ("xl/worksheets/a.xml", sheet),
        ])
    }

    /// An archive of parts.
    fn packed(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, part) in parts {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(part).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }
}
