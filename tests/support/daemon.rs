//! A daemon that is at work, and what it has said so far.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use super::Place;

/// How long anything may take; more than that is a fault, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(40);

/// Docker's patience after SIGTERM.
const TEN_SECONDS: Duration = Duration::from_secs(10);

/// `run` in a process of its own; killed when it is dropped.
pub struct Daemon {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
    /// What of it was waited for already.
    read: usize,
}

impl Place {
    /// `run` over this place's `dumps`; health is off.
    pub fn daemon(&self, to: &str) -> Command {
        let mut command = self.program();
        command.args(["run", "--root", "dumps", "--to", to]).env("HEALTH_PORT", "0");
        command
    }

    /// Makes every dump in `dumps` an hour old, so that a daemon that starts takes it for whole.
    pub fn age(&self) {
        for entry in std::fs::read_dir(self.path("dumps")).unwrap() {
            age(&entry.unwrap().path());
        }
    }
}

/// Makes a file an hour old.
pub fn age(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
}

impl Daemon {
    pub fn start(command: &mut Command) -> Daemon {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (line, lines) = channel();
        std::thread::spawn(move || {
            for said in stderr.lines() {
                _ = line.send(said.unwrap());
            }
        });
        Daemon { child, lines, said: Vec::new(), read: 0 }
    }

    /// The next line that has these words, which may have been said since the last one that was
    /// waited for.
    #[track_caller]
    pub fn says(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while self.read < self.said.len() {
                self.read += 1;
                let line = &self.said[self.read - 1];
                if line.contains(words) {
                    return line.clone();
                }
            }
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("no {words:?} in {:#?}", self.said),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended without {words:?}: {:#?}", self.said)
                }
            }
        }
    }

    /// Asserts that it says nothing for a while.
    #[track_caller]
    pub fn is_silent(&mut self, time: Duration) {
        self.said.extend(self.lines.try_iter());
        let said = self.lines.recv_timeout(time);
        assert_eq!(said, Err(RecvTimeoutError::Timeout));
    }

    /// Waits until SIGTERM no longer just ends it.
    pub fn heeds_signals(&self) {
        let deadline = Instant::now() + PATIENCE;
        let path = format!("/proc/{}/status", self.child.id());
        let caught = || {
            let status = std::fs::read_to_string(&path).unwrap();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
            mask & (1 << (Signal::TERM.as_raw() - 1)) != 0
        };
        while !caught() {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Everything it has said until now.
    pub fn said(&mut self) -> String {
        self.said.extend(self.lines.try_iter());
        self.said.join("\n")
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// SIGTERM, after which it has ten seconds to end with code 0. Returns all it said.
    #[track_caller]
    pub fn stops(self) -> String {
        self.signal(Signal::TERM);
        self.ends(0)
    }

    /// Waits for its end, which must come within ten seconds and with this code.
    #[track_caller]
    pub fn ends(mut self, code: i32) -> String {
        let began = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if began.elapsed() > TEN_SECONDS => {
                    panic!("at work after 10 s: {}", self.said())
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        self.said.extend(self.lines.iter());
        let said = self.said();
        assert_eq!(status.code(), Some(code), "{said}");
        assert!(!said.contains("panicked"), "{said}");
        said
    }

    /// Waits for its end, however it ends; returns what it had said.
    pub fn waits(&mut self) -> String {
        self.child.wait().unwrap();
        self.said.extend(self.lines.iter());
        self.said()
    }

    /// `kill -9`; returns what it had said.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.said.extend(self.lines.iter());
        self.said()
    }

    /// The most memory it ever had, in MiB.
    pub fn peak_memory(&self) -> u64 {
        super::peak_memory(self.child.id())
    }

    /// Whether it has ended by itself.
    pub fn is_gone(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may be gone already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
