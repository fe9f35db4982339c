//! `scripts/fuzz` with a cargo that only sleeps: nothing runs on when the script is ended.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use crate::{
    process::Process,
    tempdir::TempDir,
    wait::{DEADLINE, eventually},
};

/// As cargo-fuzz does, it waits for the fuzzer, a process of its own.
const CARGO: &str = "#!/bin/sh
if [ \"$2\" = run ]; then
    sleep 60 &
    echo $! >> \"$FUZZERS\"
    wait
fi
";

#[test]
#[ignore = "starts a script: run scripts/test"]
fn a_signal_to_the_script_ends_its_fuzzers() {
    for (signal, code) in [("HUP", 129), ("INT", 130), ("TERM", 143)] {
        let directory = TempDir::new();
        let (cargo, fuzzers) = (directory.join("cargo"), directory.join("fuzzers"));
        fs::write(&cargo, CARGO).expect("the directory can be written to");
        fs::set_permissions(&cargo, PermissionsExt::from_mode(0o700)).expect("it is ours");
        let temporary = directory.join("tmp");
        fs::create_dir(&temporary).expect("the directory can be written to");
        let path = env::var("PATH").expect("there is a path");

        // What was ignored when it started a script cannot trap.
        let mut command = Command::new("env");
        command.arg(format!("--default-signal={signal}"));
        command.args([concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/fuzz"), "accept", "path"]);
        command.env("PATH", format!("{}:{path}", directory.join("").display()));
        command.env("FUZZERS", &fuzzers).env("TMPDIR", &temporary).stdin(Stdio::null());
        let mut script = Process::spawn(&mut command);
        let fuzzers = eventually(DEADLINE, || {
            let ids = fs::read_to_string(&fuzzers).unwrap_or_default();
            if ids.lines().count() == 2 { Ok(ids) } else { Err(ids) }
        });

        script.signal(signal);
        let status = eventually(DEADLINE, || script.ended().ok_or("it runs on".to_owned()));
        assert_eq!(status.code(), Some(code));
        for fuzzer in fuzzers.lines() {
            // Of one that has ended and was not waited for, it is empty.
            let command = fs::read(format!("/proc/{fuzzer}/cmdline")).unwrap_or_default();
            assert!(command.is_empty(), "{fuzzer} runs on");
        }
        assert_eq!(fs::read_dir(&temporary).expect("it is there").count(), 0, "logs are left");
    }
}
