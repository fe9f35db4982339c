//! Servers that end with the test.

use std::{
    io::{BufRead as _, BufReader, ErrorKind},
    process::{Child, Command, ExitStatus},
};

/// A process of the test's own. Dropped, it is killed and waited for.
pub(crate) struct Process(Child);

impl Process {
    /// Starts a program; one that is missing fails the test.
    #[track_caller]
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(spawn(command))
    }

    /// The first line of its output, which is a pipe. What follows is not read.
    #[track_caller]
    pub(crate) fn first_line(&mut self) -> String {
        let output = self.0.stdout.as_mut().expect("the output is a pipe");
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("the output is text");
        line.truncate(line.trim_end().len());
        line
    }

    /// Interrupts the process, as Ctrl-C does.
    #[track_caller]
    pub(crate) fn interrupt(&self) {
        self.signal("INT");
    }

    /// Sends the process a signal, by its name.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let kill =
            Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status();
        assert!(kill.expect("`kill` starts").success());
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// How the process ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a child can be waited for")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It fails if the process has ended, which is as good.
        _ = self.0.kill();
        if let Err(error) = self.0.wait() {
            eprintln!("process {} was not waited for: {error}", self.0.id());
        }
    }
}

/// Starts a program that the caller waits for; one that is missing fails the test.
#[track_caller]
pub(crate) fn spawn(command: &mut Command) -> Child {
    command.spawn().unwrap_or_else(|error| {
        let program = command.get_program().display();
        match error.kind() {
            ErrorKind::NotFound => panic!("`{program}` is not installed: run scripts/test"),
            _ => panic!("`{program}` does not start: {error}"),
        }
    })
}
