use tokio::sync::oneshot;

/// Somebody asks for a pass now.
#[derive(Debug)]
pub struct Trigger {
    /// Whether it is to begin anew, as `FORCE_REPROCESS` does.
    pub force: bool,
    /// Is told whether the pass begins; not if one is under way.
    pub answer: oneshot::Sender<bool>,
}
