//! Servers that end with the test.

use std::{
    io::ErrorKind,
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
