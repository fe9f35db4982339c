//! `promtool`, which comes with Prometheus.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use crate::process::spawn;

/// The exit code of `promtool` for a valid exposition that it has complaints about.
const COMPLAINTS: i32 = 3;

/// What `promtool check metrics` says of an exposition in text 0.0.4, a complaint a line.
///
/// # Panics
///
/// When the exposition cannot be parsed.
#[track_caller]
pub(crate) fn check_metrics(exposition: &str) -> Vec<String> {
    let mut child = spawn(
        Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    // It reads all before it writes. Dropping the pipe ends the input.
    let mut input = child.stdin.take().expect("the input is a pipe");
    let written = input.write_all(exposition.as_bytes());
    drop(input);
    let output = child.wait_with_output().expect("a child can be waited for");
    let complaints = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0 | COMPLAINTS) => written.expect("promtool reads all"),
        _ => panic!("promtool: {}\n{complaints}", output.status),
    }
    complaints.lines().map(str::to_owned).collect()
}
