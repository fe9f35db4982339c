//! How the backend starts, and how it does not.

use std::{net::TcpListener, process::Stdio};

use crate::backend::{self, Backend};

/// Starts a backend that cannot start; gives what it says.
#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let output = backend::command(arguments).stdout(Stdio::null()).output().expect("it starts");
    assert!(!output.status.success(), "{arguments:?}");
    assert!(output.status.code().is_some(), "{arguments:?}: {}", output.status);
    String::from_utf8(output.stderr).expect("it speaks UTF-8")
}

#[test]
#[ignore = "starts servers: run scripts/test"]
fn what_cannot_work_is_one_clear_line_and_a_failure() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = taken.local_addr().expect("it is bound").to_string();
    let nobody = |scheme: &str| format!("{scheme}://me:secret@127.0.0.1:1/0");
    let (postgres, redis) = (nobody("postgres"), nobody("redis"));
    let on_a_free_port = ["--listen", "127.0.0.1:0"];
    for (arguments, says) in [
        (vec!["--listen", &taken], "cannot listen on"),
        (vec!["--database", &postgres], "cannot use the database: "),
        (vec!["--database", "mysql://me:secret@host/0"], "cannot use the database: "),
        (vec!["--database", "/nowhere/at/all.sqlite"], "cannot use the database: "),
        (vec!["--database", "/dev/null/x"], "cannot use the database: "),
        (vec!["--redis", &redis], "cannot use Redis: "),
        (vec!["--redis", "redis://me:secret@127.0.0.1:port"], "cannot use Redis: "),
        (vec!["--redis", "x"], "cannot use Redis: "),
        (vec!["--metrics-token", "\n"], "cannot use the metrics token: "),
    ] {
        let free = if arguments[0] == "--listen" { vec![] } else { on_a_free_port.to_vec() };
        let said = refused(&[free, arguments.clone()].concat());
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
        assert!(!said.contains("secret"), "{arguments:?}: {said}");
    }
    for (arguments, says) in [
        (["--listen", "here"], "--listen"),
        (["--traffic", "some"], "--traffic"),
        (["--faults", "rain"], "--faults"),
        (["--colour", "blue"], "--colour"),
    ] {
        let said = refused(&arguments);
        assert!(said.starts_with("error: ") && said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
#[ignore = "starts servers: run scripts/test"]
fn two_run_beside_each_other_and_stop_at_a_signal() {
    for signal in ["INT", "TERM"] {
        let pair = [Backend::start(&[]), Backend::start(&[])];
        for backend in &pair {
            assert_eq!(backend.ask("GET", "/health", "", "").status, 200);
        }
        for backend in pair {
            let (status, log) = backend.stop(signal);
            assert!(status.success(), "{status}");
            assert_eq!(log.last().expect("it logs")["message"], "stopped");
        }
    }
}

#[test]
#[ignore = "starts servers: run scripts/test"]
fn a_line_of_the_log_has_its_keys_at_the_top() {
    let backend = Backend::start(&["--traffic", "0"]);
    assert_eq!(backend.ask("GET", "/accounts/A-01", "nonsense", "").status, 401);
    let (_, log) = backend.stop("TERM");
    let line = log.iter().find(|line| line["status"] == 401).expect("it is logged");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["endpoint"], "/accounts/{id}");
    assert_eq!(line["trace_id"].as_str().map(str::len), Some(32));
    assert_eq!(line["message"], "answered");
}
