//! The backend as a process.

use std::{
    fs::{self, File},
    net::SocketAddr,
    process::{Command, ExitStatus, Stdio},
};

use serde_json::Value;

use crate::{
    http::{self, Response},
    process::Process,
    tempdir::TempDir,
    wait::{DEADLINE, eventually},
};

/// A backend on a free port, with its log in a file.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    process: Process,
    directory: TempDir,
}

/// The program with these arguments, and with none from the environment.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reference-backend"));
    command.args(arguments).stdin(Stdio::null());
    command.env_remove("DATABASE_URL").env_remove("REDIS_URL").env("RUST_LOG", "info");
    command
}

impl Backend {
    /// Starts a backend on a free port and waits until it listens.
    #[track_caller]
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::run(command(&["--listen", "127.0.0.1:0"]).args(arguments))
    }

    /// Starts a backend by this command and waits until it listens.
    #[track_caller]
    pub(crate) fn run(command: &mut Command) -> Self {
        let directory = TempDir::new();
        let log = File::create(directory.join("log")).expect("the directory can be written to");
        let mut process = Process::spawn(command.stdout(log));
        let address = eventually(DEADLINE, || {
            if let Some(status) = process.ended() {
                panic!("the backend ended with {status}");
            }
            let log = log_of(&directory);
            let started = log.iter().find(|line| line["message"] == "started");
            started
                .and_then(|line| line["address"].as_str()?.parse().ok())
                .ok_or(format!("{log:?}"))
        });
        Self { address, process, directory }
    }

    /// Sends it a signal, by its name.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it logged, line by line.
    #[track_caller]
    pub(crate) fn log(&self) -> Vec<Value> {
        log_of(&self.directory)
    }

    /// Asks with a body of JSON.
    #[track_caller]
    pub(crate) fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> Response {
        let length = body.len().to_string();
        let authorization = format!("Bearer {token}");
        let headers = [("Content-Length", length.as_str()), ("Authorization", &authorization)];
        http::send(self.address, method, path, &headers, body).expect("the backend answers")
    }

    /// Logs in; gives the token.
    #[track_caller]
    pub(crate) fn log_in(&self, account: &str) -> String {
        let body = format!(r#"{{"account":"{account}","password":"demo"}}"#);
        let answer = self.ask("POST", "/auth/login", "", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let value: Value = serde_json::from_slice(&answer.body).expect("the answer is JSON");
        value["access_token"].as_str().expect("there is a token").to_owned()
    }

    /// Ends it by a signal; gives how it ended.
    #[track_caller]
    pub(crate) fn stop(mut self, signal: &str) -> (ExitStatus, Vec<Value>) {
        self.process.signal(signal);
        self.end()
    }

    /// Waits for its end; gives how it ended.
    #[track_caller]
    pub(crate) fn end(&mut self) -> (ExitStatus, Vec<Value>) {
        let status = eventually(DEADLINE, || self.process.ended().ok_or("it runs on".to_owned()));
        (status, self.log())
    }
}

fn log_of(directory: &TempDir) -> Vec<Value> {
    let log = fs::read_to_string(directory.join("log")).expect("it logs");
    // The last line may be half written.
    let lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}
