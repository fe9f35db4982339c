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

/// What it starts, in this order.
const SERVERS: [&str; 3] = ["backend", "alertmanager", "prometheus"];

/// The script, running, with a place of its own for temporary files.
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
        // A job in the background ignores it, and so would the script, which cannot trap what was ignored before.
        let mut command = Command::new("env");
        command.args(["--default-signal=INT", script]);
        command.args(["--program", env!("CARGO_BIN_EXE_reference-backend")]);
        command.args(["--backend", "0", "--prometheus", "0", "--alertmanager", "0"]);
        command.args(arguments).env("TMPDIR", temporary).stdin(Stdio::null());
        command.stderr(log.try_clone().expect("a file can be shared")).stdout(log);
        Self { process: Process::spawn(&mut command), directory }
    }

    /// The address of a server, as soon as all are ready.
    #[track_caller]
    pub(crate) fn address(&mut self, server: &str) -> SocketAddr {
        let said = eventually(3 * DEADLINE, || {
            let said = self.said();
            if let Some(status) = self.process.ended() {
                panic!("{status}\n{said}");
            }
            if said.contains("Ctrl-C ends") { Ok(said) } else { Err(said) }
        });
        let line = said.lines().find(|line| line.starts_with(server)).expect("it is named");
        let address = line.split_once("http://").and_then(|(_, rest)| rest.split('/').next());
        address.and_then(|address| address.parse().ok()).expect("it has an address")
    }

    /// Ends it by a signal; gives its exit status.
    #[track_caller]
    pub(crate) fn stop(self, signal: &str) -> Option<i32> {
        let children = self.children();
        assert_eq!(children.len(), SERVERS.len());
        self.process.signal(signal);
        self.end(&children).0.code()
    }

    fn said(&self) -> String {
        fs::read_to_string(self.directory.join("log")).expect("it is text")
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

#[test]
#[ignore = "needs Prometheus and Alertmanager: run scripts/test"]
fn it_runs_three_servers_until_a_signal() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut stack = Stack::start(&[]);
        let [backend, alertmanager, prometheus] = SERVERS.map(|server| stack.address(server));
        // What is scraped is what runs, and all of it goes well.
        eventually(DEADLINE, || {
            let up = http::get(prometheus, "/api/v1/query?query=up==1");
            let up = up.map_err(|error| error.to_string())?.text();
            let is_up = |server: SocketAddr| up.contains(&format!(r#""instance":"{server}""#));
            let all = [backend, alertmanager, prometheus].into_iter().all(is_up);
            if all { Ok(()) } else { Err(up) }
        });
        let down = http::get(prometheus, "/api/v1/query?query=up==0").expect("it answers").text();
        assert!(down.contains(r#""result":[]"#), "{down}");
        let known = http::get(prometheus, "/api/v1/alertmanagers").expect("it answers").text();
        assert!(known.contains(&alertmanager.to_string()), "{known}");
        let rules = http::get(prometheus, "/api/v1/rules").expect("it answers").text();
        assert!(rules.contains("BackendServiceDown"), "{rules}");
        assert_eq!(stack.stop(signal), Some(code));
    }
}

#[test]
#[ignore = "needs Prometheus and Alertmanager: run scripts/test"]
fn it_ends_with_the_first_of_them() {
    for (number, server) in SERVERS.iter().enumerate() {
        let mut stack = Stack::start(&[]);
        stack.address(server);
        let children = stack.children();
        let killed = Command::new("kill").args(["-KILL", &children[number]]).status();
        assert!(killed.expect("`kill` starts").success());
        let (status, said) = stack.end(&children);
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.ends_with(&format!("{server} has ended\n")), "{said}");
    }
}

#[test]
#[ignore = "needs Prometheus and Alertmanager: run scripts/test"]
fn no_server_outlives_it() {
    let mut stack = Stack::start(&[]);
    stack.address("prometheus");
    let children = stack.children();
    stack.process.signal("KILL");
    eventually(DEADLINE, || {
        let is_there = |child: &&String| Path::new(&format!("/proc/{child}")).exists();
        children.iter().find(is_there).map_or(Ok(()), |child| Err(format!("{child} runs on")))
    });
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
