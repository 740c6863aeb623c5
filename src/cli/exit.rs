use std::process::ExitCode;

/// How the program ends. Scripts and service managers read these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, also with bad records within the limit.
    Done,
    /// Failed.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// Incomplete but resumable: `--limit` reached, a second signal, or `state check` says so.
    Incomplete,
    /// `state check`: stalled.
    Stalled,
    /// Stopped by SIGINT after a clean drain.
    Interrupted,
    /// Stopped by SIGTERM after a clean drain.
    Terminated,
}

impl Exit {
    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Incomplete => 3,
            Exit::Stalled => 4,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }

    /// The worse of two ends, for several files.
    #[must_use]
    pub fn worst(self, other: Exit) -> Exit {
        let badness = |exit| match exit {
            Exit::Done => 0,
            Exit::Incomplete => 1,
            Exit::Interrupted => 2,
            Exit::Terminated => 3,
            Exit::Stalled => 4,
            Exit::Failed => 5,
            Exit::Usage => 6,
        };
        if badness(other) > badness(self) { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        exit.code().into()
    }
}
