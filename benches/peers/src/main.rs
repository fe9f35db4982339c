//! Measures the library beside its peers, and makes the tables and pictures of `BENCHMARKS.md`.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml                   # everything, half an hour
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- --rounds 3     # sooner, and rougher
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- --only query   # a few cases, not kept
//! ```
//!
//! | argument | what it does |
//! | --- | --- |
//! | `--rounds N` | processes of each case; 9 unless given |
//! | `--only PATTERN` | the cases whose id has it, printed and not kept: kept figures are of one run |
//! | `--instructions` | counts instructions (valgrind) in place of time |
//! | `profile` | where the instructions go in what misses its target, by file (valgrind) |
//! | `report` | makes tables and pictures again of what is kept in `results/` |
//! | `list` | the ids of all cases: row, subject, use |
//! | `case ID [EVENTS]` | one case in this process, as JSON; with `EVENTS` so many and no more |
#![cfg_attr(
    not(feature = "peers"),
    allow(dead_code, unused_imports, reason = "the peers need the most of it")
)]
#![allow(clippy::cast_precision_loss, reason = "times and sizes are far below 2^53")]

mod bench;
mod case;
mod compare;
#[cfg(feature = "all-features")]
mod features;
mod floor;
mod instructions;
mod layers;
#[cfg(feature = "peers")]
mod libraries;
mod library;
mod load;
mod origin;
mod ours;
mod profile;
mod report;
mod results;
mod shape;

use bench::Bench;

const ROUNDS: usize = 9;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let mut rest = arguments.iter().map(String::as_str);
    let (mut rounds, mut pattern, mut instructions) = (ROUNDS, None, false);
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().unwrap_or_else(|| panic!("{argument} needs a value"));
        match argument {
            "case" => {
                let id = value();
                let events = rest.next().map(|events| events.parse().expect("EVENTS is a number"));
                return case(id, Bench { events });
            }
            "list" => return case::all().iter().for_each(|case| println!("{}", case.id())),
            "profile" => {
                profile::run();
                return report::write();
            }
            "report" => return report::write(),
            "--rounds" => rounds = value().parse().expect("N is a number"),
            "--only" => pattern = Some(value().to_owned()),
            "--instructions" => instructions = true,
            _ => panic!("{argument} is not known; see src/main.rs"),
        }
    }
    let only = pattern.as_deref().unwrap_or_default();
    let (name, results) = if instructions {
        ("instructions", instructions::run(only))
    } else {
        ("compare", compare::run(rounds, only))
    };
    if pattern.is_some() {
        report::print(&results);
    } else {
        results::write(name, &results);
        report::write();
    }
}

fn case(id: &str, bench: Bench) {
    let case = case::all()
        .into_iter()
        .find(|case| case.id() == id)
        .unwrap_or_else(|| panic!("no case is {id}"));
    let sample = (case.run)(bench);
    println!("{}", serde_json::to_string(&sample).expect("plain data"));
}
