//! Numbers and tables as text.

use std::fmt::Write;

/// A Markdown table whose first column is text and whose others are numbers.
pub struct Table {
    text: String,
    columns: usize,
}

impl Table {
    pub fn new<S: AsRef<str>>(columns: impl IntoIterator<Item = S>) -> Self {
        let mut this = Self { text: String::new(), columns: 0 };
        this.columns = this.line(columns, "");
        this.text += "| --- |";
        this.text += &" ---: |".repeat(this.columns - 1);
        this.text.push('\n');
        this
    }

    pub fn row<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let cells = self.line(cells, "–");
        assert_eq!(cells, self.columns, "a cell for each column: {}", self.text);
    }

    fn line<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>, empty: &str) -> usize {
        let mut count = 0;
        self.text.push('|');
        for cell in cells {
            let cell = cell.as_ref();
            _ = write!(self.text, " {} |", if cell.is_empty() { empty } else { cell });
            count += 1;
        }
        self.text.push('\n');
        count
    }

    pub fn finish(self) -> String {
        self.text
    }
}

/// `1,234`.
pub fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) =
        digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
    let mut out = sign.to_owned();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// With two digits that count, or all that stand before the point.
pub fn short(value: f64) -> String {
    if value.abs() < 9.95 { format!("{value:.1}") } else { grouped(value) }
}

pub fn time(nanoseconds: f64) -> String {
    match nanoseconds.abs() {
        9_999.5.. if nanoseconds >= 999_950.0 => format!("{} ms", short(nanoseconds / 1e6)),
        9_999.5.. => format!("{} us", short(nanoseconds / 1e3)),
        _ => format!("{} ns", short(nanoseconds)),
    }
}

pub fn bytes(bytes: f64) -> String {
    match bytes {
        1e6.. => format!("{} MB", short(bytes / 1e6)),
        1e4.. => format!("{} kB", short(bytes / 1e3)),
        _ => format!("{} B", short(bytes)),
    }
}

pub fn times(ratio: f64) -> String {
    format!("{}x", short(ratio))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_digits_that_count() {
        assert_eq!(grouped(1_234_567.0), "1,234,567");
        assert_eq!(grouped(-999.0), "-999");
        assert_eq!(time(1.25), "1.2 ns");
        assert_eq!(time(1_899.0), "1,899 ns");
        assert_eq!(time(25_000.0), "25 us");
        assert_eq!(time(4_300_000.0), "4.3 ms");
        assert_eq!(bytes(2_500_000.0), "2.5 MB");
    }

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(["what", "time"]);
        table.row(["a", ""]);
        assert_eq!(table.finish(), "| what | time |\n| --- | ---: |\n| a | – |\n");
    }
}
