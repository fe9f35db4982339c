//! What figures are quoted with: machine, versions, date.

use std::{collections::BTreeMap, fs, process::Command};

pub fn date() -> String {
    output("date", &["-u", "+%Y-%m-%d"])
}

pub fn rustc() -> String {
    output("rustc", &["--version"])
}

/// The processor, how many of it, memory and system.
pub fn machine() -> String {
    let model =
        field("/proc/cpuinfo", "model name").unwrap_or_else(|| "an unknown processor".to_owned());
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib.div_ceil(1024 * 1024));
    let virtual_machine =
        fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("hypervisor"));
    let kind = if virtual_machine { " of a virtual machine" } else { "" };
    format!(
        "{processors} processors{kind} ({model}), {memory} GiB, Linux {}",
        output("uname", &["-r"])
    )
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// What this package depends on, with the versions of its `Cargo.lock`.
pub fn versions() -> BTreeMap<String, String> {
    let lock = include_str!("../Cargo.lock");
    let packages = lock.split("[[package]]").skip(1);
    let own = packages
        .clone()
        .find(|package| package.contains("\nname = \"peers\"\n"))
        .unwrap_or_default();
    let dependencies =
        own.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","));
    dependencies
        .filter_map(|dependency| {
            // The version stands beside a name that several packages have.
            if let Some((name, version)) = dependency.split_once(' ') {
                return Some((name.to_owned(), version.to_owned()));
            }
            let named = format!("\nname = \"{dependency}\"\nversion = \"");
            let version = packages
                .clone()
                .find_map(|package| package.split_once(&named)?.1.split('"').next())?;
            Some((dependency.to_owned(), version.to_owned()))
        })
        .collect()
}
