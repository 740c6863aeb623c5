//! The control socket in the state directory: whoever inspects asks the owner, who answers with
//! what it knows this second. One JSON line there, one back.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::model::{Clock, Job};
use crate::state::{FileKey, Inspection, Keeper, StateError};

const NAME: &str = "control.sock";

/// A socket's path is at most 107 bytes (unix(7)); longer ones go through the folder's handle.
const LONGEST_PATH: usize = 100;

/// A request is a few file names; more than that is not from us.
const LONGEST_REQUEST: u64 = 1 << 20;

/// Requests served at the same time; more wait.
const AT_ONCE: usize = 16;

/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be asked of an owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// Everything it knows.
    Inspect,
    /// Forget these files.
    Reset {
        /// Which.
        files: Vec<FileKey>,
    },
    /// Forget a job.
    Forget {
        /// Which.
        job: Job,
    },
}

/// What an owner answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::Inspect`].
    Inspection(Box<Inspection>),
    /// How many files were forgotten.
    Forgotten {
        /// How many.
        files: usize,
    },
    /// Why it will not.
    Refused {
        /// In words.
        why: String,
    },
}

/// The listening end.
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Listens in the state directory; only its owner may, who holds the lock. Only the same user
    /// can connect.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn listen(state_dir: &Path) -> io::Result<Control> {
        let path = state_dir.join(NAME);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (short, _folder) = short(&path)?;
        let listener = UnixListener::bind(short)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Control { listener, path })
    }

    /// Answers until it is dropped. `now` adds what the owner knows beyond the store; `forgotten`
    /// hears when something was forgotten.
    pub async fn serve(
        &self,
        keeper: &Keeper,
        clock: &dyn Clock,
        now: impl Fn(&mut Inspection),
        forgotten: &Notify,
    ) -> Infallible {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                client = self.listener.accept(), if clients.len() < AT_ONCE => {
                    if let Ok((client, _)) = client {
                        clients.spawn(tokio::time::timeout(PATIENCE, read(client)));
                    }
                }
                Some(asked) = clients.join_next(), if !clients.is_empty() => {
                    let Ok(Ok(Ok((request, client)))) = asked else { continue };
                    let response = answer(request, keeper, clock, &now).await;
                    if matches!(response, Response::Forgotten { .. }) {
                        forgotten.notify_one();
                    }
                    // A client that is gone wants no answer.
                    _ = tokio::time::timeout(PATIENCE, write(client, &response)).await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // A socket that stays is removed by the next owner.
        _ = std::fs::remove_file(&self.path);
    }
}

async fn read(client: UnixStream) -> io::Result<(Request, UnixStream)> {
    let mut client = BufReader::new(client);
    let mut line = Vec::new();
    (&mut client).take(LONGEST_REQUEST).read_until(b'\n', &mut line).await?;
    Ok((serde_json::from_slice(&line)?, client.into_inner()))
}

async fn write(mut client: UnixStream, response: &Response) -> io::Result<()> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    client.write_all(&line).await?;
    client.shutdown().await
}

async fn answer(
    request: Request,
    keeper: &Keeper,
    clock: &dyn Clock,
    now: &impl Fn(&mut Inspection),
) -> Response {
    let answered: Result<Response, StateError> = match request {
        Request::Inspect => keeper.inspect().await.map(|mut inspection| {
            now(&mut inspection);
            Response::Inspection(Box::new(inspection))
        }),
        Request::Reset { files } => {
            let forgotten = keeper.reset(files, clock.now()).await;
            forgotten.map(|files| Response::Forgotten { files })
        }
        Request::Forget { job } => {
            let forgotten = keeper.forget(job, clock.now()).await;
            forgotten.map(|files| Response::Forgotten { files })
        }
    };
    answered.unwrap_or_else(|error| Response::Refused { why: error.to_string() })
}

/// Asks the owner of a state directory; nothing if nobody answers there, or it ended meanwhile.
///
/// # Errors
/// If an owner is there and its answer cannot be read.
pub async fn ask(state_dir: &Path, request: &Request) -> io::Result<Option<Response>> {
    let path = state_dir.join(NAME);
    let Ok((short, _folder)) = short(&path) else { return Ok(None) };
    let Ok(owner) = UnixStream::connect(short).await else { return Ok(None) };
    let answer = match converse(owner, request).await {
        Err(error) if is_gone(&error) => return Ok(None),
        answer => answer?,
    };
    match serde_json::from_slice(&answer) {
        Err(error) if error.is_eof() => Ok(None),
        response => Ok(Some(response?)),
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

async fn converse(mut owner: UnixStream, request: &Request) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    owner.write_all(&line).await?;
    let mut answer = Vec::new();
    owner.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// A path that fits a socket address, with the handle that keeps it good.
fn short(path: &Path) -> io::Result<(PathBuf, Option<OwnedFd>)> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    if path.as_os_str().len() <= LONGEST_PATH {
        return Ok((path.to_owned(), None));
    }
    let handle = rustix::fs::open(
        folder,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let through = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd())).join(name);
    Ok((through, Some(handle)))
}
