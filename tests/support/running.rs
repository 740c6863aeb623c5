//! The program while it runs: what it says as it says it, and signals.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How often a wait looks whether there is anything to wait for.
const LOOK: Duration = Duration::from_millis(500);

/// A child whose standard error is kept line by line. It is killed with the value.
pub struct Running {
    child: Child,
    said: Arc<Said>,
    reader: Option<JoinHandle<()>>,
    out: Option<JoinHandle<String>>,
}

#[derive(Default)]
struct Said {
    lines: Mutex<Vec<String>>,
    more: Condvar,
    /// There will be no more.
    ended: AtomicBool,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Said::default());
        let error = BufReader::new(child.stderr.take().unwrap());
        let mut out = child.stdout.take().unwrap();
        let reader = {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in error.lines() {
                    said.lines.lock().unwrap().push(line.unwrap());
                    said.more.notify_all();
                }
                said.ended.store(true, Ordering::Release);
                said.more.notify_all();
            })
        };
        let out = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        });
        Running { child, said, reader: Some(reader), out: Some(out) }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All it said so far on standard error.
    pub fn log(&self) -> String {
        self.said.lines.lock().unwrap().join("\n")
    }

    /// Waits until a line has all of these words, and gives it back.
    #[track_caller]
    pub fn says(&self, words: &[&str], time: Duration) -> String {
        let has_all = |line: &&String| words.iter().all(|words| line.contains(words));
        self.wait(&format!("{words:?}"), time, |lines| lines.iter().find(has_all).cloned())
    }

    /// Waits until so many lines have these words.
    #[track_caller]
    pub fn says_so_often(&self, words: &str, times: usize, time: Duration) {
        let said = |lines: &[String]| lines.iter().filter(|line| line.contains(words)).count();
        self.wait(&format!("{words:?} {times} times"), time, |lines| {
            (said(lines) >= times).then_some(())
        });
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, time: Duration, found: impl Fn(&[String]) -> Option<T>) -> T {
        let deadline = Instant::now() + time;
        let mut lines = self.said.lines.lock().unwrap();
        loop {
            // All that was said before its end is there by then.
            let ended = self.said.ended.load(Ordering::Acquire);
            if let Some(found) = found(&lines) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let over = left.is_zero() || ended;
            assert!(!over, "{what} not said in {time:?}:\n{}", lines.join("\n"));
            // Its end is noticed without being told, too.
            lines = self.said.more.wait_timeout(lines, left.min(LOOK)).unwrap().0;
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// `SIGKILL`; false if it had ended by itself, well.
    pub fn kill(&mut self) -> bool {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        self.join();
        assert!(status.success() || status.signal() == Some(9), "{status}:\n{}", self.log());
        status.signal() == Some(9)
    }

    /// Waits for its end and gives back the exit status.
    #[track_caller]
    pub fn status(&mut self, time: Duration) -> ExitStatus {
        let deadline = Instant::now() + time;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.join();
                return status;
            }
            assert!(Instant::now() < deadline, "still running after {time:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for its end, which must be with this code and without a panic.
    #[track_caller]
    pub fn ends(&mut self, code: i32, time: Duration) {
        let status = self.status(time);
        let log = self.log();
        assert_eq!(status.code(), Some(code), "{log}");
        assert!(!log.contains("panicked"), "{log}");
    }

    /// What it said on standard output, once it ended.
    pub fn out(&mut self) -> String {
        self.out.take().unwrap().join().unwrap()
    }

    fn join(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }

    /// The most memory it ever had, in MiB.
    pub fn peak_memory(&self) -> u64 {
        super::peak_memory(self.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
