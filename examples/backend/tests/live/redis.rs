//! A Redis of the test's own.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
};

use crate::{
    process::Process,
    tempdir::TempDir,
    wait::{DEADLINE, eventually},
};

/// A running server that keeps nothing on disk.
pub(crate) struct Redis {
    process: Option<Process>,
    directory: TempDir,
    port: u16,
}

impl Redis {
    /// Starts an empty server.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.expect("a port is free").port();
        let mut this = Self { process: None, directory: TempDir::new(), port };
        this.run();
        this
    }

    /// Where clients find it.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends the server at once.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// Starts the server again.
    #[track_caller]
    pub(crate) fn run(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(["--port", &self.port.to_string()]).arg("--dir").arg(self.directory.join(""));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.process = Some(Process::spawn(&mut command));
        eventually(DEADLINE, || match self.command(&["PING"]).as_str() {
            "PONG" => Ok(()),
            answer => Err(answer.to_owned()),
        });
    }

    /// How often the server was sent a command, by its own count.
    pub(crate) fn calls(&self, command: &str) -> u32 {
        let stats = self.command(&["INFO", "commandstats"]);
        let line =
            stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or(0)
    }

    /// How many clients are connected, apart from the one that asks.
    pub(crate) fn clients(&self) -> u32 {
        let clients = self.command(&["CLIENT", "LIST"]).lines().count();
        u32::try_from(clients).expect("they are few") - 1
    }

    /// Lets clients, those that are connected as well, read and write no key, or do so again.
    #[track_caller]
    pub(crate) fn refuse(&self, refuse: bool) {
        let rules: &[&str] = if refuse { &["-@read", "-@write"] } else { &["+@all"] };
        assert_eq!(self.command(&[&["ACL", "SETUSER", "default"], rules].concat()), "OK");
    }

    fn command(&self, command: &[&str]) -> String {
        let output =
            Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(command).output();
        let output = output.expect("`redis-cli` is installed: run scripts/test");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}
