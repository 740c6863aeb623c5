//! A program on a terminal: what a person would see on it, and the keys they press.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use vt100::{Parser, Screen};

/// How long anything may take to be seen.
const PATIENCE: Duration = Duration::from_mins(1);

pub struct Terminal {
    child: Child,
    keys: File,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

struct Seen {
    parser: Parser,
    raw: Vec<u8>,
}

impl Terminal {
    /// Starts a program on a terminal of its own, of so many columns and rows.
    pub fn start(command: &Command, columns: u16, rows: u16) -> Terminal {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(ptsname(&ours, Vec::new()).unwrap(), flags, Mode::empty());
        let theirs: OwnedFd = theirs.unwrap();
        size(&ours, columns, rows);
        let stdio = || Stdio::from(theirs.try_clone().unwrap());
        // The terminal is the one that it is controlled by, as a person's is.
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        session.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        session.env("TERM", "xterm-256color");
        session.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        session.current_dir(command.get_current_dir().unwrap());
        session.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let child = session.spawn().unwrap();
        let keys = File::from(ours);
        let mut output = keys.try_clone().unwrap();
        let seen = Seen { parser: Parser::new(some(rows), some(columns), 0), raw: Vec::new() };
        let seen = Arc::new((Mutex::new(seen), Condvar::new()));
        let told = Arc::clone(&seen);
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Reading fails when the last one has closed the other end.
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                let mut seen = told.0.lock().unwrap();
                seen.parser.process(&bytes[..read]);
                seen.raw.extend_from_slice(&bytes[..read]);
                told.1.notify_all();
            }
        });
        Terminal { child, keys, seen, reader: Some(reader) }
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// As if a person had dragged the window's corner.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.seen.0.lock().unwrap().parser.screen_mut().set_size(some(rows), some(columns));
        size(&self.keys, columns, rows);
    }

    /// Waits until what is seen is as it should be, and gives it back as text.
    #[track_caller]
    pub fn until(&self, what: &str, is_so: impl Fn(&Screen) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen.0.lock().unwrap();
        while !is_so(seen.parser.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            let text = || seen.parser.screen().contents();
            assert!(!left.is_zero(), "{what}: not seen in {PATIENCE:?}:\n{}", text());
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
        seen.parser.screen().contents()
    }

    /// Waits until all of these words are seen.
    #[track_caller]
    pub fn shows(&self, words: &[&str]) -> String {
        self.until(&format!("{words:?}"), |screen| {
            let text = screen.contents();
            words.iter().all(|words| text.contains(words))
        })
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end, which must be with this code and leave the terminal as it was.
    #[track_caller]
    pub fn ends(&mut self, code: i32) -> String {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        self.reader.take().unwrap().join().unwrap();
        let seen = self.seen.0.lock().unwrap();
        let screen = seen.parser.screen();
        let text = screen.contents();
        assert_eq!(status.code(), Some(code), "{text}");
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "{text}");
        text
    }

    /// Every byte that it wrote so far.
    pub fn raw(&self) -> Vec<u8> {
        self.seen.0.lock().unwrap().raw.clone()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn some(number: u16) -> NonZero<u16> {
    NonZero::new(number).unwrap()
}

fn size(terminal: &impl std::os::fd::AsFd, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}
