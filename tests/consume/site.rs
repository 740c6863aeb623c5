//! Queues, a place and a PostgreSQL database for the tests of consumers.

use std::process::Command;

use discogs_extractor::model::Kind;

use crate::database::Database;
use crate::rabbit::{Rabbit, until};
use crate::support::{Place, Ran};

/// Queues, a place and a database of a test's own.
pub struct Site {
    pub rabbit: Rabbit,
    pub place: Place,
    pub database: Database,
}

impl Site {
    /// None where there is no server, which `tests/run` says.
    pub fn new() -> Option<Site> {
        Some(Site::with(Database::new()?))
    }

    /// With the tables made, so that they can be asked.
    pub fn with(database: Database) -> Site {
        Site::of(Rabbit::at(super::BROKER), database)
    }

    /// With queues of a broker, and the tables made.
    pub fn of(rabbit: Rabbit, database: Database) -> Site {
        let site = Site { rabbit, place: Place::new(), database };
        let mut migrate = site.consume("a");
        Ran::of(migrate.arg("--migrate-only").output().unwrap()).ends(0, &[]);
        site
    }

    /// `consume tables` from these queues into this database.
    pub fn consume(&self, replica: &str) -> Command {
        self.rabbit.consume_into(&self.place, self.database.url(), replica)
    }

    /// `extract` of a folder to these queues.
    pub fn send(&self, dumps: &str) -> Command {
        self.rabbit.extract(&self.place, dumps)
    }

    /// The number that a query gives.
    pub fn number(&self, query: &str) -> u64 {
        self.database.value(query).parse().unwrap()
    }

    pub fn count(&self, kind: Kind) -> u64 {
        self.number(&format!("SELECT count(*) FROM {kind}"))
    }

    /// How many runs of types are noted as complete.
    pub fn completed(&self) -> u64 {
        self.number("SELECT count(*) FROM extractor_complete WHERE completed_at IS NOT NULL")
    }

    #[track_caller]
    pub fn nothing_is_left(&self) {
        for kind in Kind::ALL {
            until("the queue is empty", || self.rabbit.queue(kind).ready == 0);
            assert_eq!(self.rabbit.dead_letters(kind).ready, 0, "{kind}");
        }
    }

    #[track_caller]
    pub fn nobody_reads(&self, kinds: &[Kind]) {
        for kind in kinds {
            until("nobody reads", || self.rabbit.queue(*kind).consumers == 0);
        }
    }

    #[track_caller]
    pub fn all_are_read_by(&self, replicas: u32) {
        until("the queues are read", || {
            Kind::ALL.into_iter().all(|kind| self.rabbit.queue(kind).consumers == replicas)
        });
    }
}
