//! What follows the last record: the dump is looked at once more, the sink's output made final, the
//! file called complete in the store together with what that makes owed, and the debt paid. In that
//! order: whatever a crash leaves undone of it, the next start does.

use super::context::FileContext;
use super::error::FileError;
use super::lane::with_sink;
use super::opening::{content, open};
use super::outbox::{self, Refused};
use crate::model::{Ending, Identity, Phase, Run, Window, fault};
use crate::state::Owes;

/// Makes a file complete of which all is delivered, in a run and as the file that it was then.
///
/// # Errors
/// If the file is another one now, or sink or store cannot go on.
pub async fn complete(
    file: &FileContext<'_>,
    identity: &Identity,
    run: Run,
    mut window: Window,
    ending: &Ending,
) -> Result<(), FileError> {
    let (pass, dump, name) = (file.pass, &file.input.dump, file.name());
    let now_is = open(file.input, &file.key, &pass.keeper).await?;
    if now_is.identity != *identity {
        return Err(FileError::Changed(dump.path.display().to_string()));
    }
    if let Identity::Source { .. } = identity {
        // It is known by its content from now on, as is any copy of it.
        pass.keeper.arrived(file.key.clone(), content(dump).await?).await?;
    }
    fault::place("sink.finish.before");
    with_sink(file, move |sink| sink.finish(name, run)).await?;
    fault::place("sink.finish.after");
    let end = window
        .finish(ending)
        .map_err(|cause| FileError::Window { file: name.to_string(), cause })?;
    let owes = Owes { announcements: pass.sink.announces(), sweep: pass.sink.sweeps() };
    let now = pass.clock.now();
    pass.keeper.complete(file.key.clone(), end, owes, now).await?;
    file.live.send_modify(|live| {
        live.phase = Phase::Complete;
        live.last_activity = Some(now);
    });
    let mark = window.mark();
    tracing::info!(
        file = %name, records = mark.records, bad_records = mark.bad_records,
        "complete"
    );
    outbox::settle(pass, Refused::LeaveAlone).await?;
    Ok(())
}
