//! A batch while it is being written, with its messages: they are the broker's until it is done.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::intake::Held;
use super::round::{Handled, Item, Round};
use crate::database::{Database, Obstacle};
use crate::model::Kind;

/// Messages that make the next batch.
#[derive(Default)]
pub struct Gathered {
    /// They.
    pub items: Vec<Item>,
    /// How many bytes.
    pub held: Held,
    /// Whether one of them was handed out often before.
    pub is_troubled: bool,
}

/// A batch at the database.
pub struct Writing {
    /// The batch.
    pub round: Arc<Round>,
    /// Its messages.
    pub messages: usize,
    /// Their bytes.
    pub held: Held,
    /// Whether one of them was handed out often before.
    pub is_troubled: bool,
    /// When it was first tried.
    pub began: Instant,
    /// A task of its own: while it waits for the database, so may a look.
    answer: AbortOnDropHandle<Result<Handled, Obstacle>>,
}

impl Writing {
    /// Begins to write what was gathered.
    pub fn begin(kind: Kind, gathered: Gathered, database: Arc<dyn Database>) -> Writing {
        let Gathered { items, held, is_troubled } = gathered;
        let messages = items.len();
        let round = Arc::new(Round::new(kind, items));
        let answer = write(Arc::clone(&round), database, Duration::ZERO);
        Writing { round, messages, held, is_troubled, began: Instant::now(), answer }
    }

    /// Tries again, after a rest.
    pub fn again(&mut self, database: Arc<dyn Database>, rest: Duration) {
        self.answer = write(Arc::clone(&self.round), database, rest);
    }

    /// What became of it. It is asked once a try.
    ///
    /// # Errors
    /// If writing died.
    pub async fn answer(&mut self) -> Result<Result<Handled, Obstacle>, String> {
        (&mut self.answer).await.map_err(|died| died.to_string())
    }
}

fn write(
    round: Arc<Round>,
    database: Arc<dyn Database>,
    rest: Duration,
) -> AbortOnDropHandle<Result<Handled, Obstacle>> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        sleep(rest).await;
        round.handle(&*database).await
    }))
}
