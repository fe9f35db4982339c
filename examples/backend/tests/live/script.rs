//! `scripts/stack`: what it starts, and that nothing of it is left.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

use crate::{
    http,
    process::Process,
    tempdir::TempDir,
    wait::{DEADLINE, eventually},
};

/// A running `scripts/stack`, with a place of its own for temporary files.
pub(crate) struct Stack {
    process: Process,
    directory: TempDir,
}

impl Stack {
    /// Starts the script on free ports.
    #[track_caller]
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let directory = TempDir::new();
        let temporary = directory.join("tmp");
        fs::create_dir(&temporary).expect("the directory can be written to");
        let log = File::create(directory.join("log")).expect("the directory can be written to");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/stack");
        let mut command = Command::new(script);
        command.args(["--program", env!("CARGO_BIN_EXE_reference-backend")]);
        command.args(["--backend", "0", "--prometheus", "0", "--alertmanager", "0"]);
        command.args(arguments).env("TMPDIR", temporary).stdin(Stdio::null());
        command.stderr(log.try_clone().expect("a file can be shared")).stdout(log);
        Self { process: Process::spawn(&mut command), directory }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.directory.join("log")).expect("it is text")
    }

    /// Waits until all servers are ready; gives their names and addresses.
    #[track_caller]
    pub(crate) fn servers(&self) -> Vec<(String, SocketAddr)> {
        let said = eventually(DEADLINE, || {
            let said = self.said();
            if said.contains("Ctrl-C ends") { Ok(said) } else { Err(said) }
        });
        let address = |line: &str| {
            let (name, rest) = line.split_once("http://")?;
            let name = name.trim();
            let address = rest.split_once('/')?.0.parse().ok()?;
            (!name.is_empty()).then(|| (name.to_owned(), address))
        };
        said.lines().filter_map(address).collect()
    }

    /// The processes that it started, by their ids.
    fn children(&self) -> Vec<String> {
        let id = self.process.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        children.expect("it runs").split_whitespace().map(str::to_owned).collect()
    }

    /// Waits for its end, after which nothing of it is there.
    #[track_caller]
    fn end(mut self, children: &[String]) -> (ExitStatus, String) {
        let status = eventually(DEADLINE, || self.process.ended().ok_or(self.said()));
        for child in children {
            assert!(!Path::new(&format!("/proc/{child}")).exists(), "{child} runs on");
        }
        let left = fs::read_dir(self.directory.join("tmp")).expect("it is there").count();
        assert_eq!(left, 0, "temporary files are left");
        (status, self.said())
    }
}

impl Drop for Stack {
    /// A script that is killed cannot end its servers, so it is asked to.
    fn drop(&mut self) {
        if self.process.ended().is_none() {
            self.process.signal("TERM");
            eventually(DEADLINE, || self.process.ended().ok_or("the script runs on".to_owned()));
        }
    }
}

#[test]
#[ignore = "needs Prometheus and Alertmanager: run scripts/test"]
fn it_runs_three_servers_until_a_signal() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let stack = Stack::start(&[]);
        let servers = stack.servers();
        let names: Vec<&str> = servers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["backend", "prometheus", "alertmanager"]);
        let [backend, prometheus, alertmanager] = [0, 1, 2].map(|number| servers[number].1);
        let metrics = http::get(backend, "/metrics").expect("the backend answers");
        assert!(metrics.text().contains("http_requests_total"), "{}", metrics.text());
        // What it scrapes is what runs, and all of it goes well.
        eventually(DEADLINE, || {
            let answer =
                http::get(prometheus, "/api/v1/query?query=up").map(|answer| answer.text());
            let answer = answer.map_err(|error| error.to_string())?;
            let up = |address: SocketAddr| {
                answer.contains(&format!(r#""instance":"{address}""#))
                    && !answer.contains(r#","0"]"#)
            };
            if [backend, prometheus, alertmanager].into_iter().all(up) {
                Ok(())
            } else {
                Err(answer)
            }
        });
        let known =
            http::get(prometheus, "/api/v1/alertmanagers").expect("Prometheus answers").text();
        assert!(known.contains(&alertmanager.to_string()), "{known}");
        let rules = http::get(prometheus, "/api/v1/rules").expect("Prometheus answers").text();
        assert!(rules.contains("BackendServiceDown"), "{rules}");

        let children = stack.children();
        assert_eq!(children.len(), 3);
        stack.process.signal(signal);
        let (status, said) = stack.end(&children);
        assert_eq!(status.code(), Some(code), "{said}");
    }
}

#[test]
#[ignore = "needs Prometheus and Alertmanager: run scripts/test"]
fn it_ends_with_the_first_of_them() {
    for number in 0..3 {
        let stack = Stack::start(&[]);
        let servers = stack.servers();
        let children = stack.children();
        let killed = Command::new("kill").args(["-KILL", &children[number]]).status();
        assert!(killed.expect("`kill` starts").success());
        let (status, said) = stack.end(&children);
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(
            servers.iter().any(|(name, _)| said.ends_with(&format!("{name} has ended\n"))),
            "{said}"
        );
    }
}

#[test]
#[ignore = "needs Prometheus and Alertmanager: run scripts/test"]
fn what_cannot_start_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, _listener) = taken.expect("a port is free");
    let port = address.port().to_string();
    for (arguments, says) in [
        (
            ["--prometheus", &port],
            format!("port {port} is taken: give another one with --prometheus"),
        ),
        (["--backend", "eighty"], "--backend needs a port".to_owned()),
        (["--colour", "blue"], "no such option: --colour".to_owned()),
        // It is for the backend, which does not know it.
        (["--", "--colour"], "backend has ended".to_owned()),
    ] {
        let (status, said) = Stack::start(&arguments).end(&[]);
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(&says), "{said}");
    }
}
