//! Writes `dashboards/*.json`: `cargo run -p dashboards`.
//!
//! A panel is a few lines in the file of its dashboard (`api.rs`, `database_cache.rs`, `trading.rs`, `slo.rs`).
//! What all panels have alike, from the selectors of a query to the place on the grid, is said once in `panel.rs`
//! and `dashboard.rs`. Grafana reads the JSON alone, so that it can be copied without this program.

mod api;
mod dashboard;
mod database_cache;
mod layout;
mod panel;
mod query;
mod slo;
mod trading;

use std::{fs, io, path::PathBuf};

use dashboard::Dashboard;

fn main() -> io::Result<()> {
    for dashboard in dashboards() {
        fs::write(path(&dashboard), dashboard.to_json())?;
        println!("{}: {} panels", dashboard.file, dashboard.panel_count());
    }
    Ok(())
}

fn dashboards() -> [Dashboard; 4] {
    [api::dashboard(), database_cache::dashboard(), trading::dashboard(), slo::dashboard()]
}

fn path(dashboard: &Dashboard) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../dashboards").join(dashboard.file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_written_by_this_program() {
        for dashboard in dashboards() {
            let file = fs::read_to_string(path(&dashboard)).expect("the dashboard is there");
            assert!(
                file == dashboard.to_json(),
                "{} is out of date: cargo run -p dashboards",
                dashboard.file
            );
        }
    }
}
