//! What figures are quoted with: machine, versions, date.

use std::{fs, process::Command};

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
    let release = output("uname", &["-r"]);
    let kernel = release.split('-').next().unwrap_or_default();
    format!("{processors} processors{kind} ({model}), {memory} GiB, Linux {kernel}")
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
pub fn versions() -> Vec<String> {
    let lock = include_str!("../Cargo.lock");
    let packages = lock.split("[[package]]").skip(1);
    let own = packages.clone().find(|package| package.contains("\nname = \"peers\"\n"));
    let dependencies = own.unwrap_or_default().lines();
    dependencies
        .filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","))
        .map(|dependency| {
            // The version stands there already if several packages have the name.
            let named = format!("\nname = \"{dependency}\"\nversion = \"");
            let mut found = packages
                .clone()
                .filter_map(|package| package.split_once(&named)?.1.split('"').next());
            found
                .next()
                .map_or_else(|| dependency.to_owned(), |version| format!("{dependency} {version}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dependency_has_a_version() {
        let versions = versions();
        let numbered = |version: &&String| {
            version.split_once(' ').is_some_and(|(_, number)| number.contains('.'))
        };
        assert!(versions.len() > 20, "{versions:?}");
        assert_eq!(versions.iter().find(|version| !numbered(version)), None);
    }
}
