//! The tables and pictures of `BENCHMARKS.md`, out of `results/`.

mod alone;
mod figures;
mod format;
mod svg;
mod tables;
mod targets;
mod view;

use std::fs;

use crate::results::{Results, home, read};

/// A table stands between this, its name and ` -->`, and `END`.
const BEGIN: &str = "<!-- table: ";
const END: &str = "<!-- end -->";

/// Writes what the results give into `BENCHMARKS.md`, whose text stays, and into `benches/figures`.
pub fn write() {
    let repository = home().join("../..");
    let results: Results =
        read("compare").expect("results/compare.json: run without arguments first");
    let path = repository.join("BENCHMARKS.md");
    let text = fs::read_to_string(&path).expect("BENCHMARKS.md");
    fs::write(&path, filled(&text, |name| tables::named(name, &results))).expect("a writable file");
    let folder = home().join("../figures");
    fs::create_dir_all(&folder).expect("a writable folder");
    for (name, svg) in figures::all(&results) {
        fs::write(folder.join(name).with_extension("svg"), svg).expect("a writable folder");
    }
}

/// The text with each table in its place.
fn filled(text: &str, table: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(" -->").expect("the marker ends");
        let (_, after) = after.split_once(END).expect("the table ends");
        let table = table(name).unwrap_or_else(|| panic!("no table is named {name}"));
        out.extend([before, BEGIN, name, " -->\n", &table, END]);
        rest = after;
    }
    out + rest
}

/// The figures as they are, for a look at some of them.
pub fn print(results: &Results) {
    for figure in &results.figures {
        for (name, value) in &figure.values {
            println!(
                "{:<28} {:<46} {:<10} {name:<13} {:>14.2}   ({:.2} to {:.2})",
                figure.row,
                figure.subject,
                figure.usage.to_string(),
                value.median,
                value.least,
                value.most
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_last_one_and_the_text_stays() {
        let text = "before\n<!-- table: a -->\nold\n<!-- end -->\nafter\n";
        let new = filled(text, |name| Some(format!("{name}: new\n")));
        assert_eq!(new, "before\n<!-- table: a -->\na: new\n<!-- end -->\nafter\n");
        assert_eq!(filled(&new, |name| Some(format!("{name}: new\n"))), new);
    }
}
