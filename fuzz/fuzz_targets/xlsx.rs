//! Statements as Excel: what is no workbook, a workbook with any parts, and a table as text cells, which says
//! the same as the table in CSV.

#![no_main]

use std::io::{Cursor, Write};

use arbitrary::Arbitrary;
use backend_metrics::labels::StatementFileType;
use libfuzzer_sys::fuzz_target;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

#[path = "../../examples/backend/src/statements/read.rs"]
#[allow(dead_code, reason = "the label of an error is for the backend")]
mod read;
mod statement;

const WORKBOOK: &str = r#"<?xml version="1.0"?><workbook
    xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>
    <sheet name="one" sheetId="1" r:id="rId1"/></sheets></workbook>"#;

const PACKAGE: &str = r#"<?xml version="1.0"?><Relationships
    xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1"
    Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    Target="xl/workbook.xml"/></Relationships>"#;

const RELATIONS: &str = r#"<?xml version="1.0"?><Relationships
    xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1"
    Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"
    Target="worksheets/sheet1.xml"/></Relationships>"#;

const SHEET: &str = r#"<worksheet><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c>
    <c r="C1" t="s"><v>2</v></c></row><row r="2"><c r="A2" s="1"><v>45383</v></c><c r="B2"
    t="inlineStr"><is><t>x</t></is></c><c r="C2"><v>-1.5</v></c></row></sheetData></worksheet>"#;

const STRINGS: &str = r#"<sst count="3" uniqueCount="3"><si><t>date</t></si><si><t>description</t></si>
    <si><t>amount</t></si></sst>"#;

const STYLES: &str = r#"<styleSheet><numFmts><numFmt numFmtId="200" formatCode="dd-mmm"/></numFmts><cellXfs>
    <xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="200"/></cellXfs></styleSheet>"#;

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Bytes(&'a [u8]),
    Table(Vec<[&'a str; 3]>),
    Part(Part, &'a [u8]),
}

/// The part of a workbook that is not as it should be.
#[derive(Arbitrary, Debug)]
enum Part {
    Sheet,
    Strings,
    Styles,
    Workbook,
}

fn packed(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, part) in parts {
        archive.start_file(*name, options).unwrap();
        archive.write_all(part).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn workbook(sheet: &[u8], others: &[(&str, &[u8])]) -> Vec<u8> {
    let mut parts = vec![
        ("_rels/.rels", PACKAGE.as_bytes()),
        ("xl/_rels/workbook.xml.rels", RELATIONS.as_bytes()),
        ("xl/worksheets/sheet1.xml", sheet),
    ];
    parts.extend(others);
    packed(&parts)
}

/// A sheet whose cells are texts.
fn sheet(rows: &[[&str; 3]]) -> String {
    let mut sheet = String::from(
        r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>"#,
    );
    for (row, cells) in (1..).zip(rows) {
        sheet += &format!("<row r=\"{row}\">");
        for (column, text) in ["A", "B", "C"].iter().zip(cells) {
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            sheet += &format!("<c r=\"{column}{row}\" t=\"inlineStr\"><is><t>{text}</t></is></c>");
        }
        sheet += "</row>";
    }
    sheet + "</sheetData></worksheet>"
}

fuzz_target!(init: statement::let_parsers_panic(), |input: Input<'_>| {
    let book = ("xl/workbook.xml", WORKBOOK.as_bytes());
    match input {
        Input::Bytes(file) => _ = statement::read(StatementFileType::Excel, file),
        Input::Part(part, bytes) => {
            let (mut book, mut sheet) = (book, SHEET.as_bytes());
            let mut strings = ("xl/sharedStrings.xml", STRINGS.as_bytes());
            let mut styles = ("xl/styles.xml", STYLES.as_bytes());
            match part {
                Part::Sheet => sheet = bytes,
                Part::Strings => strings.1 = bytes,
                Part::Styles => styles.1 = bytes,
                Part::Workbook => book.1 = bytes,
            }
            let file = workbook(sheet, &[book, strings, styles]);
            _ = statement::read(StatementFileType::Excel, &file);
        }
        Input::Table(mut rows) => {
            // XML and CSV have ideas of their own about these.
            let is_plain = |text: &&str| text.chars().all(|c| c == ' ' || c.is_alphanumeric()
                || "&<>'-+./,;:".contains(c));
            rows.retain(|row| row.iter().all(is_plain));
            rows.insert(0, ["date", "description", "amount"]);
            let mut csv = csv::Writer::from_writer(Vec::new());
            for row in &rows {
                csv.write_record(row).unwrap();
            }
            let csv = statement::read(StatementFileType::Csv, &csv.into_inner().unwrap());
            let file = workbook(sheet(&rows).as_bytes(), &[book]);
            assert_eq!(statement::read(StatementFileType::Excel, &file), csv, "{rows:?}");
        }
    }
});
