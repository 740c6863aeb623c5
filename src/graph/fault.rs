//! Where the reason of an error lies: in what passes by itself, in a record, or in the database.

use neo4rs::Error;

/// Who must act on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody: the server is away, or another transaction was in the way. It passes.
    Passing,
    /// Whoever made the record that was to be written.
    Record,
    /// Whoever looks after the database.
    Database,
}

/// What the graph, or the way to it, answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct GraphError {
    /// Who must act.
    pub fault: Fault,
    /// Whether the server is there and only this transaction was in the way of another, so that
    /// it can be tried again at once.
    pub conflict: bool,
    /// The server's own words.
    pub words: String,
}

impl GraphError {
    /// Of what is in the way of somebody else's transaction.
    pub(super) fn conflict(words: impl Into<String>) -> GraphError {
        GraphError { fault: Fault::Passing, conflict: true, words: words.into() }
    }
}

impl From<Error> for GraphError {
    fn from(error: Error) -> GraphError {
        let (fault, conflict) = match &error {
            Error::Neo4j(error) => classify(error.code()),
            Error::IOError { .. }
            | Error::ConnectionError
            | Error::ConnectionTimedOut
            | Error::IncompleteBoltExchange
            | Error::RequestIgnoredError
            | Error::Ignored(_)
            | Error::UnexpectedMessage(_)
            | Error::UnknownMessage(_)
            | Error::ServerUnavailableError(_) => (Fault::Passing, false),
            Error::StringTooLong | Error::MapTooBig | Error::ListTooLong => (Fault::Record, false),
            _ => (Fault::Database, false),
        };
        GraphError { fault, conflict, words: error.to_string() }
    }
}

impl From<neo4rs::DeError> for GraphError {
    fn from(error: neo4rs::DeError) -> GraphError {
        let words = format!("the answer is none that was asked for: {error}");
        GraphError { fault: Fault::Database, conflict: false, words }
    }
}

/// The fault behind one of Neo4j's codes, and whether it is a conflict with someone else.
fn classify(code: &str) -> (Fault, bool) {
    let code = code.strip_prefix("Neo.").unwrap_or(code);
    match code {
        // A node that someone else made or removed between two statements.
        "ClientError.Statement.EntityNotFound"
        | "ClientError.Schema.ConstraintValidationFailed"
        | "ClientError.Transaction.LockClientStopped"
        | "ClientError.Transaction.Terminated"
        | "ClientError.Transaction.TransactionTimedOut" => (Fault::Passing, true),
        "ClientError.Cluster.NotALeader"
        | "ClientError.General.ForbiddenOnReadOnlyDatabase"
        | "ClientError.Security.AuthorizationExpired"
        | "TransientError.General.DatabaseUnavailable"
        | "TransientError.Database.DatabaseUnavailable" => (Fault::Passing, false),
        // The statements are always the same: only what they are given can be wrong.
        "ClientError.Statement.SyntaxError"
        | "ClientError.Statement.AccessMode"
        | "ClientError.Statement.FeatureDeprecationWarning" => (Fault::Database, false),
        _ if code.starts_with("TransientError.") => (Fault::Passing, true),
        _ if code.starts_with("ClientError.Statement.") => (Fault::Record, false),
        _ => (Fault::Database, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_who_must_act() {
        let rows = [
            ("Neo.TransientError.Transaction.DeadlockDetected", Fault::Passing, true),
            ("Neo.TransientError.Database.DatabaseUnavailable", Fault::Passing, false),
            ("Neo.ClientError.Cluster.NotALeader", Fault::Passing, false),
            ("Neo.ClientError.Statement.EntityNotFound", Fault::Passing, true),
            ("Neo.ClientError.Statement.TypeError", Fault::Record, false),
            ("Neo.ClientError.Statement.SyntaxError", Fault::Database, false),
            ("Neo.ClientError.Security.Unauthorized", Fault::Database, false),
            ("Neo.DatabaseError.General.UnknownError", Fault::Database, false),
        ];
        for (code, fault, conflict) in rows {
            assert_eq!(classify(code), (fault, conflict), "{code}");
        }
    }
}
