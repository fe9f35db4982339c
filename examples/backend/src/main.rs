//! Runs the backend until it is told to stop.

use std::{error::Error, process::ExitCode};

use clap::Parser;
use reference_backend::{Backend, config::Config, telemetry};
use tokio::signal::unix::{SignalKind, signal};

/// How many files may be open: those of all WebSocket clients that there may be, and then some.
const OPEN_FILES: u64 = 8192;

#[tokio::main]
async fn main() -> ExitCode {
    // Ends the program by itself, with a line on what is wrong.
    let config = Config::parse();
    match run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("reference-backend: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> Result<(), Box<dyn Error>> {
    // A connection is a file. Of those a process begins with 1,024 on many systems, and may have more if it asks.
    rlimit::increase_nofile_limit(OPEN_FILES)?;
    // At once, so that a signal while starting is not lost.
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut trouble = signal(SignalKind::user_defined1())?;
    let metrics = telemetry::metrics()?;
    telemetry::start_log(metrics)?;
    let backend = Backend::start(config, metrics).await?;
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = trouble.recv() => backend.switch_faults(),
        }
    }
    backend.stop().await;
    Ok(())
}
