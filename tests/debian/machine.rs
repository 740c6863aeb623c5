//! A throw-away machine with a systemd of its own: see the script `machine` beside this.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::support::Ran;

/// How long anything may take; more than that is a fault, however busy the machine is.
const PATIENCE: Duration = Duration::from_mins(1);

/// It is gone when it is dropped, with all that was done on it.
pub struct Machine {
    keeper: Child,
    /// Its first process, as a number of ours.
    first: String,
}

impl Machine {
    /// Starts one that has a folder of ours as `/share`, and waits until it is up.
    pub fn start(share: &Path) -> Machine {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/debian/machine");
        let mut command = Command::new("bash");
        command.arg(script).arg(share).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.spawn().unwrap();
        let mut first = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(!first.is_empty(), "it did not start");
        let machine = Machine { keeper, first: first.trim().to_owned() };
        machine.until("systemctl is-system-running");
        machine
    }

    /// Runs a command of the shell on it, as root.
    pub fn run(&self, command: &str) -> Ran {
        let mut inside = Command::new("nsenter");
        inside.args(["-t", &self.first, "-m", "-p", "-n", "-u", "-i", "-C", "bash", "-c", command]);
        inside.env_clear().env("HOME", "/root").env("LC_ALL", "C.UTF-8");
        inside
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("DEBIAN_FRONTEND", "noninteractive");
        inside.current_dir("/").stdin(Stdio::null());
        Ran::of(inside.output().unwrap())
    }

    /// Runs a command that must end well, and returns what it printed.
    #[track_caller]
    pub fn does(&self, command: &str) -> String {
        let ran = self.run(command);
        assert_eq!(ran.code, Some(0), "{command}: {ran:#?}");
        ran.out.trim().to_owned()
    }

    /// Runs a command until it ends well.
    #[track_caller]
    pub fn until(&self, command: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ran = self.run(command);
            if ran.code == Some(0) {
                return;
            }
            let journal = || self.run("journalctl --no-pager -n 50").out;
            assert!(Instant::now() < deadline, "{command}: {ran:#?}\n{}", journal());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A property of a unit, as `systemctl show` prints it.
    #[track_caller]
    pub fn shows(&self, unit: &str, property: &str) -> String {
        self.does(&format!("systemctl show {unit} --value -p {property}"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        _ = self.keeper.wait();
    }
}
