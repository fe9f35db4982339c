//! A `PostgreSQL` of the test's own.

use std::{
    ffi::OsStr,
    fs::{self, File},
    net::TcpListener,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    process::Process,
    tempdir::TempDir,
    wait::{DEADLINE, eventually},
};

/// A running server with storage of its own, which logs every statement; both go away when it is dropped.
pub(crate) struct Postgres {
    process: Option<Process>,
    directory: TempDir,
    port: u16,
}

impl Postgres {
    /// Starts a server with an empty database.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let directory = TempDir::new();
        let data = directory.join("data");
        fs::create_dir(&data).expect("the directory can be written to");
        // It refuses to run as root.
        if is_root() {
            let status = Command::new("chown").arg("postgres").arg(&data).status();
            assert!(status.expect("`chown` starts").success());
        }
        let created = server("initdb")
            .args([
                "--auth=trust",
                "--username=postgres",
                "--no-sync",
                "--encoding=UTF8",
                "--pgdata",
            ])
            .arg(&data)
            .output()
            .expect("`initdb` starts");
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let mut this =
            Self { process: None, directory, port: port.expect("a port is free").port() };
        this.run();
        this
    }

    /// Where clients find it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres:secret@127.0.0.1:{}/postgres", self.port)
    }

    /// Kills the server. Its processes see that and go; when it runs again, it recovers.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Starts the server again.
    #[track_caller]
    pub(crate) fn run(&mut self) {
        let log = File::options().create(true).append(true).open(self.directory.join("log"));
        let settings = [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "fsync=off".to_owned(),
            "log_statement=all".to_owned(),
        ];
        let mut command = server("postgres");
        command.arg("-D").arg(self.directory.join("data"));
        command.args(settings.iter().flat_map(|setting| ["-c", setting]));
        command.stdin(Stdio::null()).stderr(log.expect("the directory can be written to"));
        self.process = Some(Process::spawn(&mut command));
        eventually(DEADLINE, || self.psql("SELECT 1"));
    }

    /// What a query gives, as text.
    #[track_caller]
    pub(crate) fn query(&self, sql: &str) -> String {
        self.psql(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Sets what a setting is for everyone, those that are connected as well, or what it was.
    #[track_caller]
    pub(crate) fn set(&self, setting: &str, value: Option<&str>) {
        let change = value.map_or_else(
            || format!("ALTER SYSTEM RESET {setting}"),
            |value| format!("ALTER SYSTEM SET {setting} = {value}"),
        );
        self.query(&change);
        self.query("SELECT pg_reload_conf()");
    }

    /// How many statements that read or change rows the backend has sent, apart from those that create tables.
    pub(crate) fn statements(&self) -> u32 {
        const VERBS: [&str; 5] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];
        const OF_MIGRATIONS: [&str; 3] = ["_sqlx_migrations", "pg_advisory_", "current_database()"];
        let log = fs::read_to_string(self.directory.join("log")).expect("it logs");
        // Those of `psql` are simple statements, which are logged in another form.
        let executed =
            log.lines().filter_map(|line| line.split_once("LOG:  execute ")?.1.split_once(": "));
        let of_the_backend = executed.filter(|(_, sql)| {
            VERBS.iter().any(|verb| sql.starts_with(verb))
                && !OF_MIGRATIONS.iter().any(|part| sql.contains(part))
        });
        of_the_backend.count().try_into().expect("they are few")
    }

    /// Locks a table against everyone, until [`unlock`](Self::unlock).
    #[track_caller]
    pub(crate) fn lock(&self, table: &str) -> Process {
        let sql = format!("BEGIN; LOCK TABLE {table}; SELECT pg_sleep(60)");
        let process = Process::spawn(self.client(&sql).stdout(Stdio::null()));
        eventually(DEADLINE, || match self.psql(&locks("COUNT(*)", table))?.as_str() {
            "1" => Ok(()),
            count => Err(format!("{count} locks")),
        });
        process
    }

    /// Ends who has locked a table.
    #[track_caller]
    pub(crate) fn unlock(&self, table: &str) {
        self.query(&locks("pg_terminate_backend(pid)", table));
    }

    fn psql(&self, sql: &str) -> Result<String, String> {
        let output =
            self.client(sql).output().map_err(|error| format!("`psql` does not start: {error}"))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    fn client(&self, sql: &str) -> Command {
        let mut client = Command::new("psql");
        client
            .args(["--host=127.0.0.1", "--username=postgres", "--no-align", "--tuples-only"])
            .arg(format!("--port={}", self.port))
            .args(["--command", sql, "postgres"]);
        client
    }
}

/// Reads of the locks that keep everyone from a table.
fn locks(what: &str, table: &str) -> String {
    format!(
        "SELECT {what} FROM pg_locks \
         WHERE relation = '{table}'::regclass AND mode = 'AccessExclusiveLock' AND granted"
    )
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Killed at once, it would leave shared memory behind.
        if let Some(mut process) = self.process.take() {
            process.interrupt();
            eventually(DEADLINE, || process.ended().ok_or("PostgreSQL runs on".to_owned()));
        }
    }
}

/// One of the server's programs, which Debian keeps out of the path, as a user who may run it.
fn server(program: &str) -> Command {
    let versions =
        fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed: run scripts/test");
    let newest = versions
        .filter_map(|version| version.ok()?.file_name().into_string().ok()?.parse::<u32>().ok())
        .max()
        .expect("PostgreSQL is installed: run scripts/test");
    let program = PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin/{program}"));
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    // Its own folder cannot be entered by that user.
    command.current_dir("/");
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("`id` starts");
    id.stdout.trim_ascii() == OsStr::new("0").as_encoded_bytes()
}
